"""How close texts come to each target's examples: every target that is close enough, exactly.

Detection asks for each target whether its nearest example is at or above the target's own
threshold, so neither the nearest few of all examples nor an approximate index will do: many
examples of one target would crowd out another, and a graph that is searched greedily may miss one.

Up to ``SIEVED`` examples the whole product is taken. Above that a sieve comes first, which can only
let too many through. All vectors are turned so that their first dimensions hold most of what they
say; then, by Cauchy and Schwarz, q·x <= q'·x' + |q"||x"|, with ' the first dimensions and " the
rest. An example whose bound is below its target's threshold is certainly too far away; of the few
others the true product is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from guard.bundle import Bundle

Vectors = npt.NDArray[np.float32]

# Examples from which on the sieve is used: as quick below, much quicker above (index-scale).
SIEVED: Final = 10_000
# How much of the examples' second moment the first dimensions hold.
_HELD: Final = 0.8
# Rows that the turn is found from.
_SAMPLE: Final = 50_000
# Rows at a time: small enough to stay in a core's cache.
_BLOCK: Final = 8192
# Far above what rounding does to a sum of d products of unit vectors.
_MARGIN: Final = 1e-4
# The share of a block that is copied out; of more, the product of the whole block is cheaper.
_FEW: Final = 0.25
# No cosine similarity: for targets that have no threshold.
_NEVER: Final = 2.0


class Neighbours:
    """The examples of a bundle, grouped by target.

    Args:
        sieved: examples from which on the sieve is used.

    Attributes:
        large: a query takes long enough to be run beside an event loop.
    """

    def __init__(self, bundle: Bundle, *, sieved: int = SIEVED) -> None:
        owners = bundle.example_targets
        examples = bundle.examples
        if len(owners) and not (np.diff(owners) >= 0).all():
            order = np.argsort(owners, kind="stable")
            owners, examples = owners[order], examples[order]
        self._examples = np.ascontiguousarray(examples, np.float32)  # [n, d]
        self._owners = owners  # [n], ascending
        thresholds = [t.thresholds.get("neighbour", _NEVER) for t in bundle.targets]
        self._thresholds = np.array(thresholds, np.float32)  # by target
        self.large = len(owners) >= sieved
        self._sieve = (
            _Sieve(self._examples, self._thresholds[owners], bundle.encoder) if self.large else None
        )

    def __bool__(self) -> bool:
        return len(self._owners) > 0

    def best(self, vectors: Vectors) -> dict[int, float]:
        """The best cosine similarity over all rows of ``vectors`` [m, d], m >= 1, by target.

        Only of targets whose threshold it reaches.
        """
        return self.best_of_each(vectors, [len(vectors)])[0]

    def best_of_each(self, vectors: Vectors, sizes: Sequence[int]) -> list[dict[int, float]]:
        """As ``best``, of several groups of rows in one go.

        Args:
            vectors: [m, d] float32, unit rows, the groups one after the other.
            sizes: how many rows each group has; together m.
        """
        found: list[dict[int, float]] = [{} for _ in sizes]
        groups = [group for group, size in enumerate(sizes) if size]
        if not groups or not self:
            return found
        ends = np.cumsum(sizes)
        starts = [int(ends[group] - sizes[group]) for group in groups]
        for owners, scores in self._near(vectors):
            by_group = scores  # [n, groups]
            if len(groups) < len(vectors):
                by_group = np.maximum.reduceat(scores, starts, axis=1)
            targets, firsts = np.unique(owners, return_index=True)
            by_target = np.maximum.reduceat(by_group, firsts, axis=0)
            met = by_target >= self._thresholds[targets][:, None]
            for row, column in zip(*np.nonzero(met), strict=True):
                own, target = found[groups[column]], int(targets[row])
                own[target] = max(own.get(target, -1.0), float(by_target[row, column]))
        return found

    def _near(self, vectors: Vectors) -> Iterator[tuple[npt.NDArray[np.int32], Vectors]]:
        """Owners [k] and scores [k, m] of all examples that may reach a threshold, by blocks."""
        sieve = self._sieve.of(vectors) if self._sieve else None
        for start in range(0, len(self._owners), _BLOCK):
            rows: slice | npt.NDArray[np.int64] = slice(start, start + _BLOCK)
            if sieve is not None:
                left = sieve(start)
                if not len(left):
                    continue
                if len(left) < _FEW * _BLOCK:
                    rows = left
            yield self._owners[rows], self._examples[rows] @ vectors.T


class _Sieve:
    """Bounds of products with the examples.

    Args:
        examples: [n, d] float32, unit rows.
        thresholds: [n] float32, what a product with each must reach to count.
        encoder: the digest of what made them.
    """

    def __init__(self, examples: Vectors, thresholds: Vectors, encoder: str) -> None:
        self._turn, self._first = _turn_of(examples, encoder)
        # Columns: the first dimensions, the length of the rest, and the threshold to subtract, so
        # that one product gives by how much the bound exceeds the threshold.
        self._rows = np.empty((len(examples), self._first + 2), np.float32)
        for start in range(0, len(examples), _BLOCK):
            block = slice(start, start + _BLOCK)
            self._rows[block, :-1] = self._turned(examples[block])
        self._rows[:, -1] = _MARGIN - thresholds

    def of(self, vectors: Vectors) -> _Sieved:
        """What to sieve the examples with for ``vectors`` [m, d]."""
        turned = self._turned(vectors)
        ones = np.ones((len(vectors), 1), np.float32)
        return _Sieved(self._rows, np.concatenate([turned, ones], axis=1).T)

    def _turned(self, vectors: Vectors) -> Vectors:
        turned = vectors @ self._turn
        rest = np.linalg.norm(turned[:, self._first :], axis=1, keepdims=True)
        return np.concatenate([turned[:, : self._first], rest], axis=1)


# By encoder and by the order of magnitude of the examples' number.
_turns: dict[tuple[str, int, int], tuple[Vectors, int]] = {}


def _turn_of(examples: Vectors, encoder: str) -> tuple[Vectors, int]:
    """An orthogonal matrix [d, d] and how many of its columns come first.

    Any such matrix gives bounds that hold, so the one of a policy before an edit serves as well:
    to find it takes longer than all else that an edit takes.
    """
    n, d = examples.shape
    key = (encoder, d, n.bit_length())
    if key not in _turns:
        sample = examples[:: max(1, n // _SAMPLE)]
        moments, turn = np.linalg.eigh(sample.T @ sample)  # ascending
        held = np.cumsum(moments[::-1]) / moments.sum()
        first = min(int(np.searchsorted(held, _HELD)) + 1, d)
        _turns[key] = np.ascontiguousarray(turn[:, ::-1], np.float32), first
    return _turns[key]


class _Sieved:
    """The places of the examples of a block that may reach their thresholds."""

    def __init__(self, rows: Vectors, queries: Vectors) -> None:
        self._rows, self._queries = rows, queries  # [n, k], [k, m]

    def __call__(self, start: int) -> npt.NDArray[np.int64]:
        bounds = self._rows[start : start + _BLOCK] @ self._queries
        places: npt.NDArray[np.int64] = np.flatnonzero(bounds.max(axis=1) >= 0) + start
        return places
