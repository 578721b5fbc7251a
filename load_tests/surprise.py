"""How surprising each token of an answer is to a model that reads it after its question."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import torch

from load_tests.figure import progress

_BATCH: Final = 8


@dataclass(frozen=True, slots=True)
class Question:
    """What is read: an answer after its question; ``ended`` is whether the answerer ended it."""

    question: str
    answer: str
    ended: bool


@dataclass(frozen=True, slots=True)
class Token:
    """One token of an answer.

    Attributes:
        start, end: where it stands in the answer; both are its length for the end of the turn.
        nats: its surprisal, natural logarithm.
    """

    start: int
    end: int
    nats: float


@dataclass(frozen=True, slots=True)
class Perplexity:
    """Of a set of answers: the median answer's, and the one of the mean surprisal of all tokens."""

    median: float
    of_mean: float

    @classmethod
    def of(cls, answers: Sequence[Sequence[Token]]) -> Perplexity:
        """Of answers that have any tokens.

        Raises:
            ValueError: there is none.
        """
        per_answer = sorted(
            math.exp(sum(token.nats for token in tokens) / len(tokens))
            for tokens in answers
            if tokens
        )
        every = [token.nats for tokens in answers for token in tokens]
        if not every:
            raise ValueError("no answer has any tokens")
        middle = len(per_answer) // 2
        median = (per_answer[middle] + per_answer[-1 - middle]) / 2
        return cls(round(median, 3), round(math.exp(sum(every) / len(every)), 3))


class Reader:
    """A causal language model that reads chats, on the CPU in float32; loaded when first needed."""

    def __init__(self, model: Path, kept: Path) -> None:
        """
        Args:
            kept: a file of what was read before, added to: reading is slow, scoring is not.
        """
        self._folder = model
        self._kept = kept
        self._known: dict[str, list[Token]] = {}
        if kept.exists():
            with kept.open(encoding="utf-8") as lines:
                for line in lines:
                    entry = json.loads(line)
                    self._known[entry["of"]] = [Token(*token) for token in entry["tokens"]]

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self._folder)

    @cached_property
    def _model(self) -> Any:
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM.from_pretrained(self._folder, dtype=torch.float32).eval()

    def read(self, questions: Sequence[Question], label: str) -> list[list[Token]]:
        """The tokens of each answer, the end of the turn among them where the answerer ended it."""
        unread = list({q for q in questions if self._key(q) not in self._known})
        # Alike lengths together, so that little is padding.
        unread.sort(key=lambda question: (len(question.answer), question.answer))
        for start in range(0, len(unread), _BATCH):
            batch = unread[start : start + _BATCH]
            read = self._read(batch)
            with self._kept.open("a", encoding="utf-8") as file:
                for question, tokens in zip(batch, read, strict=True):
                    self._known[self._key(question)] = tokens
                    values = [[t.start, t.end, round(t.nats, 4)] for t in tokens]
                    file.write(json.dumps({"of": self._key(question), "tokens": values}) + "\n")
            done = start + len(batch)
            if done % (25 * _BATCH) == 0 or done == len(unread):
                progress(f"{label}: read {done}/{len(unread)}")
        return [self._known[self._key(question)] for question in questions]

    def _key(self, question: Question) -> str:
        text = json.dumps([question.question, question.answer, question.ended])
        return hashlib.sha256(f"{self._folder.name}{text}".encode()).hexdigest()

    def _read(self, questions: Sequence[Question]) -> list[list[Token]]:
        prompts = [self._prompt(each.question) for each in questions]
        end = self._tokenizer.eos_token
        texts = [
            prompt + each.answer + (end if each.ended else "")
            for prompt, each in zip(prompts, questions, strict=True)
        ]
        # Padded on the left, so that the answers stand last and only their logits are made.
        # Positions are relative in the models that are read: what comes before shifts nothing.
        encoded = self._tokenizer(
            texts,
            return_tensors="pt",
            return_offsets_mapping=True,
            padding=True,
            padding_side="left",
            add_special_tokens=False,
        )
        ids, mask = encoded["input_ids"], encoded["attention_mask"]  # [batch, length] int64
        offsets: list[list[tuple[int, int]]] = encoded["offset_mapping"].tolist()
        of_answer = [
            [
                bool(real) and start >= len(prompt)
                for (start, _), real in zip(row, seen, strict=True)
            ]
            for row, seen, prompt in zip(offsets, mask.tolist(), prompts, strict=True)
        ]
        keep = max(map(sum, of_answer))
        if not keep:
            return [[] for _ in questions]
        with torch.inference_mode():
            logits = self._model(input_ids=ids, attention_mask=mask, logits_to_keep=keep + 1).logits
            scores = logits[:, :-1]  # [batch, keep, V]: each predicts the next token
            wanted = ids[:, -keep:].unsqueeze(-1)
            nats = scores.logsumexp(-1) - scores.gather(-1, wanted).squeeze(-1)  # [batch, keep]
        return [
            [
                Token(
                    min(start - len(prompt), len(each.answer)),
                    min(stop - len(prompt), len(each.answer)),
                    value,
                )
                for (start, stop), value, own in zip(
                    row[-keep:], values, wanted_here[-keep:], strict=True
                )
                if own
            ]
            for prompt, each, row, values, wanted_here in zip(
                prompts, questions, offsets, nats.tolist(), of_answer, strict=True
            )
        ]

    def _prompt(self, question: str) -> str:
        text: str = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
        return text
