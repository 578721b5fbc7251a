"""How much of what could have got out did, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

_DRAWS: Final = 4_000
_SEED: Final = 5


@dataclass(frozen=True, slots=True)
class Share:
    """A share, in percent.

    Attributes:
        met: how many, less those of a model that never knew where a difference is meant.
        low, high: 95% interval, by drawing groups again: what is asked about one author is alike.
    """

    met: float
    n: int
    percent: float
    low: float
    high: float


def share(by_group: Mapping[str, tuple[float, int]]) -> Share:
    """The share over groups of (met, n).

    Where none is met, drawing again would say that it is sure to be none. Then ``high`` is the
    rule of three: at n tries without one, less than 3/n with 95% confidence. It takes tries for
    independent, and so is the least that can be said.
    """
    met = np.array([own for own, _ in by_group.values()], np.float64)
    sizes = np.array([n for _, n in by_group.values()], np.float64)
    n = int(sizes.sum())
    if not n:
        return Share(0.0, 0, 0.0, 0.0, 100.0)
    if not met.any():
        return Share(0.0, n, 0.0, 0.0, _percent(min(1.0, 3 / n)))
    drawn = np.random.default_rng(_SEED).integers(0, len(met), (_DRAWS, len(met)))
    totals = sizes[drawn].sum(axis=1)
    shares = met[drawn].sum(axis=1)[totals > 0] / totals[totals > 0]
    low, high = np.quantile(shares, [0.025, 0.975])
    total = float(met.sum())
    return Share(total, n, _percent(total / n), _percent(low), _percent(high))


def together(parts: Iterable[Mapping[str, tuple[float, int]]]) -> dict[str, tuple[float, int]]:
    """Several of them as one, group by group."""
    out: dict[str, tuple[float, int]] = {}
    for part in parts:
        for group, (met, n) in part.items():
            before = out.get(group, (0.0, 0))
            out[group] = (before[0] + met, before[1] + n)
    return out


def _percent(value: float) -> float:
    return round(100 * float(value), 2)
