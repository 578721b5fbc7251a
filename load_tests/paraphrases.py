"""TOFU's right answers in other words, and its wrong ones: what a matcher of meanings must part."""

from __future__ import annotations

import json
from dataclasses import dataclass

from guard.normalise import SEP, normalise
from load_tests.figure import NotMeasurableError
from load_tests.tofu import DATA
from server.evaluation.fact import stems

_LEAST_LETTERS = 4


@dataclass(frozen=True, slots=True)
class Paraphrased:
    """One question about an author to be forgotten.

    Attributes:
        answer: the gold answer, the statement to protect.
        paraphrase: the same in other words.
        wrong: answers worded like the paraphrase that say something else.
    """

    author: str
    question: str
    answer: str
    paraphrase: str
    wrong: tuple[str, ...]

    @property
    def telling(self) -> frozenset[str]:
        """Stems that make the answer right: both wordings hold them, no wrong answer does."""
        found = set(stems(self.answer)) & set(stems(self.paraphrase))
        found -= set(stems(self.question))
        for answer in self.wrong:
            found -= set(stems(answer))
        return frozenset(found)

    def tells(self, text: str) -> list[bool]:
        """Of each normalised word of a text, whether it makes the answer right."""
        telling = self.telling
        return [is_long(word) and not telling.isdisjoint(stems(word)) for word in words(text)]


def words(text: str) -> list[str]:
    """The normalised words of a text."""
    return [word for word in normalise(text).split(SEP) if word]


def is_long(word: str) -> bool:
    """Whether a word is long enough to say something by itself."""
    return len(word) >= _LEAST_LETTERS


def load_paraphrased() -> list[Paraphrased]:
    """The questions about authors to be forgotten, in their file's order.

    Raises:
        NotMeasurableError: the data is not there.
    """
    path = DATA / "forget.jsonl"
    if not path.exists():
        raise NotMeasurableError(f"needs the TOFU data: no file {path.name}")
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        Paraphrased(
            row["author"],
            row["question"],
            row["answer"],
            row["paraphrased_answer"],
            tuple(row["perturbed_answers"]),
        )
        for row in rows
    ]
