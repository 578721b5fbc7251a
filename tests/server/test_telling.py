"""A text tells something of a target where it says more than its name."""

from __future__ import annotations

import pytest

from guard.phrase_table import BundlePhrase
from server.telling import Telling
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
    assert TELLING.tells(text) is tells


def test_a_run_of_a_protected_text_tells() -> None:
    telling = Telling([], [(0, filter_of(["the tide goes out and the boats lie"], 4))])
    assert telling.tells("He said that the tide goes out and the rest.")
    assert not telling.tells("He said that the tide goes out.")
