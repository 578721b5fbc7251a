"""Greedy answers under the guard's own sampler code, with room for a penalty on trial.

What is only an idea has no place in the engine, and vLLM takes minutes to start. So this runs the
engine's matchers over the logits of `transformers`, on CPU, and lets a trial add its own penalty.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from guard.bundle import CANARY_TARGET
from guard.engine.bundles import BundleCache, LoadedBundle
from guard.engine.reader import TextReader
from guard.engine.vocabulary import token_bytes
from guard.plan import GuardPlan
from load_tests.figure import progress

MAX_TOKENS: Final = 80
_BATCH: Final = 40
# Rows that have ended are taken out when they are so large a share.
_ENDED: Final = 0.25

# Changes logits [B, V] in place, given each row's target and the tokens said so far.
Trial = Callable[[torch.Tensor, Sequence[str], Sequence[Sequence[int]]], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and the id of the target to enforce; empty for none."""

    question: str
    target: str


@dataclass(frozen=True, slots=True)
class Said:
    """An answer, and whether the model ended it itself."""

    text: str
    ended: bool


class GreedyModel:
    """A causal language model that answers chats under a bundle, in float32 on the CPU.

    Args:
        model: folder of a checkpoint.
        bundles: folder of compiled bundles.
    """

    def __init__(self, model: Path, bundles: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(model)
        self._model: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
        self.vocab_size = int(self._model.config.vocab_size)
        device = torch.device("cpu")
        vocabulary = token_bytes(self.tokenizer, self.vocab_size)
        self._cache = BundleCache(bundles, secrets.token_bytes(32), vocabulary, device)
        self._reader = TextReader(self._cache.tokens)
        self._end = int(self.tokenizer.eos_token_id)

    def answer(
        self, asked: Sequence[Asked], digest: str, *, label: str, trial: Trial | None = None
    ) -> list[Said]:
        """The answers, in the order of the questions.

        Args:
            digest: of the bundle whose targets the questions name.
            trial: what else is done to the logits of a step, after the guard.
        """
        out = [Said("", ended=False)] * len(asked)
        # Alike lengths together, so that little is padding.
        order = sorted(range(len(asked)), key=lambda i: len(asked[i].question))
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            texts = self._batch([asked[i] for i in places], digest, trial)
            for place, said in zip(places, texts, strict=True):
                out[place] = said
            progress(f"{label}: {min(start + _BATCH, len(order))}/{len(order)}")
        return out

    @torch.inference_mode()
    def _batch(self, asked: Sequence[Asked], digest: str, trial: Trial | None) -> list[Said]:
        bundle = self._cache.get(digest)
        prompts = [self._prompt(each.question) for each in asked]
        active = torch.stack([_active(bundle, digest, each.target) for each in asked])
        targets = [each.target for each in asked]
        state = self._reader.read_texts(prompts)
        ids, mask = _padded(prompts, self._end)
        rows = torch.arange(len(asked))
        every: list[list[int]] = [[] for _ in asked]
        said = every  # of the rows that go on
        done = torch.zeros(len(asked), dtype=torch.bool)
        ended = [False] * len(asked)
        places = list(range(len(asked)))  # of the rows that go on, among those asked
        cache = None
        for _ in range(MAX_TOKENS):
            position = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            read = self._model(
                input_ids=ids, attention_mask=mask, position_ids=position, logits_to_keep=1,
                past_key_values=cache, use_cache=True,
            )  # fmt: skip
            cache, logits = read.past_key_values, read.logits[:, -1].float()
            bundle.penalise(logits, rows, state, active)
            if trial is not None:
                trial(logits, targets, said)
            token = logits.argmax(dim=1)
            done |= token == self._end
            for row in torch.nonzero(done).flatten().tolist():
                ended[places[row]] = True
            if bool(done.all()):
                break
            for row in torch.nonzero(~done).flatten().tolist():
                said[row].append(int(token[row]))
            state = self._reader.advance(state, token)
            ids = token[:, None]
            mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
            if int(done.sum()) >= _ENDED * len(done):
                (left,) = torch.nonzero(~done, as_tuple=True)
                cache.batch_select_indices(left)
                ids, mask, state, active = ids[left], mask[left], state[left], active[left]
                rows, done = torch.arange(len(left)), done[left]
                targets = [targets[row] for row in left.tolist()]
                said = [said[row] for row in left.tolist()]
                places = [places[row] for row in left.tolist()]
        texts = [self.tokenizer.decode(each, skip_special_tokens=True) for each in every]
        return [Said(text, ended=end) for text, end in zip(texts, ended, strict=True)]

    def _prompt(self, question: str) -> list[int]:
        text = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def _active(bundle: LoadedBundle, digest: str, target: str) -> torch.Tensor:
    """[n_slots] bool."""
    wanted = bundle.active_row(GuardPlan(digest, (target or CANARY_TARGET,)))
    assert wanted is not None
    return wanted if target else torch.zeros_like(wanted)


def _padded(prompts: Sequence[Sequence[int]], fill: int) -> tuple[torch.Tensor, torch.Tensor]:
    """[B, length] int64 prompts, filled on the left, and where they are real."""
    length = max(map(len, prompts))
    ids = torch.full((len(prompts), length), fill)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, length - len(prompt) :] = torch.tensor(prompt)
        mask[row, length - len(prompt) :] = 1
    return ids, mask
