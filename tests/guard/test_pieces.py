from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guard.pieces import pieces_of
from guard.windows import WINDOW, windows


def test_a_question_between_others_is_looked_at_by_itself() -> None:
    pieces = pieces_of("Hi! I am writing an essay. Who sails it?")
    assert pieces[0] == "Hi! I am writing an essay. Who sails it?"
    assert "Who sails it?" in pieces


@given(st.text(alphabet="ab .?!\n", max_size=3 * WINDOW))
def test_pieces_fit_a_window_and_are_the_windows_and_more(text: str) -> None:
    pieces = pieces_of(text)
    assert len(pieces) == len(set(pieces))
    assert all(0 < len(piece) <= WINDOW for piece in pieces)
    assert set(windows(text)) <= set(pieces)
