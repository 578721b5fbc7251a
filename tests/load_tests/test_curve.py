import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from load_tests.curve import area, operate, precision_recall, threshold_for

scores = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=30)


@given(scores, scores)
def test_area_is_the_share_of_pairs_in_order(
    positives: list[float], negatives: list[float]
) -> None:
    pairs = [(p > n) + (p == n) / 2 for p in positives for n in negatives]
    assert area(positives, negatives) == pytest.approx(sum(pairs) / len(pairs))


def test_area_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to compare"):
        area([], [1.0])


@given(scores, st.floats(0, 1))
def test_threshold_meets_no_more_than_its_share_and_the_next_lower_score_would(
    harmless: list[float], share: float
) -> None:
    threshold = threshold_for(harmless, share)
    assert sum(score >= threshold for score in harmless) <= share * len(harmless)
    below = [score for score in harmless if score < threshold]
    if below:
        looser = max(below)
        assert sum(score >= looser for score in harmless) > int(share * len(harmless))


def test_threshold_that_may_meet_all_is_below_everything() -> None:
    assert threshold_for([1.0, 2.0], 1.0) == -math.inf


def test_operating_point_is_judged_on_texts_it_was_not_set_on() -> None:
    calibration = [0.1, 0.2, 0.3, 0.4]
    point = operate([0.5, 0.3], [0.35, 0.45, 0.1, 0.1], calibration=calibration, share=0.25)
    assert 0.3 < point.threshold < 0.31
    assert (point.recall, point.false_positives) == (0.5, 0.5)
    assert point.precision == 0.5


@given(scores, scores)
def test_precision_and_recall_are_those_of_counting(
    positives: list[float], negatives: list[float]
) -> None:
    recall, precision = precision_recall(positives, negatives)
    thresholds = sorted({*positives, *negatives}, reverse=True)
    for threshold, met, right in zip(thresholds, recall, precision, strict=True):
        p = np.mean([score >= threshold for score in positives])
        n = np.mean([score >= threshold for score in negatives])
        assert met == pytest.approx(p)
        assert right == pytest.approx(p / (p + n))
