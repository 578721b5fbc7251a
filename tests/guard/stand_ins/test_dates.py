from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.normalise import normalise
from guard.stand_ins.dates import Day, find_days, wordings

DAYS = st.builds(Day, st.none() | st.integers(1000, 2099), st.integers(1, 12), st.integers(1, 28))


@pytest.mark.parametrize(
    "text",
    [
        "06/30/1975", "6/30/1975", "30/06/1975", "30.6.1975", "1975-06-30", "June 30, 1975",
        "June 30th 1975", "30 June 1975", "the 30th of June, 1975", "Jun. 30, 1975",
        "on the 30th day of june 1975,",
    ],
)  # fmt: skip
def test_a_day_is_the_same_day_however_it_is_written(text: str) -> None:
    assert find_days(f"Who was born {text}?") == [Day(1975, 6, 30)]


@pytest.mark.parametrize("text", ["June 31", "13/13/1975", "1/2/3/1975", "v1.2.1975a", "in 1975"])
def test_what_is_no_day_is_none(text: str) -> None:
    assert Day(1975, 6, 30) not in find_days(text)
    assert all(day.day < 31 or day.month != 6 for day in find_days(text))


def test_several_days_are_all_found() -> None:
    assert find_days("From May 1 to 3 May 1990.") == [Day(None, 5, 1), Day(1990, 5, 3)]


@given(DAYS)
def test_every_wording_of_a_day_is_read_as_that_day_or_with_day_and_month_exchanged(
    day: Day,
) -> None:
    for wording in wordings(day):
        (found,) = find_days(wording)
        assert found.year in (day.year, None)
        assert (found.month, found.day) in {(day.month, day.day), (day.day, day.month)}


@given(DAYS, DAYS)
def test_two_days_have_the_same_wordings_in_the_same_order(one: Day, other: Day) -> None:
    other = Day(one.year and (other.year or 1999), other.month, other.day)
    for left, right in zip(wordings(one), wordings(other), strict=True):
        assert normalise(left).count(" ") == normalise(right).count(" ")
        assert left[0].isdecimal() == right[0].isdecimal()
