"""Split conformal bounds: the score that new harmless prompts seldom exceed, and how sure that is.

With n scores of harmless prompts, a new one of their kind exceeds the k-th smallest with a
probability of at most ``1 - k / (n + 1)``, whatever their distribution (Vovk, Gammerman & Shafer
2005; Papadopoulos et al. 2002). That probability is over the n prompts too. For the n prompts at
hand, the share of all such prompts above the k-th smallest follows at worst a beta distribution
(Wilks 1941; Vovk 2012), whose quantile is the exact bound of Clopper and Pearson (1934).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

CONFIDENCE: Final = 0.95
# Halvings of [0, 1]: more than a float tells apart.
_HALVINGS: Final = 60

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Bound:
    """What n scores say about the scores of new prompts of their kind.

    Attributes:
        n: how many scores there are.
        rate: the share of new prompts that may exceed the bound, as asked for.
        rank: which of the scores the bound is, the smallest being 1.
        score: the bound.
        expected: the share of new prompts above it that is to be expected at most.
        at_most: the share above it that is not exceeded with a confidence of ``CONFIDENCE``.
    """

    n: int
    rate: float
    rank: int
    score: float
    expected: float
    at_most: float

    @property
    def holds(self) -> bool:
        """Whether n is enough to promise ``rate``; if not, the bound is the largest score."""
        return self.n >= needed(self.rate)


def bound(scores: Scores, rate: float) -> Bound:
    """The bound that a share of at most ``rate`` of new prompts exceeds.

    Args:
        scores: [n] of harmless prompts, n at least 1.
        rate: in (0, 1).

    Raises:
        ValueError: there are no scores.
    """
    n = len(scores)
    if not n:
        raise ValueError("there are no scores to bound")
    rank = min(n, _rank(n, rate))
    return Bound(
        n=n,
        rate=rate,
        rank=rank,
        score=float(np.sort(scores)[rank - 1]),
        expected=1 - rank / (n + 1),
        at_most=upper_share(n - rank, n),
    )


def _rank(n: int, rate: float) -> int:
    # 200 * (1 - 0.005) is 199, and a hair more as floats.
    return math.ceil((n + 1) * (1 - rate) - 1e-9)


def needed(rate: float) -> int:
    """The least n of which ``(n + 1) * rate >= 1``: fewer scores cannot promise ``rate``."""
    return math.ceil(1 / rate - 1e-9) - 1


def upper_share(seen: int, n: int, confidence: float = CONFIDENCE) -> float:
    """The exact upper bound on a share of which ``seen`` of ``n`` were met (Clopper-Pearson)."""
    if seen >= n:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        share = (low + high) / 2
        if _at_most(seen, n, share) > 1 - confidence:
            low = share
        else:
            high = share
    return high


def _at_most(seen: int, n: int, share: float) -> float:
    """Chance that of n independent prompts at most ``seen`` are met."""
    if share in (0.0, 1.0):
        return 1.0 - share
    return math.fsum(
        math.exp(
            math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
            + k * math.log(share) + (n - k) * math.log1p(-share)
        )
        for k in range(seen + 1)
    )  # fmt: skip
