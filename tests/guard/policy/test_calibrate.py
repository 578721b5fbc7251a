from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.policy.calibrate import CAP, FLOOR, TYPICAL, calibrate


def at(*cosines: float) -> npt.NDArray[np.float32]:
    """Unit rows in the plane at these cosines from the first axis."""
    return np.array([[c, np.sqrt(1 - c * c)] for c in cosines], np.float32)


@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=8),
    st.lists(st.floats(-1, 0.9), min_size=1, max_size=400),
    st.floats(0.001, 0.2),
)
def test_no_more_negatives_pass_than_the_rate_unless_the_cap_stops_it(
    examples: list[float], negatives: list[float], rate: float
) -> None:
    result = calibrate(at(*examples), at(*negatives), rate)
    assert FLOOR <= result.threshold <= CAP
    scores = (at(*negatives) @ at(*examples).T).max(axis=1)
    assert result.passed == pytest.approx(float((scores >= result.threshold).mean()))
    if result.threshold < CAP:
        assert (scores >= result.threshold).sum() <= rate * (len(scores) + 1)


def test_few_negatives_must_all_pass() -> None:
    assert calibrate(at(1.0), at(0.1, 0.7), 0.2).threshold > 0.7


def test_many_negatives_let_the_rate_through() -> None:
    many = at(*([0.1] * 990 + [0.8] * 10))
    assert calibrate(at(1.0), many, 0.02).bound < 0.2
    assert calibrate(at(1.0), many, 0.005).bound > 0.8


def test_the_threshold_stands_between_the_negatives_and_the_typical_example() -> None:
    result = calibrate(at(1.0, 1.0), at(0.5), 0.01)
    assert result.typical == TYPICAL
    assert result.threshold == pytest.approx((result.bound + TYPICAL) / 2, abs=1e-3)


def test_near_misses_beyond_the_typical_example_set_the_threshold_alone() -> None:
    result = calibrate(at(1.0, -1.0), at(0.9), 0.01)
    assert result.threshold == pytest.approx(result.bound, abs=1e-3)


def test_the_threshold_has_a_floor_and_a_cap() -> None:
    assert calibrate(at(1.0, -1.0), at(0.0), 0.01).threshold == FLOOR
    assert calibrate(at(1.0), at(1.0), 0.01).threshold == CAP
