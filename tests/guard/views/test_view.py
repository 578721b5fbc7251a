from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.context import Span
from guard.views.view import GAP, Unit, View, said_within

TEXTS = st.text("ab é東😀 .\n", max_size=20)


@st.composite
def replacements(draw: st.DrawFn) -> tuple[str, list[Unit]]:
    """A text, and units of it, in order and apart."""
    text = draw(TEXTS)
    edges = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    return text, [Unit(start, end, draw(st.text("xy😀", max_size=3))) for start, end in pairs]


@given(replacements())
def test_replacing_is_what_doing_it_by_hand_is(case: tuple[str, list[Unit]]) -> None:
    text, units = case
    out, spans, new = "", [], []
    place = 0
    for unit in [*units, Unit(len(text), len(text), "")]:
        out += text[place : unit.start] + unit.text
        spans += [(at, at + 1) for at in range(place, unit.start)]
        spans += [(unit.start, unit.end)] * len(unit.text)
        new += [False] * (unit.start - place) + [True] * len(unit.text)
        place = unit.end
    made, is_new = View.of(text).replaced(units, "kind")
    assert made.text == out
    assert list(zip(made.starts.tolist(), made.ends.tolist(), strict=True)) == spans
    assert is_new.tolist() == new
    assert made.via == ("kind",)


@given(replacements())
def test_places_are_carried_through_a_second_step(case: tuple[str, list[Unit]]) -> None:
    text, units = case
    made, _ = View.of(text).replaced(units, "one")
    back = made.turned(made.text[::-1], "reversed", backwards=True)
    assert back.name == "one of reversed"
    for place in range(len(made.text)):
        there = len(made.text) - 1 - place
        assert back.source(there, there + 1) == made.source(place, place + 1)


def test_a_character_made_of_several_came_from_all_of_them() -> None:
    view = View.of("abcdef").turned("fedcba", "reversed", backwards=True)
    made = view.picked("xy", "kind", np.array([0, 3], np.int32), np.array([2, 5], np.int32))
    assert made.source(0, 1) == Span(3, 6)
    assert made.source(1, 2) == Span(0, 3)
    assert made.source(0, 2) == Span(0, 6)


@pytest.mark.parametrize(("start", "end"), [(0, 0), (-1, 1), (2, 1), (0, 4)])
def test_what_is_no_part_of_a_view_has_no_place(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="no part"):
        View.of("abc").source(start, end)


def test_sentences_are_without_white_space_and_do_not_go_over_a_gap() -> None:
    text = f"One.  Two\n\n three.{GAP} Four. "
    said = [text[span.start : span.end] for span in View.of(text).sentences()]
    assert said == ["One.", "Two", "three.", "Four."]
    assert said_within("  ") == []
