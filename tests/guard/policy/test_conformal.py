from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binomtest

from guard.policy.conformal import Bound, bound, needed, upper_share

RATES = st.sampled_from([0.001, 0.004, 0.005, 0.01, 0.03, 0.05, 0.1, 0.2])


def scores(values: list[float]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array(values, np.float32)


def least_score_that_holds(values: list[float], rate: float) -> float | None:
    """By trial: the least of the scores that, of n + 1 alike, at most ``rate`` exceed."""
    exact = Fraction(str(rate))
    for place, value in enumerate(sorted(values), start=1):
        if Fraction(len(values) + 1 - place, len(values) + 1) <= exact:
            return value
    return None


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=1200), RATES)
def test_the_bound_is_the_least_score_that_keeps_the_rate(values: list[float], rate: float) -> None:
    found = bound(scores(values), rate)
    wanted = least_score_that_holds(values, rate)
    assert found.holds == (wanted is not None)
    assert found.score == pytest.approx(max(values) if wanted is None else wanted)
    if found.holds:
        assert found.expected <= rate + 1e-12


@pytest.mark.parametrize(("rate", "n"), [(0.005, 199), (0.01, 99), (0.2, 4), (0.003, 333)])
def test_as_many_scores_are_needed_as_can_promise_the_rate(rate: float, n: int) -> None:
    assert needed(rate) == n
    assert bound(scores([0.1] * n), rate).holds
    few = bound(scores([*([0.1] * (n - 2)), 0.7]), rate)
    assert not few.holds
    assert few.score == pytest.approx(0.7)
    assert few.expected == pytest.approx(1 / n)


@given(st.integers(1, 600), st.data())
def test_the_upper_share_is_that_of_clopper_and_pearson(n: int, data: st.DataObject) -> None:
    seen = data.draw(st.integers(0, n))
    interval = binomtest(seen, n).proportion_ci(confidence_level=0.9, method="exact")
    assert upper_share(seen, n) == pytest.approx(interval.high, abs=1e-9)


def test_of_new_prompts_no_more_than_the_rate_exceed_the_bound() -> None:
    rng = np.random.default_rng(4)
    for n, rate in ((199, 0.005), (437, 0.005), (60, 0.05), (20, 0.2)):
        trials = 4000
        drawn = rng.gumbel(size=(trials, n)).astype(np.float32)
        exceeded = np.array([1 - gumbel_cdf(bound(row, rate).score) for row in drawn])
        # The promise is over both draws; its mean is known, so allow for the trials alone.
        error = 4 * exceeded.std() / np.sqrt(trials)
        assert exceeded.mean() <= rate + error
        assert exceeded.mean() >= bound(drawn[0], rate).expected - error


def test_the_upper_bound_fails_for_one_calibration_in_twenty_and_no_more() -> None:
    rng = np.random.default_rng(5)
    trials, n, rate = 4000, 437, 0.005
    found = [bound(rng.gumbel(size=n).astype(np.float32), rate) for _ in range(trials)]
    broken = np.mean([1 - gumbel_cdf(each.score) > each.at_most for each in found])
    assert abs(broken - 0.05) < 4 * np.sqrt(0.05 * 0.95 / trials)


@given(st.integers(1, 500), RATES)
def test_what_is_not_exceeded_is_the_quantile_of_a_beta_distribution(n: int, rate: float) -> None:
    found: Bound = bound(scores([0.0] * n), rate)
    wanted = beta.ppf(0.95, n + 1 - found.rank, found.rank)
    assert found.at_most == pytest.approx(float(wanted), abs=1e-9)


def test_no_scores_bound_nothing() -> None:
    with pytest.raises(ValueError, match="no scores"):
        bound(scores([]), 0.005)


def gumbel_cdf(value: float) -> float:
    return float(np.exp(-np.exp(-value)))
