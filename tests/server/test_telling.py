"""A text tells something of a target where it says more than its name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.normalise import normalise
from guard.phrase_table import BundlePhrase
from guard.phrases import PhraseSearch
from server.telling import Said, Telling
from tests.guard.words import filter_of

TELLING = Telling(
    [
        BundlePhrase("mirelle quay", 0, "hard", cue=True),
        BundlePhrase("quay", 0, "hard", cue=True),
        BundlePhrase("harbor novels", 0, "hard", cue=True),
        BundlePhrase("saltgate", 0, "hard"),
        BundlePhrase("petrel", 0, "soft"),
    ],
    [],
)


@pytest.mark.parametrize(
    ("text", "tells"),
    [
        ("Mirelle Quay. Mirelle Quay! Quay?", False),
        ("The Petrel is Mirelle Quay's boat.", False),  # what is soft is no reason
        ("Mirelle Quay lives in Salt gate.", True),
        ("Mirelle Quay wrote the Harbor novels.", True),
        ("", False),
    ],
)
def test_a_phrase_that_nobody_asks_by_or_two_that_people_do(text: str, tells: bool) -> None:
    assert TELLING.tells(Said(text)) is tells


PHRASES = ["ali", "ab c", "saltgate", "mirelle quay", "été", "quay"]
PIECES = st.sampled_from([*"abABcCé .,-\n", "Ali", "Salt", "gate", "Mirelle", "quay", "é", "字"])


@given(st.lists(PIECES, max_size=12).map("".join))
def test_a_phrase_is_said_where_a_search_finds_it(text: str) -> None:
    phrases = [normalise(each) for each in PHRASES]
    found = {match.phrase for match in PhraseSearch(phrases).search(text)}
    said = Said(text)
    assert {index for index, each in enumerate(phrases) if said.says(each)} == found


def test_only_a_part_that_is_said_with_the_whole_counts_for_none() -> None:
    cues = ["quay", "mirelle quay", "ali", "alice munro"]
    telling = Telling([BundlePhrase(cue, 0, "hard", cue=True) for cue in cues], [])
    assert not telling.tells(Said("Mirelle Quay: Quay."))
    assert not telling.tells(Said("Alice Munro."))
    assert telling.tells(Said("Ali wrote to Alice Munro."))


def test_a_run_of_a_protected_text_tells() -> None:
    telling = Telling([], [(0, filter_of(["the tide goes out and the boats lie"], 4))])
    assert telling.tells(Said("He said that the tide goes out and the rest."))
    assert not telling.tells(Said("He said that the tide goes out."))
