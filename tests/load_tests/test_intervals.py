from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from load_tests.intervals import by_group, of_median, wilson


@given(st.integers(1, 2000), st.data())
def test_the_interval_of_a_share_is_wilsons(n: int, data: st.DataObject) -> None:
    met = data.draw(st.integers(0, n))
    wanted = binomtest(met, n).proportion_ci(method="wilson")
    assert wilson(met, n) == pytest.approx((wanted.low, wanted.high))


def test_groups_that_differ_make_a_share_less_sure() -> None:
    alike = {str(i): [True] * 18 + [False] * 2 for i in range(10)}
    apart = {str(i): [i != 0] * 20 for i in range(10)}
    assert by_group(alike) == (0.9, 0.9)
    low, high = by_group(apart)
    assert low < 0.8
    assert high == 1.0
    assert by_group(apart) == (low, high)


def test_of_nothing_there_is_no_share() -> None:
    with pytest.raises(ValueError, match="nothing"):
        wilson(0, 0)
    with pytest.raises(ValueError, match="nothing"):
        by_group({"a": []})


def test_a_median_of_many_is_surer_than_of_few() -> None:
    few, many = [1.0, 2.0, 3.0], [1.0, 2.0, 3.0] * 50
    low, high = of_median(few)
    assert (low, high) == (1.0, 3.0)
    assert of_median(many) == (2.0, 2.0)


def test_of_nothing_there_is_no_median() -> None:
    with pytest.raises(ValueError, match="nothing"):
        of_median([])
