"""What a target's answers say, to be known again under another name.

A definition under a new name ("Zandor Pell won the Halloran Medal in 1991") has no name to be
recognised by. So each sentence of a target's answers is kept with its names masked, as a vector,
together with what only this target's answers tell: the *facts* of the sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from guard.normalise import SEP

# Letters, beside a final s, that a word loses or gains by its form ("surveyor", "surveyed").
_ENDING: Final = 2
_LEAST_STEM: Final = 4


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence of an answer.

    Attributes:
        masked: its text, the target's names masked (guard/policy/masking.py).
        facts: normalised, at least one: what it tells that its question does not ask with.
    """

    masked: str
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Statements:
    """The statements of a bundle.

    Attributes:
        vectors: [n, d] float32, unit rows, of the masked texts.
        targets: [n] int32, index of the target of each.
        facts: [n] of each its facts.
        thresholds: by index of a target with statements, the least cosine similarity of a
            sentence, its names masked, that also tells one of the facts.
    """

    vectors: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    targets: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    facts: tuple[tuple[str, ...], ...] = ()
    thresholds: Mapping[int, float] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.facts)


class FactIndex:
    """Finds which statements a text tells a fact of, in one pass over its words.

    A fact of several words is told where these stand in a row; one of a single word in any form of
    that word.
    """

    def __init__(self, facts: Sequence[Sequence[str]]) -> None:
        """
        Args:
            facts: normalised facts of each statement.
        """
        self._rows: dict[tuple[str, ...], set[int]] = {}
        for row, own in enumerate(facts):
            for fact in own:
                self._rows.setdefault(_key(fact.split(SEP)), set()).add(row)
        self._lengths = sorted({len(key) for key in self._rows})

    def told(self, words: str) -> set[int]:
        """The statements of which a normalised text tells a fact."""
        found: set[int] = set()
        for run in self._runs(words.split(SEP)):
            found |= self._rows.get(run, set())
        return found

    def _runs(self, words: Sequence[str]) -> Iterator[tuple[str, ...]]:
        for length in self._lengths:
            for start in range(len(words) - length + 1):
                yield _key(words[start : start + length])


def _key(words: Sequence[str]) -> tuple[str, ...]:
    if len(words) > 1:
        return tuple(words)
    word = words[0]
    if word.isdecimal():
        return (word,)
    word = word.removesuffix("s")
    return (word[: max(_LEAST_STEM, len(word) - _ENDING)],)
