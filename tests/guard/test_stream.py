"""The scanner releases a text up to its first match, however the text arrives."""

from __future__ import annotations

import random
import sys
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guard.normalise import SEP, fold, folded, normalise
from guard.phrase_table import BundlePhrase, Strength
from guard.phrases import has_enough_letters, letters_of
from guard.stream import Scanner

# Few letters, so that phrases do occur; among them characters that fold to nothing (combining
# accent, zero-width space, variation selector), to several symbols (½, ﬁ, ß), to letters of other
# forms (Ａ, É), to words of their own (東) and to separators.
SYMBOLS = "aabbcＡÉefi12 ½ﬁßs\u0301\u200b\ufe0f東京-\n*\u0e01\u0939\u093f"
TEXTS = st.text(SYMBOLS, max_size=30)
PHRASES = st.lists(
    st.text("aabbce12fi 東京s", min_size=1, max_size=8).map(normalise).filter(bool),
    min_size=1,
    max_size=6,
)
CUTS = st.lists(st.integers(0, 30), max_size=8)


def hard(texts: list[str], strength: Strength = "hard") -> list[BundlePhrase]:
    return [BundlePhrase(text, index, strength) for index, text in enumerate(texts)]


def slow_matches(text: str, phrases: list[str]) -> list[tuple[int, int]]:
    """Every occurrence as (symbol after the last, start in ``text``), by comparing everywhere."""
    symbols, offsets = folded(text)
    found = []
    for phrase in phrases:
        for first in range(len(symbols)):
            if has_enough_letters(phrase):
                end = end_of_letters(symbols, first, letters_of(phrase))
            else:
                end = end_of_words(symbols, first, phrase)
            if end:
                found.append((end, offsets[first]))
    return found


def end_of_words(symbols: str, first: int, phrase: str) -> int:
    end = first + len(phrase)
    begins = first == 0 or symbols[first - 1] == SEP
    ends = end == len(symbols) or symbols[end : end + 1] == SEP
    return end if begins and ends and symbols[first:end] == phrase else 0


def end_of_letters(symbols: str, first: int, letters: str) -> int:
    read = ""
    for place in range(first, len(symbols)):
        if symbols[place] == SEP:
            if not read:
                return 0
            continue
        read += symbols[place]
        if not letters.startswith(read):
            return 0
        if read == letters:
            return place + 1
    return 0


def slow_release(text: str, phrases: list[str]) -> str:
    """The text up to the match that ends first, and again if that prefix ends in a match."""
    while found := slow_matches(text, phrases):
        text = text[: min(found)[1]]
    return text


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(places)]


def release(scanner: Scanner, pieces: list[str]) -> str:
    scan = scanner.start()
    return "".join([*(scan.feed(piece) for piece in pieces), scan.flush()])


@given(TEXTS, PHRASES, CUTS)
@example("½b", ["1 2 b"], [1])
@example("a½ ", ["a", "2 b"], [1, 2])
@example("a½", ["a", "2"], [])
@example("a b c d", ["b", "a b c d"], [2])
def test_any_split_releases_the_text_up_to_the_first_match(
    text: str, phrases: list[str], cuts: list[int]
) -> None:
    scanner = Scanner(hard(phrases))
    scan = scanner.start()
    released = ""
    for piece in pieces_of(text, cuts):
        released += scan.feed(piece)
        assert not slow_matches(released, phrases)
    released += scan.flush()
    assert released == slow_release(text, phrases)
    matches = slow_matches(text, phrases)
    assert (scan.hit is None) == (not matches)
    if scan.hit is not None:
        assert isinstance(scan.hit, BundlePhrase)
        assert (min(matches)[0], scan.hit.text) in {
            (end, phrase) for phrase in phrases for end, _ in slow_matches(text, [phrase])
        }


@given(TEXTS, st.lists(PHRASES, min_size=2, max_size=3), CUTS, st.data())
def test_what_was_compiled_before_forbids_as_if_compiled_together_but_for_free_cues(
    text: str, parts: list[list[str]], cuts: list[int], data: st.DataObject
) -> None:
    phrases = [each for part in parts for each in part]
    free = data.draw(st.sets(st.sampled_from(phrases)))
    cues = data.draw(st.sets(st.sampled_from(phrases)))
    scanner = None
    for part in parts:
        own = [BundlePhrase(each, 0, "hard", cue=each in cues) for each in part]
        scanner = Scanner(own, beside=scanner, free=free)
    assert scanner is not None
    held = [each for each in phrases if each not in free & cues]
    released = ""
    scan = scanner.start()
    for piece in pieces_of(text, cuts):
        released += scan.feed(piece)
        assert not slow_matches(released, held)
    assert released + scan.flush() == slow_release(text, held)
    found = {(phrase.text, match.start) for phrase, match in scanner.find(text)}
    assert found == {(each, start) for each in held for _, start in slow_matches(text, [each])}


@given(TEXTS, PHRASES)
def test_every_split_into_two_gives_the_same(text: str, phrases: list[str]) -> None:
    scanner = Scanner(hard(phrases))
    expected = slow_release(text, phrases)
    for cut in range(len(text) + 1):
        assert release(scanner, [text[:cut], text[cut:]]) == expected
    assert release(scanner, list(text)) == expected


@given(TEXTS, PHRASES)
def test_nothing_is_released_that_some_continuation_would_make_a_match(
    text: str, phrases: list[str]
) -> None:
    """Any remainder of a phrase, put after any prefix, is a match that begins after the release."""
    scan = Scanner(hard(phrases)).start()
    released = ""
    for count, char in enumerate(text, 1):
        released += scan.feed(char)
        if scan.hit is not None:
            return
        for phrase in phrases:
            for kept in range(len(phrase)):
                whole = text[:count] + phrase[kept:]
                assert slow_release(whole, phrases).startswith(released)


@given(TEXTS, PHRASES)
def test_what_is_held_back_is_no_longer_than_the_longest_phrase(
    text: str, phrases: list[str]
) -> None:
    scan = Scanner(hard(phrases)).start()
    released = ""
    for count, char in enumerate(text, 1):
        released += scan.feed(char)
        if scan.hit is not None:
            return
        held = normalise(text[len(released) : count])
        # The one code point at which the hold-back begins may fold to letters before the phrase.
        head = len(fold(text[len(released)])) if held else 0
        assert len(held) <= max(map(len, phrases)) + head


@given(TEXTS)
def test_without_hard_phrases_text_passes_at_once(text: str) -> None:
    scanner = Scanner(hard(["a", "b"], "soft"))
    scan = scanner.start()
    assert not scanner.active
    assert scan.feed(text) == text
    assert scan.flush() == ""
    assert scan.hit is None


def test_text_is_released_as_soon_as_no_phrase_can_begin_in_it() -> None:
    scan = Scanner(hard(["ed bay"])).start()
    assert scan.feed("Written by E") == "Written by "
    assert scan.feed("d") == ""
    assert scan.feed("na. ") == "Edna. "
    assert scan.feed("Ed ") == ""
    assert scan.feed("Bays") == "Ed Bays"
    assert scan.feed(" and **Ed**\u200b _Ba") == " and **"
    assert scan.feed("\u0301y") == ""
    assert scan.hit is None
    assert scan.feed(",") == ""
    assert scan.hit == BundlePhrase("ed bay", 0, "hard")


def test_a_long_phrase_is_found_at_its_last_letter_whatever_follows() -> None:
    scan = Scanner(hard(["mirelle quay"])).start()
    assert scan.feed("by Mirelle Quays") == "by "
    assert scan.hit == BundlePhrase("mirelle quay", 0, "hard")


@given(TEXTS, PHRASES, CUTS)
def test_phrases_are_found_in_words_that_count_for_no_run(
    text: str, phrases: list[str], cuts: list[int]
) -> None:
    scan = Scanner(hard(phrases)).start()
    released = [scan.feed(piece, ends_runs=True) for piece in pieces_of(text, cuts)]
    assert "".join([*released, scan.flush()]) == slow_release(text, phrases)


def test_the_end_of_the_text_completes_a_phrase() -> None:
    scan = Scanner(hard(["ed bay", "bay"])).start()
    assert scan.feed("by Ed Bay") == "by "
    assert scan.flush() == ""
    assert scan.hit == BundlePhrase("ed bay", 0, "hard")


def test_the_end_of_the_text_releases_an_unfinished_phrase() -> None:
    scan = Scanner(hard(["mirelle quay"])).start()
    assert scan.feed("by Mirelle") == "by "
    assert scan.flush() == "Mirelle"
    assert scan.flush() == ""
    assert scan.hit is None


def test_after_a_hit_nothing_more_comes_out() -> None:
    scan = Scanner(hard(["quay"])).start()
    assert scan.feed("at the quay, at noon") == "at the "
    assert scan.feed("more") == ""
    assert scan.flush() == ""
    assert scan.hit is not None


def test_text_after_flush_is_refused_rather_than_passed_unscanned() -> None:
    scan = Scanner(hard(["quay"])).start()
    scan.flush()
    with pytest.raises(RuntimeError, match="after `flush`"):
        scan.feed("quay")


def test_scans_of_one_scanner_do_not_share_state() -> None:
    scanner = Scanner(hard(["red sea"]))
    one, two = scanner.start(), scanner.start()
    assert one.feed("red ") == ""
    assert two.feed("sea ") == "sea "
    assert one.feed("sea ") == ""
    assert one.hit is not None
    assert two.hit is None


def test_a_phrase_in_a_script_without_spaces_is_found_inside_running_text() -> None:
    phrase = normalise("東京")
    assert release(Scanner(hard([phrase])), list("私は東京へ")) == "私は"


class CountedText(str):
    """Text that counts how many characters are copied out of it."""

    copied = 0

    def __getitem__(self, key: Any) -> str:
        part = str.__getitem__(self, key)
        CountedText.copied += len(part)
        return part

    def __add__(self, other: str) -> str:
        joined = str.__add__(self, other)
        CountedText.copied += len(joined)
        return joined

    def __radd__(self, other: str) -> str:
        joined = str.__add__(other, self)
        CountedText.copied += len(joined)
        return joined


def operations(text: str, phrases: list[str]) -> int:
    """Calls made by a scan of ``text`` one character at a time, plus characters copied."""
    scan = Scanner(hard(phrases)).start()
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    CountedText.copied = 0
    pieces = [CountedText(char) for char in text]
    sys.setprofile(count)
    try:
        for piece in pieces:
            scan.feed(piece)
        scan.flush()
    finally:
        sys.setprofile(None)
    assert scan.hit is None
    return calls + CountedText.copied


@pytest.mark.parametrize(
    "unit",
    ["a b ", "a" + " " * 97 + "b" + " ", "ab", "a\u200b\u0301"],
    ids=["near misses", "runs of separators", "one endless word", "invisible characters"],
)
def test_one_character_at_a_time_costs_the_same_however_long_the_text(unit: str) -> None:
    phrases = ["a b a b a b a c", "a " * 40 + "b", "b a c"]
    short = operations((unit * 10_000)[:10_000], phrases)
    long = operations((unit * 100_000)[:100_000], phrases)
    assert long < 11 * short


def test_an_endless_run_of_separators_is_held_at_constant_cost() -> None:
    short, long = (operations("a" + " " * size, ["a b"]) for size in (10_000, 100_000))
    assert long < 11 * short


def test_one_large_piece_then_single_characters_copies_each_character_once() -> None:
    generator = random.Random(7)
    text = "a" + "".join(generator.choice(["a", "b", " "]) for _ in range(50_000))
    CountedText.copied = 0
    scan = Scanner(hard(["a b a b b b a a a c"])).start()
    released = [scan.feed(CountedText(text)), *(scan.feed(CountedText(c)) for c in text)]
    released.append(scan.flush())
    assert "".join(released) == text + text
    assert CountedText.copied <= 2 * len(text)
