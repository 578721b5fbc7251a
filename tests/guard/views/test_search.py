from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from guard.context import Span
from guard.normalise import folded, normalise
from guard.phrases import Match, PhraseSearch, has_enough_letters, letters_of
from guard.views import ViewSearch, find_views
from guard.views.view import View

PHRASES = st.lists(
    st.text("abcé 東", min_size=1, max_size=9).map(normalise).filter(bool), min_size=1, max_size=4
)
TEXTS = st.text("abcABCéÉ 東-\u200bﬃ", max_size=40)


@given(PHRASES, TEXTS)
def test_no_text_that_holds_a_phrase_is_passed_over(phrases: list[str], text: str) -> None:
    letters = letters_of(folded(text)[0])
    long = [letters_of(phrase) for phrase in phrases if has_enough_letters(phrase)]
    expected = any(own[:6] in letters for own in long)
    assert ViewSearch(phrases).may_hold(text) == expected


@given(PHRASES, TEXTS)
def test_a_view_that_reads_as_text_is_searched_like_one(phrases: list[str], text: str) -> None:
    original = "#" * len(text)
    whole = View.of(text)
    view = whole.reading([Span(0, len(text))] if text else [])
    searched = PhraseSearch(phrases)
    found = {phrase for phrase, _ in ViewSearch(phrases).hidden(view, original, searched.search)}
    assert found == {match.phrase for match in searched.search(text)}
    unread = {phrase for phrase, _ in ViewSearch(phrases).hidden(whole, original, searched.search)}
    assert unread == {phrase for phrase in found if has_enough_letters(phrases[phrase])}


def test_what_the_original_says_too_is_not_hidden() -> None:
    search = PhraseSearch(["saltgate"])
    text = "Saltgate is near. %41nd S%61ltgate is far."
    found = [
        text[span.start : span.end]
        for view in find_views(text)
        for _, span in ViewSearch(["saltgate"]).hidden(view, text, search.search)
    ]
    assert found == ["%41nd S%61ltgate is far."]


def test_a_view_without_the_first_letters_of_a_phrase_is_not_searched() -> None:
    searched: list[str] = []

    def search(text: str) -> Iterable[Match]:
        searched.append(text)
        return ()

    looked = ViewSearch(["mirelle quay"])
    looked.hidden(View.of("Nothing of the kind, and a mirel of its own."), "", search)
    assert searched == []
    looked.hidden(View.of("A mirelly thing."), "", search)
    assert searched == ["A mirelly thing."]
