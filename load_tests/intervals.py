"""How sure a share is: Wilson's interval, and a bootstrap where what is counted comes in groups."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

# Of the normal distribution, for 95%.
_Z: Final = 1.959963984540054
_DRAWS: Final = 10_000
_SEED: Final = 11


def wilson(met: int, n: int) -> tuple[float, float]:
    """The 95% interval of a share of independent things (Wilson 1927).

    Raises:
        ValueError: there is nothing to take a share of.
    """
    if n < 1:
        raise ValueError("there is nothing to take a share of")
    share, weight = met / n, _Z * _Z / n
    centre = (share + weight / 2) / (1 + weight)
    half = _Z / (1 + weight) * math.sqrt(share * (1 - share) / n + weight / (4 * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def by_group(met: Mapping[str, Sequence[bool]]) -> tuple[float, float]:
    """The 95% interval of a share of things that come in groups, by drawing whole groups again.

    Questions about one author are alike; to count each for itself would look surer than it is.

    Args:
        met: of each group, whether each of its things is met.

    Raises:
        ValueError: there is nothing to take a share of.
    """
    if not any(met.values()) and not sum(map(len, met.values())):
        raise ValueError("there is nothing to take a share of")
    counts = np.array([sum(own) for own in met.values()], np.float64)
    sizes = np.array([len(own) for own in met.values()], np.float64)
    drawn = np.random.default_rng(_SEED).integers(0, len(counts), (_DRAWS, len(counts)))
    shares = counts[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high)


def of_median(values: Sequence[float]) -> tuple[float, float]:
    """The 95% bootstrap interval of the median of independent values.

    Raises:
        ValueError: there are none.
    """
    if not values:
        raise ValueError("there is nothing to take a median of")
    kept = np.asarray(values, np.float64)
    drawn = np.random.default_rng(_SEED).integers(0, len(kept), (_DRAWS, len(kept)))
    low, high = np.quantile(np.median(kept[drawn], axis=1), [0.025, 0.975])
    return float(low), float(high)
