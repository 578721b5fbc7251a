"""How well a score tells texts that should be met from texts that should pass.

A threshold is set on one half of the texts that should pass, and what it meets is counted on the
other: a threshold set where it is judged would look better than it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Operating:
    """One threshold and what it does.

    Attributes:
        asked: share of harmless texts that it was set to meet.
        threshold: least score that is met.
        false_positives: share of the other harmless texts that it meets.
        recall: share of the texts to be met that it meets.
        precision: of as many texts of each sort that it meets, the share that should be.
    """

    asked: float
    threshold: float
    false_positives: float
    recall: float
    precision: float


def area(positives: Sequence[float], negatives: Sequence[float]) -> float:
    """Chance that a random positive scores above a random negative, ties counted half.

    Raises:
        ValueError: one of them is empty.
    """
    if not len(positives) or not len(negatives):
        raise ValueError("there is nothing to compare")
    ordered = np.sort(np.asarray(negatives, np.float64))
    wanted = np.asarray(positives, np.float64)
    below = np.searchsorted(ordered, wanted, side="left")
    at_most = np.searchsorted(ordered, wanted, side="right")
    return float((below + at_most).mean() / (2 * len(ordered)))


def threshold_for(harmless: Sequence[float], share: float) -> float:
    """The least threshold that meets at most ``share`` of these texts.

    A text is met where its score is at or above the threshold.
    """
    ordered = np.sort(np.asarray(harmless, np.float64))[::-1]
    allowed = int(share * len(ordered))
    if allowed >= len(ordered):
        return -np.inf
    return float(np.nextafter(ordered[allowed], np.inf))


def operate(
    positives: Sequence[float],
    harmless: Sequence[float],
    *,
    calibration: Sequence[float],
    share: float,
) -> Operating:
    """What a threshold does that was set elsewhere.

    Args:
        positives, harmless: scores of the texts to judge by.
        calibration: scores of other harmless texts, which the threshold is set on.
        share: of those, how many it may meet.
    """
    threshold = threshold_for(calibration, share)
    met = float(np.mean(np.asarray(positives) >= threshold))
    wrong = float(np.mean(np.asarray(harmless) >= threshold))
    precision = met / (met + wrong) if met + wrong else 0.0
    return Operating(share, threshold, wrong, met, precision)


def precision_recall(
    positives: Sequence[float], negatives: Sequence[float]
) -> tuple[Scores, Scores]:
    """Precision and recall at every threshold, both sorts weighed alike.

    Returns:
        [n] recall, ascending, and [n] precision; one point for each distinct score.
    """
    wanted = np.sort(np.asarray(positives, np.float64))
    other = np.sort(np.asarray(negatives, np.float64))
    thresholds = np.unique(np.concatenate([wanted, other]))[::-1]
    met = 1 - np.searchsorted(wanted, thresholds, side="left") / len(wanted)
    wrong = 1 - np.searchsorted(other, thresholds, side="left") / len(other)
    return met, met / (met + wrong)
