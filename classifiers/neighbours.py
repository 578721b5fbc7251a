"""How close texts come to each target's examples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from guard.bundle import Bundle


class Neighbours:
    """The examples of a bundle, grouped by target for one matrix product and one reduction."""

    def __init__(self, bundle: Bundle) -> None:
        order = np.argsort(bundle.example_targets, kind="stable")
        owners = bundle.example_targets[order]
        self._examples = np.ascontiguousarray(bundle.examples[order])  # [n, d]
        # First row of each target that has examples, and that target.
        self._targets, self._starts = np.unique(owners, return_index=True)

    def __bool__(self) -> bool:
        return len(self._targets) > 0

    def best(self, vectors: npt.NDArray[np.float32]) -> dict[int, float]:
        """The best cosine similarity per target over all rows of ``vectors`` [m, d], m >= 1."""
        scores = (vectors @ self._examples.T).max(axis=0)  # [n]
        per_target = np.maximum.reduceat(scores, self._starts)
        return {
            int(target): float(score)
            for target, score in zip(self._targets, per_target, strict=True)
        }
