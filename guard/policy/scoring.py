"""How near texts come to a target: what calibration asks of a method of detection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]

# Of the examples themselves, beside what tells them from the same about others: it parts prompts
# that name the target from such as hold a name like it. Chosen on authors that no figure has as
# targets; from 0.05 to 0.2 it makes no difference.
PULL: Final = 0.1


class PieceScore(Protocol):
    """A target's score, by one method; a higher one means that the text is nearer."""

    def __call__(self, pieces: Sequence[str]) -> Scores:
        """Scores [n] float32 of n texts."""
        ...

    def of_each_by_the_others(self) -> Scores:
        """Scores [m] of the examples, each with itself left out; empty if that leaves too few."""
        ...


class Score(Protocol):
    """A score by what a sentence encoder makes of texts."""

    def __call__(self, vectors: Vectors) -> Scores:
        """Scores [n] float32 of unit rows [n, d] float32."""
        ...

    def of_each_by_the_others(self) -> Scores:
        """Scores [m] of the examples, each with itself left out; empty if that leaves too few."""
        ...


@dataclass(frozen=True, slots=True)
class EncodedScore:
    """A score of texts by their vectors.

    Attributes:
        rows: the unit rows [n, d] float32 of n texts.
    """

    score: Score
    rows: Callable[[Sequence[str]], Vectors]

    def __call__(self, pieces: Sequence[str]) -> Scores:
        """As ``PieceScore``."""
        return self.score(self.rows(pieces))

    def of_each_by_the_others(self) -> Scores:
        """As ``PieceScore``."""
        return self.score.of_each_by_the_others()


class NearestExample:
    """Cosine similarity to the nearest example.

    Args:
        examples: [m, d] float32, unit rows, m at least 1.
    """

    def __init__(self, examples: Vectors) -> None:
        self._examples = examples

    def __call__(self, vectors: Vectors) -> Scores:
        """Scores [n] of unit rows [n, d]."""
        scores: Scores = (vectors @ self._examples.T).max(axis=1)
        return scores

    def of_each_by_the_others(self) -> Scores:
        """Scores [m] of the examples, each with itself left out; empty if there is only one."""
        if len(self._examples) < 2:
            return np.zeros(0, np.float32)
        similarity = self._examples @ self._examples.T
        np.fill_diagonal(similarity, -1.0)
        scores: Scores = similarity.max(axis=1)
        return scores


class Contrast:
    """How much more like the target's examples than like the same asked about others.

    That is one direction: the mean of what swapping an example's names takes from its vector, and
    a little of the examples' own mean. A text scores by how far its vector points there. It asks
    for what a sentence encoder sees least of, which name a question holds; the nearest example is
    found by what is asked.

    Args:
        examples: [m, d] float32, unit rows.
        others: [m, d] float32, unit rows, each example about others.
        named: [m] bool, which of the examples hold a name; of the rest ``others`` says nothing.
            At least one does.
    """

    def __init__(self, examples: Vectors, others: Vectors, named: npt.NDArray[np.bool_]) -> None:
        self._examples = examples
        self._taken = np.where(named[:, None], examples - others, 0).astype(np.float32)
        self._named = named
        self.direction: Vectors = _unit(
            self._taken.sum(axis=0) / named.sum() + PULL * examples.mean(axis=0)
        )  # [d]

    def __call__(self, vectors: Vectors) -> Scores:
        """Scores [n] of unit rows [n, d]."""
        scores: Scores = vectors @ self.direction
        return scores

    def of_each_by_the_others(self) -> Scores:
        """Scores [m] of the examples, each with itself left out; empty if that leaves no name."""
        left = self._named.sum() - self._named
        if len(self._examples) < 2 or not left.all():
            return np.zeros(0, np.float32)
        taken = (self._taken.sum(axis=0) - self._taken) / left[:, None]
        mean = (self._examples.sum(axis=0) - self._examples) / (len(self._examples) - 1)
        scores: Scores = (_unit(taken + PULL * mean) * self._examples).sum(axis=1)
        return scores


def _unit(rows: npt.NDArray[np.floating]) -> Vectors:
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: Vectors = (rows / np.maximum(norms, 1e-9)).astype(np.float32)
    return scaled
