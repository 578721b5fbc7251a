from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guard.windows import OVERLAP, WINDOW, windows

LONG = st.text(alphabet="ab \n", min_size=0, max_size=1500)


@given(LONG)
def test_no_window_is_longer_than_the_limit(text: str) -> None:
    assert all(0 < len(piece) <= WINDOW for piece in windows(text))


@given(st.lists(st.text(alphabet="abcdefgh", min_size=1, max_size=300), min_size=1, max_size=60))
def test_every_short_run_of_a_text_is_whole_in_some_window(words: list[str]) -> None:
    text = " ".join(words)
    pieces = windows(text)
    for start in range(max(1, len(text) - OVERLAP + 1)):
        part = text[start : start + OVERLAP].strip()
        assert any(part in piece for piece in pieces)


def test_a_text_that_fits_is_one_window_without_its_outer_space() -> None:
    assert windows("  Who wrote it?\n") == ["Who wrote it?"]


def test_white_space_has_no_window() -> None:
    assert windows(" \n ") == []


def test_windows_are_cut_between_words() -> None:
    words = [f"word{index}" for index in range(200)]
    for piece in windows(" ".join(words)):
        assert set(piece.split()) <= set(words)
