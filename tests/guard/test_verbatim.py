"""A filter holds every run of its corpus, and hardly anything else."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard import verbatim
from guard.verbatim import (
    BEGINNING,
    FALSE_POSITIVE_RATE,
    FORBIDDEN,
    MAX_BITS,
    MAX_CORPUS_WORDS,
    MAX_WORDS,
    MIDDLE,
    MIN_WORDS,
    ROLES,
    RunFilter,
    RunFilters,
    run_key,
    run_keys,
    run_length,
)
from tests.guard.words import filter_of, hashes_of, runs_of, word_hash

TEXTS = st.lists(st.text("ab ", max_size=30), max_size=4)


@given(st.lists(st.integers(0, (1 << 63) - 1), max_size=12), st.integers(1, 5), st.integers(1, 4))
def test_keys_of_runs_are_those_of_their_words_wherever_the_text_is_cut(
    words: list[int], length: int, chunk: int
) -> None:
    with patch.object(verbatim, "_CHUNK", chunk):
        parts = list(run_keys(np.array(words, np.int64), length))
    keys = [key for part in parts for key in part.tolist()]
    assert keys == [run_key(words[at : at + length]) for at in range(len(words) - length + 1)]


@given(TEXTS, st.integers(MIN_WORDS, 4), st.sampled_from(ROLES))
def test_every_run_of_the_corpus_is_held(texts: list[str], words: int, role: verbatim.Role) -> None:
    made = filter_of(texts, words)
    keys = [
        run_key([word_hash(word) for word in run])
        for run in runs_of(texts, run_length(role, words))
    ]
    assert made.holds(np.array(keys, np.int64), role).all()
    assert all(made.holds_one(key, role) for key in keys)


@given(TEXTS, st.lists(st.integers(0, (1 << 63) - 1), max_size=20), st.sampled_from(ROLES))
def test_one_key_and_many_are_looked_up_alike(
    texts: list[str], keys: list[int], role: verbatim.Role
) -> None:
    made = filter_of(texts, 2)
    together = made.holds(np.array(keys, np.int64), role).tolist()
    assert together == [made.holds_one(key, role) for key in keys]


def test_a_run_reaches_over_no_two_texts() -> None:
    made = filter_of(["one two", "three four"], 2)
    assert not made.holds_one(run_key([word_hash(w) for w in ("one", "two", "three")]))
    assert made.corpus_words == 4


@pytest.mark.parametrize("runs", [30, 1_000, 50_000])
def test_a_full_filter_errs_as_seldom_as_stated(runs: int) -> None:
    draw = np.random.default_rng(runs)
    mistaken = 0
    for _ in range(10):
        made = RunFilter.of([draw.integers(0, 1 << 62, runs + 8)], 8)
        mistaken += int(made.holds(draw.integers(0, 1 << 62, 500_000)).sum())
    assert FALSE_POSITIVE_RATE < 1e-6
    # 3 are expected; more than 12 come up once in 80,000 draws of right filters.
    assert mistaken <= 12


def test_runs_that_repeat_take_no_room() -> None:
    once, often = (filter_of(["the bells of saltgate ring " * times], 3) for times in (40, 4000))
    assert [len(part) for part in once.bits] == [len(part) for part in often.bits]


def test_the_largest_corpus_fits_a_filter() -> None:
    assert MAX_CORPUS_WORDS * verbatim._BITS_PER_KEY[FORBIDDEN] <= MAX_BITS


@pytest.mark.parametrize("words", [MIN_WORDS, 8, MAX_WORDS])
def test_runs_that_begin_or_lie_within_a_forbidden_one_are_shorter(words: int) -> None:
    forbidden, beginning, middle = (run_length(role, words) for role in ROLES)
    assert (forbidden, beginning) == (words + 1, words)
    assert 1 <= middle < beginning
    # The engine looks both up at once.
    assert verbatim.PROBES[BEGINNING] == verbatim.PROBES[MIDDLE]


@given(st.lists(st.tuples(TEXTS, st.integers(MIN_WORDS, 5)), max_size=3))
def test_filters_laid_out_together_are_found_again(made: list[tuple[list[str], int]]) -> None:
    one_by_one = [(place, filter_of(texts, words)) for place, (texts, words) in enumerate(made)]
    together = RunFilters.of(one_by_one[::-1])
    again = together.of_targets(range(len(made)))
    assert together.same_as(RunFilters.of(again))
    for (_, before), (_, after) in zip(one_by_one, again, strict=True):
        assert (before.words, before.corpus_words) == (after.words, after.corpus_words)
        for mine, theirs in zip(before.bits, after.bits, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_hashes_of_words_tell_words_apart() -> None:
    assert len(set(hashes_of("a b ab ba aa b2 2b").tolist())) == 7
