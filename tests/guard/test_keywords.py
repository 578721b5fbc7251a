from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.keywords import KeywordScores, KeywordTable, key_words

WORDS = st.sampled_from(["geology", "karachi", "author", "florist", "novel", "harbour", "prize"])
HELD = st.lists(st.frozensets(WORDS), min_size=1, max_size=5)
GENERAL = st.lists(st.lists(WORDS, max_size=4).map(" ".join), max_size=6)


def plainly(targets: list[frozenset[str]], general: list[str], text: str, row: int) -> float:
    """The score as its definition has it, word by word."""
    held = [{word for said in own for word in key_words(said)} for own in targets]
    said = Counter(word for prompt in general for word in key_words(prompt))
    shared, whole = 0.0, 2.0
    for word in key_words(text):
        others = sum(word in own for place, own in enumerate(held) if place != row)

        def rarity(count: int, n: int) -> float:
            return max(0.0, math.log((n + 1) / (count + 0.5)) / math.log(2 * (n + 1)))

        weight = rarity(said[word], len(general)) * rarity(others, len(targets) - 1)
        whole += weight
        shared += weight * (word in held[row])
    return shared / math.sqrt(whole)


@given(HELD, GENERAL, st.lists(WORDS | st.just("unheard"), max_size=6).map(" ".join))
def test_the_fast_score_is_the_plain_one(
    targets: list[frozenset[str]], general: list[str], text: str
) -> None:
    held = [frozenset(word for said in own for word in key_words(said)) for own in targets]
    scores = KeywordScores(KeywordTable.of(held, general))
    made = scores.scores(text)
    for row in range(len(targets)):
        wanted = pytest.approx(plainly(targets, general, text, row), abs=1e-9)
        assert scores.score(row, text) == wanted
        assert made.get(row, 0.0) == wanted


def test_a_word_left_out_counts_as_not_shared() -> None:
    said = "karachi geologist"
    scores = KeywordScores(KeywordTable.of([key_words(said)], []))
    assert 0 < scores.score(0, said, key_words("karachi")) < scores.score(0, said)
    assert scores.score(0, said, key_words(said)) == 0


def test_what_every_target_holds_says_less_than_what_one_holds() -> None:
    held = [key_words("author karachi"), key_words("author astana")]
    scores = KeywordScores(KeywordTable.of(held, ["who is the author"]))
    assert scores.score(0, "karachi") > scores.score(0, "author")
    assert scores.scores("astana") == {1: pytest.approx(scores.score(1, "astana"))}


def test_words_are_compared_without_case_accents_and_common_endings() -> None:
    assert key_words("The GEOLOGISTS’ Prizes, café!") == key_words("the geologist prize cafe")
    assert "of" not in key_words("of it")


@given(HELD, GENERAL)
def test_a_table_comes_back_from_its_arrays(
    targets: list[frozenset[str]], general: list[str]
) -> None:
    table = KeywordTable.of(targets, general)
    again = KeywordTable.from_arrays(table.arrays())
    assert again.words == table.words
    assert (again.n_general, again.n_targets) == (len(general), len(targets))
    for name in ("general", "starts", "owners"):
        np.testing.assert_array_equal(getattr(again, name), getattr(table, name))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("starts", np.array([0, 2, 1], np.int32)),
        ("starts", np.array([0, 1], np.int32)),
        ("owners", np.array([0, 7], np.int32)),
        ("general", np.zeros(3, np.int32)),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(name: str, value: Any) -> None:
    arrays = KeywordTable.of([frozenset({"karachi", "geology"})], []).arrays()
    assert len(arrays["owners"]) == 2
    with pytest.raises(ValueError, match="do not fit"):
        KeywordTable.from_arrays({**arrays, name: value})
