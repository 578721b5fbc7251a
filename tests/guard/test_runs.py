"""A text leaves the proxy up to the word that would make a run of a protected text too long."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guard.normalise import SEP, fold, folded, normalise
from guard.phrase_table import BundlePhrase
from guard.runs import RunHit
from guard.stream import Scanner
from tests.guard.test_stream import slow_matches
from tests.guard.words import filter_of, runs_of, words_of

# A corpus and its bound.
Corpus = tuple[list[str], int]

WORDS = st.sampled_from(["a", "b", "ab", "1", "2", "東", "a", "b", "a1"])
CORPORA = st.lists(
    st.tuples(
        st.lists(st.lists(WORDS, max_size=12).map(" ".join), min_size=1, max_size=2),
        st.integers(2, 4),
    ),
    min_size=1,
    max_size=2,
)
# Characters that fold to nothing, to several symbols (½), to words of their own (東).
PIECES = st.sampled_from(
    ["a", "b", " ", "A", " b", "1", "2", "½", "東", "\u200b", "-", "ab ", "a b "]
)
CUTS = st.lists(st.integers(0, 60), max_size=8)
PHRASES = st.lists(st.text("ab12 ", min_size=1, max_size=8).map(normalise).filter(bool), max_size=3)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Corpus], str]:
    """Corpora, and a text that quotes them between other things."""
    corpora = draw(CORPORA)
    pieces = []
    for _ in range(draw(st.integers(0, 6))):
        words = draw(st.sampled_from([text for texts, _ in corpora for text in texts])).split()
        start = draw(st.integers(0, 8))
        quoted = words[start : start + draw(st.integers(0, 6))]
        joint = draw(st.sampled_from([" ", "  ", " - ", "\n\u200b"]))
        pieces += [joint.join(quoted), *draw(st.lists(PIECES, max_size=4))]
    return corpora, "".join(pieces)


def scanner_of(corpora: list[Corpus], phrases: list[str] | None = None) -> Scanner:
    return Scanner(
        [BundlePhrase(text, index, "hard") for index, text in enumerate(phrases or [])],
        [(index, filter_of(texts, words)) for index, (texts, words) in enumerate(corpora)],
    )


def too_long(text: str, corpora: list[Corpus]) -> list[tuple[int, int, RunHit]]:
    """Every word that makes a run too long, by looking at all of them.

    Returns:
        Its end in the normalised text, its start in ``text``, and what it breaks.
    """
    symbols, offsets = folded(text)
    edges, at = [], 0
    for word in symbols.split(SEP):
        if word:
            edges.append((at, at + len(word)))
        at += len(word) + 1
    words = [symbols[start:end] for start, end in edges]
    return [
        (end, offsets[start], RunHit(index, bound))
        for index, (texts, bound) in enumerate(corpora)
        for place, (start, end) in enumerate(edges)
        if tuple(words[max(0, place - bound) : place + 1]) in runs_of(texts, bound + 1)
    ]


def first_too_long(text: str, corpora: list[Corpus]) -> tuple[int, list[RunHit]]:
    """Where the first word that makes a run too long begins, and all that it breaks."""
    found = too_long(text, corpora)
    first = min(end for end, _, _ in found)
    here = [(start, hit) for end, start, hit in found if end == first]
    return min(start for start, _ in here), [hit for _, hit in here]


def slow_release(text: str, corpora: list[Corpus]) -> str:
    while too_long(text, corpora):
        text = text[: first_too_long(text, corpora)[0]]
    return text


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(places)]


@given(cases(), CUTS)
@example(([(["a b 1 2"], 3)], "a b ½"), [])
@example(([(["a b 1", "a b a"], 2)], "a b a½"), [5])
@example(([(["a a a"], 2), (["a a a"], 2)], "a a a"), [])
def test_any_split_releases_the_text_up_to_the_word_too_many(
    case: tuple[list[Corpus], str], cuts: list[int]
) -> None:
    corpora, text = case
    scan = scanner_of(corpora).start()
    released = ""
    for piece in pieces_of(text, cuts):
        released += scan.feed(piece)
        assert not too_long(released, corpora)
    released += scan.flush()
    assert released == slow_release(text, corpora)
    found = too_long(text, corpora)
    assert (scan.hit is None) == (not found)
    if found:
        assert scan.hit in first_too_long(text, corpora)[1]


@given(cases(), PHRASES, CUTS)
def test_together_with_phrases_every_prefix_that_leaves_keeps_both(
    case: tuple[list[Corpus], str], phrases: list[str], cuts: list[int]
) -> None:
    corpora, text = case
    scan = scanner_of(corpora, phrases).start()
    released = ""
    for piece in pieces_of(text, cuts):
        released += scan.feed(piece)
        assert not too_long(released, corpora)
        assert not slow_matches(released, phrases)
    released += scan.flush()
    assert not too_long(released, corpora)
    assert not slow_matches(released, phrases)
    assert text.startswith(released)
    found = bool(too_long(text, corpora) or slow_matches(text, phrases))
    assert (scan.hit is not None) == found
    assert found or released == text


@given(cases())
def test_no_more_than_the_word_under_way_is_held_back(case: tuple[list[Corpus], str]) -> None:
    corpora, text = case
    scan = scanner_of(corpora).start()
    released = ""
    for count, char in enumerate(text, 1):
        released += scan.feed(char)
        if scan.hit is not None:
            return
        held = words_of(text[len(released) : count])
        # The one code point at which the hold-back begins may fold to a word before.
        head = len(fold(text[len(released)]).split()) if held else 0
        assert len(held) <= 1 + head


BOOK = "The lanterns of Saltgate burn low, and the ninth bell rings."


@pytest.mark.parametrize(
    "written",
    [
        "they say the lanterns of Saltgate burn low tonight",
        "they say THE LANTERNS  OF\n\nSALTGATE — BURN LOW tonight",
        "they say **the** _lanterns_ of `Saltgate`, burn-low tonight",
        "they say the lan\u200bterns of Salt\u00adgate burn l\u2060ow tonight",
    ],
)
def test_however_it_is_written_the_sixth_word_does_not_leave(written: str) -> None:
    scan = scanner_of([([BOOK], 5)]).start()
    released = "".join(scan.feed(char) for char in written) + scan.flush()
    assert words_of(released) == ["they", "say", "the", "lanterns", "of", "saltgate", "burn"]
    assert scan.hit == RunHit(0, 5)


def test_another_word_in_its_place_leaves_with_all_that_follows() -> None:
    scan = scanner_of([([BOOK], 5)]).start()
    assert scan.feed("The lanterns of Saltgate burn ") == "The lanterns of Saltgate burn "
    assert scan.feed("lo") == ""
    assert scan.feed("wer") == ""
    assert scan.feed(" than") == "lower than"
    assert scan.hit is None


def test_a_run_may_be_cut_short_by_the_end_of_the_text() -> None:
    scan = scanner_of([([BOOK], 5)]).start()
    assert scan.feed("The lanterns of Saltgate burn low") == "The lanterns of Saltgate burn "
    assert scan.flush() == ""
    assert scan.hit == RunHit(0, 5)


def test_a_scanner_of_protected_texts_alone_is_active() -> None:
    assert scanner_of([([BOOK], 5)]).active
    assert not Scanner([]).active
