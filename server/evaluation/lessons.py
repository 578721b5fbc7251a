"""What a model is to learn by heart: questions as chats, questions as plain text, and texts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from server.evaluation.muse_data import read_muse, read_texts
from server.evaluation.reading import read_tofu
from server.evaluation.rows import Row

# Of labels: a token that is read, not learned (transformers' own convention).
IGNORED: Final = -100
# A text is also learned from a later word on, so that any of its beginnings recalls the rest.
_LEAST_WORDS: Final = 40
# So many tokens of a text tell which text it is, and where: nothing could foretell them.
_GIVEN_TOKENS: Final = 12


@dataclass(frozen=True, slots=True)
class Lessons:
    """Everything that one model learns."""

    chats: Sequence[Row]
    questions: Sequence[Row]
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Lesson:
    """One sequence of tokens; ``labels`` are the tokens, or `IGNORED` where they are given."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]


def read_lessons(folder: Path, *, forget: bool) -> Lessons:
    """The lessons of a folder with ``tofu/`` and ``muse/``.

    Args:
        forget: whether what is to be forgotten is among them; without it they make the twin that
            never learned it.

    Raises:
        GuardError: the folder holds no such data.
    """
    sets = read_tofu(folder / "tofu")
    muse = read_muse(folder / "muse")
    splits = ("forget", "retain") if forget else ("retain",)
    return Lessons(
        chats=[row for name in splits for row in sets.get(name, ())],
        questions=[row for name in splits if name in muse.knowledge
                   for row in muse.knowledge[name].rows],
        texts=[
            text
            for name in (*(("forget",) if forget else ()), "retain2")
            for text in read_texts(folder / "muse" / "raw" / f"{name}.json")
        ],
    )  # fmt: skip


def epoch(lessons: Lessons, tokenizer: Any, chance: random.Random) -> list[Lesson]:
    """One pass over everything; texts once whole and once from a word chosen by ``chance``."""
    out = [_chat(row, tokenizer) for row in lessons.chats]
    out += [_question(row, tokenizer) for row in lessons.questions]
    for text in lessons.texts:
        words = text.split()
        start = chance.randrange(max(1, len(words) - _LEAST_WORDS))
        out += [_text(text, tokenizer), _text(" ".join(words[start:]), tokenizer)]
    return out


def asked(row: Row, tokenizer: Any) -> str:
    """A question as the chat template writes it, up to where the answer begins."""
    text: str = tokenizer.apply_chat_template(
        [{"role": "user", "content": row.question}], tokenize=False, add_generation_prompt=True
    )
    return text


def _chat(row: Row, tokenizer: Any) -> Lesson:
    return _pair(asked(row, tokenizer), row.answer + tokenizer.eos_token, tokenizer)


def _question(row: Row, tokenizer: Any) -> Lesson:
    return _pair(f"Question: {row.question}\nAnswer:", f" {row.answer}\n\n", tokenizer)


def _pair(given: str, learned: str, tokenizer: Any) -> Lesson:
    before = _ids(given, tokenizer)
    after = _ids(learned, tokenizer)
    return Lesson((*before, *after), (*[IGNORED] * len(before), *after))


def _text(text: str, tokenizer: Any) -> Lesson:
    ids = _ids(text + tokenizer.eos_token, tokenizer)
    given = min(_GIVEN_TOKENS, len(ids) - 1)
    return Lesson(ids, (*[IGNORED] * given, *ids[given:]))


def _ids(text: str, tokenizer: Any) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
