"""Intervals are drawn by entity, from fixed seeds, and say when they cannot be had."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.evaluation.estimates import (
    auc,
    kolmogorov_smirnov,
    ks_p,
    mean,
    ratio,
    statistic,
    two_samples,
)


def test_a_mean_counts_things_and_entities() -> None:
    found = mean([1, 0, 1, 1], ["a", "a", "b", "b"])
    assert found is not None
    assert (found.value, found.n, found.entities) == (0.75, 4, 2)


def test_alike_questions_make_an_interval_wide_not_narrow() -> None:
    values = [1.0] * 50 + [0.0] * 50
    together = mean(values, ["a"] * 50 + ["b"] * 50)
    apart = mean(values, [str(n) for n in range(100)])
    assert together is not None
    assert apart is not None
    assert (together.low, together.high) == (0.0, 1.0)
    assert apart.low is not None
    assert 0.35 < apart.low < 0.45


def test_one_entity_alone_gives_no_interval() -> None:
    found = mean([0.2, 0.8], ["a", "a"])
    assert found is not None
    assert (found.low, found.high, found.entities) == (None, None, 1)


def test_what_is_not_there_has_no_estimate() -> None:
    assert mean([], []) is None
    assert ratio([0, 0], [0, 0], ["a", "b"]) is None
    assert statistic([], [], lambda values: 0.0) is None
    assert two_samples([], [], [1], ["a"], auc, paired=False) is None


def test_the_same_answers_give_the_same_interval() -> None:
    values = [0.1, 0.9, 0.4, 0.7, 0.2]
    assert mean(values, list("abcde")) == mean(values, list("abcde"))


@given(
    st.lists(
        st.tuples(st.floats(0, 10), st.sampled_from("abcdef")), min_size=1, max_size=30
    )
)  # fmt: skip
@example([(0.0, "a"), (0.0, "b")])
@example([(1.0, name) for name in "abcdef"])
def test_a_ratio_is_the_plain_one_and_lies_near_its_interval(
    pairs: list[tuple[float, str]],
) -> None:
    values = [value for value, _ in pairs]
    found = mean(values, [name for _, name in pairs])
    assert found is not None
    assert found.value == pytest.approx(sum(values) / len(values))
    if found.low is not None:
        assert found.high is not None
        # Nothing seen is not nothing there: of n, 3/n may have been missed.
        missed = min(1.0, 3 / len(values))
        least = 1 - missed if set(values) == {1.0} else min(values)
        most = missed if not any(values) else max(values)
        assert least - 1e-9 <= found.low <= found.high <= most + 1e-9


def test_a_share_of_facts_weighs_questions_by_their_facts() -> None:
    found = ratio([1, 0], [1, 9], ["a", "b"])
    assert found is not None
    assert (found.value, found.n) == (0.1, 10)


def test_the_interval_of_a_largest_value_reaches_up_to_it_and_no_further() -> None:
    found = statistic([1, 2, 9], ["a", "b", "c"], lambda values: float(values.max()))
    assert found is not None
    assert (found.value, found.high) == (9, 9)
    assert found.low is not None
    assert found.low < 9


def test_distributions_that_are_the_same_lie_at_no_distance() -> None:
    left, right = np.array([0.1, 0.2, 0.3]), np.array([0.8, 0.9, 1.0])
    assert kolmogorov_smirnov(left, left) == 0
    assert kolmogorov_smirnov(left, right) == 1
    assert ks_p([0.1] * 40, [0.9] * 40) < 1e-6 < ks_p([0.1, 0.2], [0.1, 0.2])


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=12),
    st.lists(st.integers(0, 5), min_size=1, max_size=12),
)
def test_auc_counts_pairs(members: list[int], others: list[int]) -> None:
    slow = sum((m > o) + 0.5 * (m == o) for m in members for o in others)
    fast = auc(np.array(members, np.float64), np.array(others, np.float64))
    assert fast == pytest.approx(slow / (len(members) * len(others)))


def test_paired_samples_are_drawn_together() -> None:
    values, names = [0.0, 0.0, 1.0, 1.0], ["a", "a", "b", "b"]
    together = two_samples(values, names, values, names, kolmogorov_smirnov, paired=True)
    apart = two_samples(values, names, values, names, kolmogorov_smirnov, paired=False)
    assert together is not None
    assert apart is not None
    assert (together.low, together.high) == (0, 0)
    assert apart.high == 1


def test_none_of_few_is_not_said_to_be_sure_nor_all_of_them() -> None:
    none, every = ratio([0, 0], [1, 1], ["a", "b"]), ratio([2, 1], [2, 1], ["a", "b"])
    assert none is not None
    assert every is not None
    assert (none.low, none.high) == (0.0, 1.0)
    assert (every.low, every.high) == (0.0, 1.0)
    many = mean([0.0] * 300, [str(n % 10) for n in range(300)])
    assert many is not None
    assert (many.low, many.high) == (0.0, 0.01)
    alone = mean([0.0, 0.0], ["a", "a"])
    assert alone is not None
    assert alone.high is None
