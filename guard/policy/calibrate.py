"""How similar to an example a request must be: one threshold per target, from data.

Two samples speak. The *negatives* are the target's counterexamples and the general prompts shipped
with the package: all must be allowed to pass. Split conformal prediction (Vovk; Papadopoulos 2002)
bounds them: above the ``ceil((n + 1)(1 - rate))``-th smallest of n scores, a new prompt of their
kind scores with a probability of at most ``rate``; where n is too small for that rank, the bound is
the largest score. The *typical* score is the median over the examples of each one's similarity to
the nearest other: what a prompt about the target that is no example looks like.

The threshold stands half-way from the bound to the typical score where the second is higher, since
users' harmless prompts come nearer to a target than any shipped set knows, and on the bound where
it is not. It never leaves [FLOOR, CAP].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

FLOOR: Final = 0.55
CAP: Final = 0.95
# Stands in for the median where there is only one example, and limits it where the examples are
# copies of each other. Paraphrases of a question score about 0.9 with all-MiniLM-L6-v2.
TYPICAL: Final = 0.85
# Paraphrases seldom score less; a bound above it leaves many of them unrecognised.
PARAPHRASE: Final = 0.75
# Keeps the negatives themselves below the threshold whatever the rounding of a batch.
_MARGIN: Final = 0.005

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Calibration:
    """A calibrated threshold and what it rests on.

    Attributes:
        bound: conformal bound on the negatives' scores.
        typical: typical score of a prompt about the target.
        passed: share of the negatives that reach the threshold (false positives).
    """

    threshold: float
    bound: float
    typical: float
    passed: float


def calibrate(examples: Vectors, negatives: Vectors, rate: float) -> Calibration:
    """Calibrate one target.

    Args:
        examples: [n, d] unit rows, n at least 1.
        negatives: [m, d] unit rows, m at least 1.
        rate: the share of harmless prompts that may be taken for the target, in (0, 1).
    """
    scores = (negatives @ examples.T).max(axis=1)
    bound = _upper_bound(scores, rate) + _MARGIN
    typical = _typical(examples)
    threshold = round(min(CAP, max(FLOOR, bound, (bound + typical) / 2)), 4)
    return Calibration(
        threshold=threshold,
        bound=bound,
        typical=typical,
        passed=float((scores >= threshold).mean()),
    )


def _upper_bound(scores: npt.NDArray[np.float32], rate: float) -> float:
    rank = math.ceil((len(scores) + 1) * (1 - rate))
    return float(np.sort(scores)[min(rank, len(scores)) - 1])


def _typical(examples: Vectors) -> float:
    if len(examples) < 2:
        return TYPICAL
    similarity = examples @ examples.T
    np.fill_diagonal(similarity, -1.0)
    return min(TYPICAL, float(np.median(similarity.max(axis=1))))
