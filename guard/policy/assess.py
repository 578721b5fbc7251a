"""What a target's scores promise: curves for its owner, from the prompts of the policy alone.

Recall is of the examples, each scored by the others with itself left out; paraphrases of examples
are recognised more often, descriptions that name nothing less often. The false positives that a
rate leads to are counted on general prompts that the threshold was not set with: they are dealt
into ``FOLDS`` parts, and each part is judged by the bound of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from guard.policy.conformal import Scores, bound, upper_share

FOLDS: Final = 5
_SEED: Final = 7
RATES: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)


@dataclass(frozen=True, slots=True)
class Tradeoff:
    """What a threshold would do: shares of the examples and of the negatives that reach it.

    Attributes:
        precision: of as many prompts of each sort that reach it, the share that should;
            None where none does.
    """

    threshold: float
    recall: float
    false_positives: float
    precision: float | None


@dataclass(frozen=True, slots=True)
class Kept:
    """Whether a rate is kept on prompts that the bound was not set with.

    Attributes:
        seen: the share of them above the bound.
        at_most: the share that is not exceeded with a confidence of 95%.
    """

    rate: float
    seen: float
    at_most: float


def tradeoffs(own: Scores, negatives: Scores) -> list[Tradeoff]:
    """One for each distinct score, from the highest threshold to the lowest.

    Args:
        own: [n] of the examples by the others, n at least 1.
        negatives: [m] of the prompts that must pass, m at least 1.
    """
    wanted, other = np.sort(own), np.sort(negatives)
    out = []
    for threshold in np.unique(np.concatenate([wanted, other]))[::-1]:
        met = 1 - np.searchsorted(wanted, threshold, side="left") / len(wanted)
        wrong = 1 - np.searchsorted(other, threshold, side="left") / len(other)
        both = met + wrong
        out.append(
            Tradeoff(
                float(threshold), float(met), float(wrong), float(met / both) if both else None
            )
        )
    return out


def share_above(scores: Scores, threshold: float) -> float | None:
    """The share of scores [n] that reach a threshold; None of no scores."""
    return float((scores >= threshold).mean()) if len(scores) else None


def kept(general: Scores) -> list[Kept]:
    """For each of ``RATES``, what a bound set on the other folds lets through.

    Args:
        general: [n] scores of general prompts; nothing is said of fewer than ``FOLDS``.
    """
    n = len(general)
    if n < FOLDS:
        return []
    fold = np.random.default_rng(_SEED).permutation(n) % FOLDS
    out = []
    for rate in RATES:
        above = sum(
            int((general[fold == part] > bound(general[fold != part], rate).score).sum())
            for part in range(FOLDS)
        )
        out.append(Kept(rate, above / n, upper_share(above, n)))
    return out
