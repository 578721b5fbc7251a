"""The spread of a timed arm."""

from __future__ import annotations

import pytest

from load_tests.figures.throughput import Spread, spread


def test_a_spread_has_the_median_and_the_quartiles() -> None:
    assert spread([5.0, 1.0, 3.0, 2.0, 4.0]) == Spread(
        runs=5, median=3.0, p25=1.5, p75=4.5, least=1.0, most=5.0
    )


def test_one_run_has_no_spread() -> None:
    with pytest.raises(ValueError, match="at least"):
        spread([1.0])
