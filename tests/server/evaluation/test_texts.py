"""How much of a text another repeats: against the slow, obvious way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.evaluation.texts import (
    accumulated_common_runs,
    longest_common_run,
    overlap,
    repetition,
    rouge_l_f1,
    similarities,
)

TEXT = st.lists(st.sampled_from("abc"), max_size=14)


def stands_in(run: Sequence[str], other: Sequence[str]) -> bool:
    return any(list(other[i : i + len(run)]) == list(run) for i in range(len(other)))


@given(TEXT, TEXT)
def test_the_longest_run_is_the_longest_of_all_runs(left: list[str], right: list[str]) -> None:
    every = [left[i:j] for i in range(len(left)) for j in range(i + 1, len(left) + 1)]
    slow = max((len(run) for run in every if stands_in(run, right)), default=0)
    assert longest_common_run(left, right) == slow == longest_common_run(right, left)


@given(TEXT, TEXT)
def test_accumulated_runs_are_the_words_that_some_run_of_three_holds(
    left: list[str], right: list[str]
) -> None:
    held = {
        place
        for start in range(len(left) - 2)
        if stands_in(left[start : start + 3], right)
        for place in range(start, start + 3)
    }
    assert accumulated_common_runs(left, right) == len(held)


def test_a_text_repeats_itself_whole() -> None:
    text = "The night ferry of Lantern Bay has not missed a crossing."
    own = overlap(text, text.upper())
    assert own.longest_run == own.accumulated_runs == 11
    assert own.rouge_1 == own.rouge_l == own.minhash == 1
    assert overlap(text, text).levenshtein == 0


def test_an_empty_answer_repeats_nothing() -> None:
    own = overlap("The night ferry of Lantern Bay.", "")
    assert (own.longest_run, own.accumulated_runs, own.minhash) == (0, 0, 0)
    assert own.levenshtein == 1
    assert rouge_l_f1("The night ferry.", "") == 0


def test_meaning_is_compared_pair_by_pair() -> None:
    def encode(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.array([[1, 0] if "ferry" in t else [0, 1] for t in texts], np.float32)

    pairs = [("a ferry", "the ferry"), ("a ferry", "a crow"), ("a ferry", " ")]
    assert similarities(encode, pairs) == [1, 0, 0]
    assert similarities(encode, []) == []


def test_repetition_is_of_runs_of_three_words() -> None:
    assert repetition("one two three four five") == 0
    assert repetition("a b c a b c") == pytest.approx(0.25)
    assert repetition("a b") == 0
