"""A sentence encoder distilled to one vector a word or token, in the manner of model2vec.

Each unit (a word, or a token of the served tokenizer) is encoded by itself, once; a text is the sum
of its units' vectors, rare units weighing more (smooth inverse frequency, Arora et al., 2017, with
frequencies by Zipf's law from the unit's rank). Then a running text costs one addition a unit,
where the encoder would read all of it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
# Texts to unit rows [n, d].
Encode = Callable[[Sequence[str]], Floats]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How units become vectors.

    Attributes:
        smoothing: ``a`` of the weight ``a / (a + frequency)``; 0 weighs all units alike.
        centred: whether the mean of all units is taken away.
        components: principal components kept; 0 for all dimensions.
        window: how many of the last units a running text counts; 0 for all.
    """

    smoothing: float = 1e-3
    centred: bool = True
    components: int = 0
    window: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class StaticVectors:
    """Distilled vectors.

    Attributes:
        rows: [n, d] float32, the weighted vector of each unit.
        window: of running texts, as in ``Recipe``.
    """

    rows: Floats
    window: int

    @classmethod
    def distil(
        cls, encoded: Floats, ranks: Sequence[int], vocabulary: int, recipe: Recipe
    ) -> StaticVectors:
        """Vectors from the encoder's rows of the units.

        Args:
            encoded: [n, d] the encoder's vector of each unit by itself.
            ranks: [n] of each unit by frequency, 0 for the most frequent.
            vocabulary: how many units there are to rank.
        """
        rows = encoded.astype(np.float64)
        if recipe.centred or recipe.components:
            rows = rows - rows.mean(axis=0)
        if recipe.components:
            _, directions = np.linalg.eigh(np.cov(rows.T))  # ascending
            rows = rows @ directions[:, ::-1][:, : recipe.components]
        if recipe.smoothing:
            frequency = 1 / ((np.asarray(ranks) + 2) * np.log(vocabulary))
            rows = rows * (recipe.smoothing / (recipe.smoothing + frequency))[:, None]
        return cls(rows.astype(np.float32), recipe.window)

    def whole(self, units: Sequence[int]) -> Floats:
        """[d] the unit vector of a text."""
        return _unit(self.rows[list(units)].sum(axis=0))

    def running(self, units: Sequence[int]) -> Floats:
        """[len(units), d] unit vectors of a text after each of its units."""
        sums = np.cumsum(self.rows[list(units)], axis=0)
        if self.window and len(sums) > self.window:
            sums[self.window :] -= sums[: -self.window].copy()
        return _unit(sums)


def _unit(rows: Floats) -> Floats:
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: Floats = rows / np.maximum(length, 1e-9)
    return scaled
