"""Whatever tells something has shown a sign of it; the signs are few."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.normalise import normalise
from guard.phrase_table import BundlePhrase
from server.tell_signs import TellSigns
from server.telling import Telling
from tests.guard.words import filter_of

PHRASES = ["saltgate", "the blind bell founder", "oslo", "ab c", "mirelle quay", "été à cadix"]
CORPUS = "the tide turns twice a day and nobody in town has ever asked it why"


FILTER = filter_of([CORPUS], 4)
SIGNS = TellSigns([normalise(each) for each in PHRASES], [(0, FILTER)])
TELLING = Telling([BundlePhrase(normalise(each), 0, "hard") for each in PHRASES], [(0, FILTER)])
PIECES = st.sampled_from(
    [
        *"abABcC .,-", "\u200b", "Salt", "gate", "SALT GATE", "the blind", "bell-founder", "Osl",
        "o", "oslo", "Ete", "\u0301", "\u00e9t\u00e9 ", "\u00e0 Cadix", "\uff2f\uff33\uff2c\uff2f",
        "turns twice", " a day and", "the tide ",
    ]
)  # fmt: skip


def shown(pieces: Sequence[str]) -> bool:
    reading = SIGNS.start()
    return [reading.feed(piece) for piece in pieces][-1] if pieces else False


@settings(max_examples=400)
@given(st.lists(PIECES, max_size=14), st.data())
def test_whatever_tells_something_has_shown_a_sign(pieces: list[str], data: st.DataObject) -> None:
    text = "".join(pieces)
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=8))
    parts = [text[a:b] for a, b in pairwise(sorted({0, len(text), *cuts}))]
    # Of a word that has not ended the stream cannot know that it is none.
    assert shown(parts) or not SIGNS.in_text(text)
    if TELLING.tells(text):
        assert SIGNS.in_text(text)
        assert shown(parts)


@pytest.mark.parametrize(
    ("before", "piece"),
    [
        ("She lives in Sal", "tga"),  # six letters of it
        ("It is in O", "slo"),
        ("S" + " " * 500 + "altg", "a"),
        ("and nobody in town", " h"),  # a word more than may be said begins
    ],
)
def test_a_sign_shows_before_it_is_told(before: str, piece: str) -> None:
    reading = SIGNS.start()
    assert not reading.feed(before)
    assert reading.feed(piece)
    assert reading.feed(" and whatever follows")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Tides turn.",
        "A blind man founded a bell.",
        "Salt, a gate.",
        "Oslow",
        "nobody in a town has",
    ],
)
def test_what_says_nothing_of_it_shows_none(text: str) -> None:
    assert not SIGNS.in_text(text)
    assert not TELLING.tells(text)


def test_an_escape_may_spell_anything() -> None:
    assert SIGNS.in_text('{"text": "\\u0053altgate"}')


def test_more_protected_texts_than_can_be_looked_up_are_one_sign() -> None:
    many = TellSigns([], [(index, FILTER) for index in range(65)])
    assert many.in_text("Tides turn.")
    assert not TellSigns([], [(index, FILTER) for index in range(64)]).in_text("Tides turn.")
