from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.policy.assess import RATES, kept, share_above, tradeoffs
from guard.policy.conformal import upper_share

COSINES = st.lists(st.floats(-1, 1, width=16), min_size=1, max_size=30)


@given(COSINES, COSINES)
def test_each_threshold_does_what_counting_says(own: list[float], other: list[float]) -> None:
    found = tradeoffs(np.array(own, np.float32), np.array(other, np.float32))
    assert [each.threshold for each in found] == sorted({*own, *other}, reverse=True)
    for each in found:
        recall = sum(score >= each.threshold for score in own) / len(own)
        wrong = sum(score >= each.threshold for score in other) / len(other)
        assert each.recall == pytest.approx(recall)
        assert each.false_positives == pytest.approx(wrong)
        assert each.precision == pytest.approx(recall / (recall + wrong))


def test_rates_are_kept_on_prompts_that_the_bound_was_not_set_with() -> None:
    scores = np.random.default_rng(3).normal(size=5000).astype(np.float32)
    found = kept(scores)
    assert [each.rate for each in found] == list(RATES)
    for each in found:
        assert each.seen == pytest.approx(each.rate, abs=4 * np.sqrt(each.rate / 5000))
        assert each.at_most == upper_share(round(each.seen * 5000), 5000)


def test_of_too_few_prompts_nothing_is_said() -> None:
    assert kept(np.array([0.1, 0.2], np.float32)) == []
    assert share_above(np.zeros(0, np.float32), 0.5) is None
    assert share_above(np.array([0.4, 0.5], np.float32), 0.5) == 0.5
