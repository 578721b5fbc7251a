"""Where phrases may begin in a text, found for all of them at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guard.normalise import folded, normalise
from guard.phrases import ENOUGH_LETTERS, has_enough_letters, letters_of
from guard.views import Openings

PHRASES = st.lists(
    st.text("abcé 東", min_size=1, max_size=9).map(normalise).filter(bool), min_size=1, max_size=6
)
TEXTS = st.text("abcABCéÉ 東-\u200bﬃ", max_size=40)


@given(PHRASES, TEXTS, st.sampled_from([1, 16]))
def test_each_place_where_a_phrase_may_begin_is_found_and_no_other(
    phrases: list[str], text: str, bits: int
) -> None:
    letters = letters_of(folded(text)[0])
    openings = Openings(phrases, bits)
    heads = [letters_of(each)[:ENOUGH_LETTERS] for each in phrases if has_enough_letters(each)]
    expected = [
        place for place in range(len(letters)) if letters[place : place + ENOUGH_LETTERS] in heads
    ]
    assert openings.in_letters(letters) == expected
    assert openings.any_in(text) == openings.any_in_normalised(folded(text)[0]) == bool(expected)
