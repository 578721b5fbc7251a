"""How much texts sound like each target's examples rather than like the same about others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from guard.bundle import Bundle


class Contrasts:
    """The directions of a bundle's targets, for one matrix product."""

    def __init__(self, bundle: Bundle) -> None:
        self._directions = np.ascontiguousarray(bundle.contrasts.T)  # [d, n]
        self._targets: list[int] = bundle.contrast_targets.tolist()

    def best(self, vectors: npt.NDArray[np.float32]) -> dict[int, float]:
        """The best score per target over all rows of ``vectors`` [m, d], m >= 1."""
        if not self._targets:
            return {}
        scores = (vectors @ self._directions).max(axis=0)  # [n]
        return dict(zip(self._targets, scores.tolist(), strict=True))
