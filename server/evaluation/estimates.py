"""How sure a figure is: intervals by drawing whole entities again, never single questions.

Questions about one author, or passages of one book, are alike. To draw them one by one would look
surer than the data allow, so the bootstrap draws authors and books (a cluster bootstrap; Cameron,
Gelbach and Miller 2008). All draws come from fixed seeds: the same answers give the same report.

Where none of n is met, or all are, drawing again would say that it is sure to be so. Then the edge
is that of the rule of three: with 95% confidence less than 3/n. It takes tries for independent, and
so is the least that can be said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

DRAWS: Final = 4_000
_SEED: Final = 11
# Of two or more entities; from fewer than this an interval is told with a warning.
FEW: Final = 5

Floats = npt.NDArray[np.float64]
Statistic = Callable[[Floats], float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with what it rests on.

    Attributes:
        low, high: the 95% interval; None where one entity alone gives none.
        n: how many things were counted.
        entities: how many groups they come in, which is what the interval draws.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    entities: int

    def json(self) -> dict[str, Any]:
        """Rounded for people: more digits than the data bear mean nothing."""

        def rounded(value: float | None) -> float | None:
            return None if value is None else round(value, 4)

        return {
            "value": rounded(self.value),
            "low": rounded(self.low),
            "high": rounded(self.high),
            "n": self.n,
            "entities": self.entities,
        }

    def times(self, factor: float) -> Estimate:
        """The same in another unit; ``factor`` is positive."""
        low, high = (None if edge is None else edge * factor for edge in (self.low, self.high))
        return Estimate(self.value * factor, low, high, self.n, self.entities)


def ratio(
    met: Sequence[float], of: Sequence[float], entities: Sequence[str], *, n: int | None = None
) -> Estimate | None:
    """The sum of ``met`` over the sum of ``of``, such as facts said over facts there are.

    Args:
        n: how many things were counted, if not the sum of ``of``.

    Returns:
        None where there is nothing to take a share of.
    """
    tops, bottoms = np.asarray(met, np.float64), np.asarray(of, np.float64)
    total = float(bottoms.sum())
    if not total:
        return None
    index, groups = _groups(entities)
    top = np.bincount(index, tops, groups)
    bottom = np.bincount(index, bottoms, groups)
    drawn = _drawn(groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = top[drawn].sum(axis=1) / bottom[drawn].sum(axis=1)
    count = round(total) if n is None else n
    low, high = _edges(values[np.isfinite(values)], groups)
    if low is not None and high is not None:
        unseen = min(1.0, 3 / total)
        high = unseen if not tops.any() else high
        low = 1 - unseen if np.array_equal(tops, bottoms) else low
    return Estimate(float(tops.sum()) / total, low, high, count, groups)


def mean(values: Sequence[float], entities: Sequence[str]) -> Estimate | None:
    """The mean over all things; None where there is none."""
    return ratio(values, [1.0] * len(values), entities)


def statistic(values: Sequence[float], entities: Sequence[str], of: Statistic) -> Estimate | None:
    """Any statistic of a sample, such as its largest value or its median.

    The interval of a largest value can only lie at or below it: what was not seen is not drawn.
    """
    if not values:
        return None
    sample = np.asarray(values, np.float64)
    index, groups = _groups(entities)
    own = [sample[index == group] for group in range(groups)]
    drawn = _drawn(groups, 1_000)
    seen = np.array([of(np.concatenate([own[g] for g in row])) for row in drawn])
    return Estimate(of(sample), *_edges(seen, groups), len(sample), groups)


def two_samples(
    left: Sequence[float],
    left_entities: Sequence[str],
    right: Sequence[float],
    right_entities: Sequence[str],
    of: Callable[[Floats, Floats], float],
    *,
    paired: bool,
) -> Estimate | None:
    """A statistic of two samples, such as how far two distributions lie apart.

    Args:
        paired: both samples are of the same entities, which are then drawn together.
    """
    if not len(left) or not len(right):
        return None
    one, other = np.asarray(left, np.float64), np.asarray(right, np.float64)
    if paired:
        known = {name: place for place, name in enumerate(dict.fromkeys(left_entities))}
        first = np.array([known[name] for name in left_entities])
        second = np.array([known[name] for name in right_entities])
        groups = other_groups = len(known)
    else:
        first, groups = _groups(left_entities)
        second, other_groups = _groups(right_entities)
    mine = [one[first == group] for group in range(groups)]
    yours = [other[second == group] for group in range(other_groups)]
    rows = _drawn(groups, 1_000)
    others = rows if paired else _drawn(other_groups, 1_000, seed=_SEED + 1)
    seen = np.array(
        [
            of(np.concatenate([mine[g] for g in row]), np.concatenate([yours[g] for g in beside]))
            for row, beside in zip(rows, others, strict=True)
        ]
    )
    fewest = min(groups, other_groups)
    return Estimate(of(one, other), *_edges(seen, fewest), len(one) + len(other), fewest)


def kolmogorov_smirnov(left: Floats, right: Floats) -> float:
    """The largest distance between two cumulative distributions, 0 to 1."""
    from scipy.stats import ks_2samp

    return float(ks_2samp(left, right).statistic)


def ks_p(left: Sequence[float], right: Sequence[float]) -> float:
    """The p-value of the two-sample test, which takes every item for independent, as TOFU does."""
    from scipy.stats import ks_2samp

    return float(ks_2samp(left, right).pvalue)


def auc(members: Floats, others: Floats) -> float:
    """How often a member scores above another, ties counted half (Mann-Whitney)."""
    ranks = np.sort(others)
    below = np.searchsorted(ranks, members, "left")
    upto = np.searchsorted(ranks, members, "right")
    return float((below + upto).mean() / (2 * len(others)))


def _groups(entities: Sequence[str]) -> tuple[npt.NDArray[np.int64], int]:
    """The place of each thing's entity among all of them, by first appearance."""
    places = {name: place for place, name in enumerate(dict.fromkeys(entities))}
    return np.array([places[name] for name in entities], np.int64), len(places)


def _drawn(groups: int, draws: int = DRAWS, seed: int = _SEED) -> npt.NDArray[np.int64]:
    """[draws, groups] int64: for each draw as many entities as there are, with replacement."""
    return np.random.default_rng(seed).integers(0, groups, (draws, groups))


def _edges(values: Floats, groups: int) -> tuple[float | None, float | None]:
    if groups < 2 or not len(values):
        return None, None
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
