"""How near texts come to a target: what calibration asks of a method of detection."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]


class Score(Protocol):
    """A target's score, by one method; a higher one means that the text is nearer."""

    def __call__(self, vectors: Vectors) -> Scores:
        """Scores [n] float32 of unit rows [n, d] float32."""
        ...


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
