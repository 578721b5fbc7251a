"""What is swapped is what comparing all words finds, however the text arrives."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guard.normalise import normalise
from guard.stand_ins.swap import MAX_GAP, Swap

Pairs = list[tuple[str, str]]

WORDS = st.sampled_from(["a", "b", "ab", "ba", "é", "東", "12", "straße"])
PAIRS = st.lists(
    st.tuples(st.lists(WORDS, min_size=1, max_size=3).map(" ".join), st.sampled_from("XYZ")),
    max_size=5,
)
PLAIN = ["a", "b", "ab", "A", "É", "e", "Straße", "STRASSE", "東", "12", " ", " ", "-", "'s ",
         " " * MAX_GAP, " " * (MAX_GAP + 1), "**"]  # fmt: skip
# Besides, what folds to nothing or to several symbols.
ANY = [*PLAIN, "½", "ﬁ", "\u200b", "\u0301", "\u200b" * (MAX_GAP + 1)]
PLAIN_TEXTS = st.lists(st.sampled_from(PLAIN), max_size=14).map("".join)
TEXTS = st.lists(st.sampled_from(ANY), max_size=14).map("".join)
CUTS = st.lists(st.integers(0, 60), max_size=6)


def slow_swap(text: str, pairs: Pairs) -> str:
    """By comparing all pairs with the words from each word on, in texts of plain letters."""
    wanted: dict[tuple[str, ...], str] = {}
    for said, instead in pairs:
        wanted.setdefault(tuple(normalise(said).split()), instead)
    words = list(re.finditer(r"東|[^\W東]+", text))
    out, done, place = "", 0, 0
    while place < len(words):
        for count in range(len(words) - place, 0, -1):
            run = words[place : place + count]
            gaps = [right.start() - left.end() for left, right in pairwise(run)]
            key = tuple(normalise(word[0]) for word in run)
            if key in wanted and all(gap <= MAX_GAP for gap in gaps):
                said = text[run[0].start() : run[-1].end()]
                instead = wanted[key].lower() if said.islower() else wanted[key]
                out += text[done : run[0].start()] + instead
                done = run[-1].end()
                place += count - 1
                break
        place += 1
    return out + text[done:]


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(places)]


def in_pieces(swap: Swap, pieces: list[str]) -> str:
    stream = swap.start()
    return "".join([*map(stream.feed, pieces), stream.flush()])


@given(PLAIN_TEXTS, PAIRS)
@example("a b ab", [("a", "X"), ("a b", "Y"), ("b ab", "Z")])
@example("a" + " " * MAX_GAP + "b", [("a b", "X")])
@example("a" + " " * (MAX_GAP + 1) + "b", [("a b", "X"), ("a", "Y")])
@example("東東 a東", [("東", "X")])
def test_the_longest_text_at_each_word_is_swapped_and_no_other(text: str, pairs: Pairs) -> None:
    assert Swap(pairs).apply(text) == slow_swap(text, pairs)


@given(TEXTS, PAIRS, CUTS)
@example("½ 1", [("1", "X"), ("2 1", "Y")], [1])
def test_any_split_gives_the_same(text: str, pairs: Pairs, cuts: list[int]) -> None:
    swap = Swap(pairs)
    assert in_pieces(swap, pieces_of(text, cuts)) == swap.apply(text)


@given(TEXTS, PAIRS)
def test_every_split_into_two_and_single_characters_give_the_same(text: str, pairs: Pairs) -> None:
    swap = Swap(pairs)
    expected = swap.apply(text)
    for cut in range(len(text) + 1):
        assert in_pieces(swap, [text[:cut], text[cut:]]) == expected
    assert in_pieces(swap, list(text)) == expected


@given(TEXTS, PAIRS, TEXTS)
def test_what_has_come_out_does_not_depend_on_what_follows(
    text: str, pairs: Pairs, rest: str
) -> None:
    swap = Swap(pairs)
    assert swap.apply(text + rest).startswith(swap.start().feed(text))


@given(TEXTS, PAIRS)
def test_no_more_is_held_back_than_a_text_to_be_swapped_with_its_gaps(
    text: str, pairs: Pairs
) -> None:
    longest = max((len(normalise(said)) for said, _ in pairs), default=0)
    stream = Swap(pairs).start()
    for char in text:
        stream.feed(char)
        assert stream.held <= (longest + 1) * (MAX_GAP + 1)


@given(TEXTS, PAIRS)
def test_what_is_found_is_what_is_swapped(text: str, pairs: Pairs) -> None:
    marked = [(said, f"\ue000{index}\ue001") for index, (said, _) in enumerate(pairs)]
    swap = Swap(marked)
    found = re.findall("\ue000(\\d+)\ue001", swap.apply(text))
    assert sorted(map(int, found)) == sorted(swap.find(text).elements())


@given(TEXTS)
def test_without_pairs_a_text_passes_at_once(text: str) -> None:
    stream = Swap([]).start()
    assert stream.feed(text) == text
    assert stream.flush() == ""


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Hina Ameen wrote it.", "Ellis Hale wrote it."),
        ("hina ameen's books", "ellis hale's books"),
        ("HINA AMEEN’S", "ELLIS HALE’S"),
        ("**Hina\u200b  Ameen**", "**Ellis Hale**"),
        ("Hína Ameen", "Ellis Hale"),
        ("Hina, and Ameen", "Hina, and Hale"),
        ("Ameens", "Ameens"),
        ("Aameen Hina", "Aameen Hina"),
        ("Mr Ameen-Hina", "Mr Hale-Hina"),
    ],
)
def test_names_are_swapped_in_any_writing(said: str, expected: str) -> None:
    assert Swap([("Hina Ameen", "Ellis Hale"), ("Ameen", "Hale")]).apply(said) == expected


def test_a_word_comes_out_as_soon_as_it_can_begin_nothing() -> None:
    stream = Swap([("Ellis Hale", "Hina Ameen")]).start()
    assert stream.feed("By El") == "By "
    assert stream.held == 2
    assert stream.feed("ena. ") == "Elena. "
    assert stream.feed("Ellis") == ""
    assert stream.feed(" Ha") == ""
    assert stream.feed("le") == ""
    assert stream.feed("'s") == "Hina Ameen's"
    assert stream.flush() == ""


def test_parts_tell_what_they_were_swapped_by() -> None:
    stream = Swap([("Ellis", "Hina"), ("Hale", "Ameen")]).start()
    parts = [part for part in stream.pieces("By Ellis, not Hale.") if part[0]]
    parts += [part for part in stream.last_pieces() if part[0]]
    assert parts == [("By ", None), ("Hina", 0), (", not ", None), ("Ameen", 1), (".", None)]
