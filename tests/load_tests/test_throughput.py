"""Arms in turns, and what is made of their rates."""

from __future__ import annotations

import pytest

from load_tests.figures.throughput import Ratio, Spread, ratio, spread, turned


def test_a_spread_has_the_median_and_the_quartiles() -> None:
    assert spread([5.0, 1.0, 3.0, 2.0, 4.0]) == Spread(
        runs=5, median=3.0, p25=1.5, p75=4.5, least=1.0, most=5.0
    )


def test_one_run_has_no_spread() -> None:
    with pytest.raises(ValueError, match="at least"):
        spread([1.0])


def test_a_ratio_is_of_batches_of_the_same_round() -> None:
    # The machine halves its speed on the way; each round the first arm is a tenth slower.
    without = [100.0, 90.0, 60.0, 50.0]
    found = ratio([0.9 * rate for rate in without], without)
    assert found == Ratio(median=0.9, low=0.9, high=0.9)


def test_arms_without_the_same_rounds_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="longer"):
        ratio([1.0], [1.0, 2.0])


def test_each_arm_takes_each_place_as_often() -> None:
    names = ["a", "b", "c"]
    rounds = [turned(names, round_) for round_ in range(6)]
    assert all(sorted(order) == names for order in rounds)
    for place in range(3):
        assert sorted(order[place] for order in rounds) == ["a", "a", "b", "b", "c", "c"]
    assert len({tuple(order) for order in rounds}) == 6
