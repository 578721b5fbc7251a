from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.bundle import Method
from guard.policy.calibrate import (
    CLOSEST,
    MANNERS,
    MARGIN,
    Calibration,
    Kind,
    Manner,
    Negatives,
    calibrate,
)
from guard.policy.conformal import needed

MANNER = Manner(floor=0.55, cap=0.95, typical=0.85, towards=0.6)


def negatives(near: list[float], general: list[float]) -> dict[Kind, Negatives]:
    return {
        "counterexamples": Negatives(
            [f"near {i}" for i in range(len(near))], np.array(near, np.float32)
        ),
        "general": Negatives(
            [f"general {i}" for i in range(len(general))], np.array(general, np.float32)
        ),
    }


def of(near: list[float], general: list[float], typical: float, rate: float) -> Calibration:
    return calibrate(negatives(near, general), np.array([typical], np.float32), rate, MANNER)


COSINES = st.floats(-1, 1, width=32)


@given(
    st.lists(COSINES, max_size=60),
    st.lists(COSINES, min_size=1, max_size=400),
    COSINES,
    st.floats(0.001, 0.2),
)
def test_of_neither_kind_do_more_pass_than_the_rate_unless_the_cap_stops_it(
    near: list[float], general: list[float], typical: float, rate: float
) -> None:
    made = of(near, general, typical, rate)
    assert MANNER.floor <= made.threshold <= MANNER.cap
    both = np.array([*near, *general], np.float32)
    assert made.passed == pytest.approx(float((both >= made.threshold).mean()))
    if not made.capped:
        for own in (near, general):
            assert sum(score >= made.threshold for score in own) <= rate * (len(own) + 1)
    if made.bound > MANNER.cap:
        assert made.threshold == MANNER.cap


def test_few_near_misses_must_all_pass_however_many_general_prompts_there_are() -> None:
    made = of([0.8, 0.1], [0.2] * 999, -1.0, 0.005)
    assert made.threshold == pytest.approx(0.8 + MARGIN, abs=1e-4)
    assert not made.bounds["counterexamples"].holds
    assert made.bounds["general"].holds


def test_many_negatives_let_the_rate_through() -> None:
    many = [0.1] * 990 + [0.8] * 10
    assert of([], many, 0.5, 0.02).bound < 0.2
    assert of([], many, 0.005, 0.005).bound > 0.8
    assert needed(0.02) <= len(many)


def test_the_threshold_stands_between_the_negatives_and_the_typical_example() -> None:
    made = of([], [0.5], 0.85, 0.01)
    assert made.bound < made.threshold < 0.85
    assert made.threshold == pytest.approx(0.4 * made.bound + 0.6 * 0.85, abs=1e-3)


def test_near_misses_beyond_the_typical_example_set_the_threshold_alone() -> None:
    made = of([0.9], [0.1], 0.6, 0.01)
    assert made.threshold == pytest.approx(made.bound, abs=1e-3)


def test_the_threshold_has_a_floor_and_a_cap() -> None:
    assert of([], [0.0], 0.2, 0.01).threshold == MANNER.floor
    capped = of([1.0], [0.0], 0.2, 0.01)
    assert capped.threshold == MANNER.cap
    assert capped.capped


@given(
    st.lists(st.sampled_from([0.12344, 0.12345, 0.12346, 0.6, 0.9, -1.0]), max_size=20),
    st.lists(COSINES, min_size=1, max_size=20),
)
def test_the_closest_are_those_that_come_first_of_all(
    near: list[float], general: list[float]
) -> None:
    made = of(near, general, 0.8, 0.01)
    every = [
        (-round(float(score), 4), kind, prompt)
        for kind, own in negatives(near, general).items()
        for prompt, score in zip(own.prompts, own.scores, strict=True)
    ]
    found = [(-each.score, each.kind, each.prompt) for each in made.closest]
    assert found == sorted(every)[: len(found)]
    assert len(found) >= min(CLOSEST, len(every))


def test_the_closest_negatives_are_named_and_all_that_would_be_taken() -> None:
    made = of([0.3, 0.99, 0.98], [0.1] * 20 + [0.97, 0.96, 0.955, 0.951], 0.5, 0.01)
    assert [each.score for each in made.closest[:3]] == [0.99, 0.98, 0.97]
    assert made.closest[0].prompt == "near 1"
    assert made.closest[0].kind == "counterexamples"
    assert len(made.closest) == 6
    assert len(of([], [0.1] * 9, 0.5, 0.01).closest) == CLOSEST


def test_without_negatives_there_is_nothing_to_calibrate_with() -> None:
    with pytest.raises(ValueError, match="no negatives"):
        of([], [], 0.8, 0.005)


def test_the_typical_score_is_a_median_and_never_that_of_copies() -> None:
    def typical(*own: float) -> float:
        return calibrate(negatives([], [0.1]), np.array(own, np.float32), 0.005, MANNER).typical

    assert typical(0.2, 0.7, 0.6) == pytest.approx(0.6)
    assert typical(1.0, 1.0) == MANNER.typical
    assert typical() == MANNER.typical


def test_every_method_has_a_manner() -> None:
    assert set(MANNERS) == set(get_args(Method))
    for manner in MANNERS.values():
        assert 0 < manner.floor < manner.cap
        assert 0 <= manner.towards <= 1
