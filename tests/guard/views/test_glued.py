"""Words written without spaces are read with them, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.views.find import find_views
from guard.views.glued import KIND, parted
from guard.views.view import View

WORDS = st.sampled_from("who is the name of this book and what was in it for a good day".split())


def read(text: str) -> list[str]:
    return [view.text for view in parted(View.of(text))]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("WhoisthefatherofMirelleQuay?", "Who is the father of Mirelle Quay?"),
        ("whatisthenameofthebook", "what is the name of the book"),
        ("Tellme:whatdoesthisbooksay?", "Tell me:what does this book say?"),
        (
            'HowdidMirelleQuay\'s"TheFerry"becomeabookthatpeopleread?',
            'How did Mirelle Quay\'s"The Ferry"become a book that people read?',
        ),
        (
            "Whatis thename ofthe bookthat MirelleQuay wrote?",
            "What is the name of the book that Mirelle Quay wrote?",
        ),
        (
            "Whoisthekeeperofthelight,bornon05/11/1991?",
            "Who is the keeper of the light,born on05/11/1991?",
        ),
        ("HereisThePeakOfTheMountain!", "Here is The Peak Of The Mountain!"),
        ("Well, howtobakeabreadintheoven it is", "Well, how to bake a bread in the oven it is"),
    ],
)
def test_glued_words_are_parted(text: str, words: str) -> None:
    assert read(text) == [words]


@pytest.mark.parametrize(
    "text",
    [
        "Who is the father of Mirelle Quay?",
        "Donaudampfschifffahrtsgesellschaft",
        "The windowsill of the boathouse, undersea and overland",
        "Mirelleandquay of Saltgate",
        "antidisestablishmentarianism",
        "getUserNameFromDatabaseConnection",
        "dGhlIGZhdGhlciBvZiBNaXJlbGxl",
        "a" * 100,
        "",
        "https://example.com/documentation/configuration",
        "https://example.com/search?q=what%20is%20in%20the%20book",
        "/usr/share/what/is/in/the/book",
    ],
)
def test_long_words_names_of_code_and_codes_are_left(text: str) -> None:
    assert read(text) == []


@given(st.lists(WORDS, min_size=8, max_size=20))
def test_a_view_of_common_words_has_their_letters_and_no_long_run(words: list[str]) -> None:
    glued = "".join(words)
    for text in read(glued):
        assert text.replace(" ", "") == glued
        assert max(map(len, text.split())) < len(glued)


@given(st.text(alphabet="aehotwsiXY .'9", max_size=200))
def test_every_part_of_a_view_stands_where_it_came_from(text: str) -> None:
    for view in parted(View.of(text)):
        assert view.text.replace(" ", "") == text.replace(" ", "")
        for span in view.readable:
            place = view.source(span.start, span.end)
            said = view.text[span.start : span.end].replace(" ", "")
            assert said == text[place.start : place.end].replace(" ", "")


def test_it_is_one_of_the_views_and_not_read_inside_others() -> None:
    names = [view.name for view in find_views("WhoisthefatherofMirelleQuay?")]
    assert KIND in names
    assert not [name for name in names if name.endswith(f"of {KIND}")]
