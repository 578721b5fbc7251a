from __future__ import annotations

import pytest

from guard.views.lookalikes import LOOKALIKES, as_latin
from guard.views.view import View


def read(text: str) -> tuple[str, list[str]] | None:
    """The look-alike reading of a text, and what of it is worth comparing; None without one."""
    made = next(as_latin(View.of(text)), None)
    if made is None:
        return None
    assert made.name == LOOKALIKES
    return made.text, [made.text[part.start : part.end] for part in made.readable]


@pytest.mark.parametrize(
    "text",
    [
        "Whо is the сaptain of the аuthоr?",  # Cyrillic letters among Latin ones
        "Whø ɨs ŧħe captain of the auŧħor?",
    ],
)
def test_a_sentence_with_letters_that_only_look_latin_is_worth_comparing(text: str) -> None:
    assert read(f"Hello there, friend. {text}") == (
        "Hello there, friend. Who is the captain of the author?",
        ["Who is the captain of the author?"],
    )


@pytest.mark.parametrize(
    "text",
    [
        "Кто капитан этого корабля?",  # one script
        "Hvor kommer kjøttet på bordet fra, og hvem sørger for været?",
        "Która łódź była pierwsza w porcie, a która dopłynęła później?",
    ],
)
def test_a_sentence_of_another_language_is_not(text: str) -> None:
    made = read(text)
    assert made is None or made[1] == []


def test_what_is_ascii_has_no_such_reading() -> None:
    assert read("Who is the captain?") is None
    assert read("Wer ist früh auf der Brücke?") is None
