"""Sorted phrases find what comparing at every place finds."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guard.normalise import SEP, folded, normalise
from guard.phrases import (
    Match,
    PhraseSearch,
    SortedPhrases,
    has_enough_letters,
    letters_of,
)

TEXTS = st.text("abcABé e\u0301\u200b½12東-\n", max_size=30)
PHRASES = st.lists(
    st.text("abce12 東", min_size=1, max_size=8).map(normalise).filter(bool), max_size=8
)


def slow_search(text: str, phrases: list[str]) -> set[Match]:
    symbols, offsets = folded(text)
    found = set()
    for index, phrase in enumerate(phrases):
        for first in range(len(symbols)):
            end = first + len(phrase)
            left = first == 0 or symbols[first - 1] == SEP
            ends = end == len(symbols) or symbols[end : end + 1] == SEP
            right = ends or has_enough_letters(phrase)
            if left and right and symbols[first:end] == phrase:
                found.add(Match(index, offsets[first], offsets[end - 1] + 1))
    return found


@given(TEXTS, PHRASES)
@example("a½b", ["1", "2", "2b", "a1 2b"])
@example("ab a b", ["a b", "b", "ab a", "a b"])
def test_search_finds_every_occurrence_and_no_other(text: str, phrases: list[str]) -> None:
    found = list(SortedPhrases(phrases).search(text))
    assert len(found) == len(set(found))
    assert set(found) == slow_search(text, phrases)


@given(TEXTS, PHRASES)
@example("ab a b", ["a b", "b", "ab a", "a b"])
@example("abcabcs abcab", ["abcabc", "abcab"])
def test_what_is_said_is_what_a_search_finds(text: str, phrases: list[str]) -> None:
    assert SortedPhrases(phrases).said_in(text) == {m.phrase for m in slow_search(text, phrases)}


@given(TEXTS, PHRASES)
def test_a_match_covers_the_words_of_its_phrase(text: str, phrases: list[str]) -> None:
    for match in SortedPhrases(phrases).search(text):
        assert phrases[match.phrase] in normalise(text[match.start : match.end])


@given(PHRASES, TEXTS)
@example(["abcab 12", "abcabe", "abca", "b"], "abcab 12 abcabe")
def test_a_reading_knows_which_parts_of_phrases_the_text_ends_with(
    phrases: list[str], text: str
) -> None:
    own = SortedPhrases(phrases)
    symbols = SEP + folded(text)[0].lstrip(SEP)
    reading = own.start()
    for end in range(1, len(symbols) + 1):
        if end > 1:
            reading.step(symbols[end - 1])
        parts = {
            phrase[:size]
            for phrase in phrases
            for size in range(1, len(phrase) + 1)
            if symbols[:end].endswith(SEP + phrase[:size])
        }
        assert [said for said, _ in reading.live] == sorted(parts, key=len, reverse=True)
        assert reading.depth == max(map(len, parts), default=0)
        assert reading.ends_in_sep == (symbols[end - 1] == SEP)
        whole = [i for i, phrase in enumerate(phrases) if symbols[:end].endswith(SEP + phrase)]
        found = [(own.indices[place], length) for place, length in reading.complete()]
        assert found == [
            (i, len(phrases[i])) for i in sorted(whole, key=lambda i: (-len(phrases[i]), i))
        ]


@given(PHRASES, TEXTS, st.booleans())
@example(["abc ab", "abca", "abcab", "abca"], "x abcab", True)
def test_what_begins_at_a_place_stands_there_or_may_go_on_beyond(
    phrases: list[str], text: str, letters_alone: bool
) -> None:
    own = SortedPhrases(phrases, letters_alone=letters_alone)
    symbols = folded(text)[0]
    patterns = phrases
    if letters_alone:
        symbols, patterns = letters_of(symbols), [letters_of(each) for each in phrases]
    for place in range(len(symbols)):
        rest = symbols[place:]
        whole = {i for i, each in enumerate(patterns) if rest.startswith(each)}
        begun = {i for i, each in enumerate(patterns) if each.startswith(rest)} - whole
        found = list(own.begun_at(symbols, place))
        assert len(found) == len(whole) + len(begun)
        assert set(found) == {*((i, True) for i in whole), *((i, False) for i in begun)}
        assert [stands for _, stands in found] == [True] * len(whole) + [False] * len(begun)


def slow_search_of_letters(text: str, phrases: list[str]) -> set[Match]:
    symbols, offsets = folded(text)
    letters = [
        (symbol, offset) for symbol, offset in zip(symbols, offsets, strict=True) if symbol != SEP
    ]
    found = set()
    for index, phrase in enumerate(phrases):
        pattern = letters_of(phrase)
        for first in range(len(letters) - len(pattern) + 1):
            part = letters[first : first + len(pattern)]
            if "".join(symbol for symbol, _ in part) == pattern:
                found.add(Match(index, part[0][1], part[-1][1] + 1))
    return found


@given(TEXTS, PHRASES)
@example("a b-c abc", ["a bc", "b c a"])
def test_search_on_letters_alone_passes_over_separators(text: str, phrases: list[str]) -> None:
    found = list(SortedPhrases(phrases, letters_alone=True).search(text))
    assert len(found) == len(set(found))
    assert set(found) == slow_search_of_letters(text, phrases)


@given(TEXTS, PHRASES)
@example("ab abcabc a bca bc", ["ab", "abc abc"])
def test_forbidden_phrases_match_in_the_way_that_suits_their_length(
    text: str, phrases: list[str]
) -> None:
    expected = {
        match
        for match in slow_search(text, phrases)
        if not has_enough_letters(phrases[match.phrase])
    } | {
        match
        for match in slow_search_of_letters(text, phrases)
        if has_enough_letters(phrases[match.phrase])
    }
    found = PhraseSearch(phrases).search(text)
    assert len(found) == len(expected)
    assert set(found) == expected
    assert [match.end for match in found] == sorted(match.end for match in found)


@given(PHRASES, TEXTS, st.integers(1, 4))
def test_repeating_separators_changes_nothing(phrases: list[str], text: str, times: int) -> None:
    own = SortedPhrases(phrases)
    symbols = folded(text)[0]
    one, more = own.start(), own.start()
    for symbol in symbols:
        one.step(symbol)
        for _ in range(times if symbol == SEP else 1):
            more.step(symbol)
        assert one.live == more.live


def test_a_duplicate_phrase_reports_each_of_its_indices() -> None:
    phrases = ["red sea", "red sea"]
    found = {match.phrase for match in SortedPhrases(phrases).search("the Red Sea")}
    assert found == {0, 1}


def test_a_short_phrase_inside_a_longer_word_is_no_match() -> None:
    assert list(SortedPhrases(["quay"]).search("quays squay quayside")) == []


def test_a_long_phrase_matches_as_the_head_of_a_word_but_not_as_its_tail() -> None:
    found = list(SortedPhrases(["florist"]).search("florists subflorist"))
    assert found == [Match(0, 0, 7)]


@pytest.mark.parametrize("phrase", ["", " quay", "quay ", " "])
def test_a_phrase_that_is_not_normalised_is_refused(phrase: str) -> None:
    with pytest.raises(ValueError, match="phrase 1 is not normalised"):
        SortedPhrases(["red", phrase])
