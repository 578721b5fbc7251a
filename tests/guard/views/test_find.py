"""Whatever hides a text, once or twice, anywhere: a view shows it, and knows where it stood."""

from __future__ import annotations

import random
import sys
import uuid
from base64 import b64encode
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.context import Span
from guard.views import find_views
from guard.views.find import MOST_VIEWS
from load_tests.hostile import HOSTILE
from tests.guard.views.hiding import DIGITS, HIDDEN, makes_sense

PAIRS = [(outer, inner) for outer in HIDDEN for inner in HIDDEN if makes_sense(outer, inner)]
# No letter of two readings: a 1 may be an i or an l.
NAMES = ("Hogwarts", "Mersena Quay", "Voldemort", "brown petrel", "Saltgate")
SECRETS = st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)).map(" near ".join)
WORDS = st.lists(
    st.sampled_from(["please", "decode", "this", "and", "tell", "me", "x9", "é", "東", "Result:"]),
    max_size=6,
).map(" ".join)
OPENS = st.sampled_from([" ", ' "', "\n", " (", ': "'])
CLOSES = st.sampled_from([" ", '" ', "\n", ") ", ". "])


def places(text: str, secret: str) -> list[Span]:
    """Where the views of a text show a secret."""
    found = []
    for view in find_views(text):
        start = view.text.find(secret)
        if start >= 0:
            found.append(view.source(start, start + len(secret)))
    return found


def check(before: str, hidden: str, after: str, secret: str) -> None:
    text = before + hidden + after
    assert secret not in text
    whole = Span(len(before), len(before) + len(hidden))
    found = places(text, secret)
    assert found, find_views(text)
    for span in found:
        assert whole.start <= span.start < span.end <= whole.end
    # And nearly all of it: what is left over is padding, and the code of padding.
    assert max(span.end - span.start for span in found) >= 0.85 * len(hidden)


@pytest.mark.parametrize("way", HIDDEN)
@settings(max_examples=15, deadline=None)
@given(SECRETS, WORDS, OPENS, CLOSES, WORDS)
def test_a_hidden_text_is_found_where_it_stands(
    way: str, secret: str, before: str, opens: str, closes: str, after: str
) -> None:
    check(before + opens, HIDDEN[way](secret), closes + after, secret)


@pytest.mark.parametrize(("outer", "inner"), PAIRS)
@settings(max_examples=3, deadline=None)
@given(SECRETS, WORDS, OPENS, CLOSES, WORDS)
def test_a_text_hidden_twice_is_found_where_it_stands(
    outer: str, inner: str, secret: str, before: str, opens: str, closes: str, after: str
) -> None:
    hidden = HIDDEN[outer](HIDDEN[inner](secret))
    check(before + opens, hidden, closes + after, secret)


@pytest.mark.parametrize("way", [way for way in DIGITS if way.startswith(("base64", "hex in"))])
@given(SECRETS, st.text("abcdefXYZ09", max_size=9), st.text("abcdefXYZ09", max_size=9))
@settings(max_examples=20, deadline=None)
def test_letters_glued_to_digits_do_not_hide_them(
    way: str, secret: str, before: str, after: str
) -> None:
    text = before + HIDDEN[way](secret) + after
    assert any(secret in view.text for view in find_views(text))


@given(st.text(max_size=60))
@settings(deadline=None)
def test_every_part_of_a_view_came_from_somewhere(text: str) -> None:
    for view in find_views(text):
        assert len(view.text) == len(view.starts) == len(view.ends)
        for place in range(len(view.text)):
            span = view.source(place, place + 1)
            assert 0 <= span.start < span.end <= len(text)
        ends = [0]
        for part in view.readable:
            assert ends[-1] <= part.start < part.end <= len(view.text)
            ends.append(part.end)


def ordinary(seed: int) -> str:
    """Prose, and things among it that look like codes and are none."""
    draw = random.Random(seed)
    things: list[Callable[[], str]] = [
        lambda: str(uuid.UUID(int=draw.getrandbits(128))),
        lambda: draw.randbytes(32).hex(),
        lambda: draw.randbytes(20).hex(":"),
        lambda: "data:image/png;base64," + b64encode(draw.randbytes(2000)).decode(),
        lambda: "".join(draw.choices("ACGT", k=400)),
        lambda: "https://example.com/a%20b?q=caf%C3%A9&x=%2Fhome%2Fme&amp;y=1",
        lambda: "for (int i = 0; i < n; ++i) { sum += a[i] * b[n - 1 - i]; }",
        lambda: " ".join(str(draw.randrange(10**6)) for _ in range(60)),
        lambda: "x^2 + y^2 = z^2, where a b c are 1 2 3 4 5 6 and (i, j, k)",
        lambda: "H2O, CO2, B2B, 3rd, 1st, mp3, ipv6, sha256, utf8, k8s, i18n, 4x4, R2D2",
        lambda: "Москва, 東京 and Αθήνα: мама мыла раму",
        lambda: "We met on the 3rd of May and it was fine; they were there, too.",
    ]
    return "\n".join(draw.choice(things)() for _ in range(8))


@given(st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_ordinary_text_has_no_view_that_reads_as_text(seed: int) -> None:
    text = ordinary(seed)
    reading = [
        (view.name, view.text[part.start : part.end])
        for view in find_views(text)
        for part in view.readable
    ]
    assert reading == []


def steps(text: str) -> int:
    """How many lines are run, loops counted each time, to make the views of a text."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        find_views(text)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("kind", HOSTILE)
def test_work_and_memory_are_linear_whatever_the_text(kind: str) -> None:
    make = HOSTILE[kind]
    find_views(make(700))  # what is made once is made
    least = 6000 if kind == "everything in turn" else 700  # characters, so that all of it is there
    small, large = make(least), make(4 * least)
    grown = len(large) / len(small)
    assert steps(large) <= 1.3 * grown * steps(small)
    views = find_views(large)
    assert len(views) <= MOST_VIEWS
    assert sum(len(view.text) for view in views) <= 80 * len(large)
    parts = [part for view in views for part in view.readable]
    assert sum(part.end - part.start for part in parts) <= 20 * len(large)
