"""Whatever tells something is found, and was under way before it was told; little else is."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.normalise import normalise
from guard.phrase_table import BundlePhrase
from server.tell_signs import TellSigns
from server.telling import Said, Telling
from server.wire.json_text import unescape_json
from tests.guard.words import filter_of

PHRASES = ["saltgate", "the blind bell founder", "oslo", "ab c", "mirelle quay", "été à cadix"]
CORPUS = "the tide turns twice a day and nobody in town has ever asked it why"


FILTER = filter_of([CORPUS], 4)
SIGNS = TellSigns([normalise(each) for each in PHRASES], range(len(PHRASES)), [(6, FILTER)])
TELLING = [
    *(Telling([BundlePhrase(normalise(each), i, "hard")], []) for i, each in enumerate(PHRASES)),
    Telling([], [(6, FILTER)]),
]
PIECES = st.sampled_from(
    [
        *"abABcC .,-", "\u200b", "Salt", "gate", "SALT GATE", "the blind", "bell-founder", "Osl",
        "o", "oslo", "Ete", "\u0301", "\u00e9t\u00e9 ", "\u00e0 Cadix", "\uff2f\uff33\uff2c\uff2f",
        "turns twice", " a day and", "the tide ", "\\u0053alt", "\\u0067ate", "\\n", "\\",
        "\\u006f",
    ]
)  # fmt: skip


def cut(text: str, data: st.DataObject, most: int) -> list[str]:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=most))
    return [text[a:b] for a, b in pairwise(sorted({0, len(text), *cuts}))]


def told(text: str) -> set[int]:
    forms = {text, unescape_json(text)}
    return {i for i, each in enumerate(TELLING) if any(each.tells(Said(form)) for form in forms)}


@settings(max_examples=400)
@given(st.lists(PIECES, max_size=14).map("".join), st.data())
def test_whatever_tells_something_is_found_wherever_it_is_taken(
    text: str, data: st.DataObject
) -> None:
    assert told(text) <= SIGNS.in_text(text)
    reading = SIGNS.start()
    found: set[int] = set()
    read = ""
    for sentence in cut(text, data, 4):
        for piece in cut(sentence, data, 4):
            reading.feed(piece)
        read += sentence
        found |= reading.take(len(read))
        assert told(read) <= found


@settings(max_examples=400)
@given(st.lists(PIECES, max_size=14).map("".join), st.data())
def test_nothing_is_told_that_was_not_under_way_before(text: str, data: st.DataObject) -> None:
    reading = SIGNS.start()
    read, until = "", 0
    before = told("")
    for place, char in enumerate(text):
        if data.draw(st.booleans(), label="take"):
            reading.take(place)
            until = place
        read += char
        if (now := told(read)) - before:
            # Only what the end of the sentence before left whole is told by it.
            assert reading.feed(char) or told(text[:until]) >= now - before
        else:
            reading.feed(char)
        before = now


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
    reading.take(len(before))
    assert reading.under_way


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Tides turn.",
        "A blind man founded a bell.",
        "Salt, a gate.",
        "Oslow",
        "nobody in a town has",
        "The blind bell rings.",  # begins like a phrase
        "and nobody in town heard",  # begins like a run
    ],
)
def test_what_says_nothing_of_it_is_of_nobody(text: str) -> None:
    assert not told(text)
    assert not SIGNS.in_text(text) - {6}


def test_a_word_that_turns_out_not_to_be_one_too_many_holds_no_longer() -> None:
    corpus = filter_of(["the tide turns ﬁfteen times"], 3)
    reading = TellSigns([], [], [(0, corpus)]).start()
    # Whose first character is two letters.
    assert reading.feed("The tide turns ﬁf")
    assert not reading.feed("ty ")
    assert reading.take(20) == set()
    assert reading.feed("The tide turns ﬁfteen ")
    assert reading.take(42) == {0}
    assert not reading.under_way


def test_an_escape_may_spell_anything() -> None:
    assert SIGNS.in_text('{"text": "\\u0053altgate"}') == {0}


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("text", "target"),
    [
        (r'{"poem": "The tide turns\ntwice a day\nand nobody in town\nhas"}', 6),
        (r"and\u0020nobody\u0020in\u0020town has", 6),
        (r"and \u006eobody in town \u0068as", 6),
        ("the " + r"\u200b" * 500 + "blind bell " + r"\u200b\u0066" + "ounder", 1),
        (r"S\ud835\udc1alt\ngate", 0),  # a letter that is two escapes
        (r"O\tslo: \u004f\u0053\u004c\u004f", 2),
    ],
)
def test_an_escape_in_what_is_told_hides_nothing(text: str, target: int, step: int) -> None:
    assert target in told(text)
    reading = SIGNS.start()
    found: set[int] = set()
    for start in range(0, len(text), step):
        reading.feed(text[start : start + step])
        found |= reading.take(start)
    assert target in found | reading.take(len(text))


@pytest.mark.parametrize(
    "text",
    ["Saltgat" + "." * 50_000, "Salt\u200b" * 20_000, "\\" * 50_000, "ab" + " " * 50_000,
     f"{CORPUS}. " * 700],
)  # fmt: skip
def test_whatever_is_under_way_a_piece_costs_by_its_own_length(text: str) -> None:
    # By the length of the text, all of them would take longer than anybody waits.
    reading = SIGNS.start()
    for start in range(0, len(text), 4):
        reading.feed(text[start : start + 4])
    assert reading.take(len(text)) <= {6}


def test_a_place_where_many_of_no_matter_may_begin_is_not_searched_for_all() -> None:
    phrases = [f"saltgate {number:04}" for number in range(2000)]
    signs = TellSigns(phrases, [0] * 1999 + [1], [])
    assert signs.start(skip={0}).feed("Saltgate 1")
    assert signs.in_text("Saltgate 1999", skip={0}) == {1}
    assert signs.in_text("Saltgate 1998", skip={0}) == set()


@pytest.mark.parametrize(
    ("sentence", "rest", "goes_on"),
    [
        ("She lives in Saltgate. ", "It", False),  # it was told, and that is over
        ("By the blind bell. ", "", True),  # the founder may follow
        ("By the blind bell. ", "Found", True),
        ("By the blind bell. ", "It", False),
        ("Oslo. ", "It", False),
        ("It is late. ", "Saltga", True),
        ("nobody in town. ", "It", False),
    ],
)
def test_after_a_sentence_only_what_may_go_on_is_under_way(
    sentence: str, rest: str, goes_on: bool
) -> None:
    reading = SIGNS.start()
    reading.feed(sentence + rest)
    reading.take(len(sentence))
    assert reading.under_way == goes_on


def test_targets_that_are_of_no_matter_neither_tell_nor_hold() -> None:
    text = "Mirelle Quay left Oslo for Saltgate: and nobody in town has"
    assert SIGNS.in_text(text) == {0, 2, 4, 6}
    assert SIGNS.in_text(text, skip={0, 2}) == {4, 6}
    reading = SIGNS.start(skip={0, 2, 4, 6})
    assert not reading.feed(text)


def test_more_protected_texts_than_can_be_looked_up_may_always_be_told() -> None:
    many = TellSigns([], [], [(index, FILTER) for index in range(65)])
    assert many.always
    assert many.start().under_way
    assert not TellSigns([], [], [(index, FILTER) for index in range(64)]).always
