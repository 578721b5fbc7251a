"""Sentences cover a text without gaps; edits withhold what they are told to and nothing else."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.context import (
    DROPPED,
    REDACTED,
    Span,
    Withheld,
    edit_context,
    parted,
    split_sentences,
)
from guard.decision import ContextEdit

PROSE = st.text('aBc1 .!?。\n-*:)"” \t#Dr', max_size=60)


def sentences(text: str) -> list[str]:
    return [text[span.start : span.end].strip() for span in split_sentences(text)]


@given(st.one_of(st.text(), PROSE))
def test_sentences_cover_the_text_without_gaps(text: str) -> None:
    spans = split_sentences(text)
    assert "".join(text[span.start : span.end] for span in spans) == text
    assert all(span.start < span.end for span in spans)
    if text.strip():
        assert all(text[span.start : span.end].strip() for span in spans)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ('He said "Go." Then he left.', ['He said "Go."', "Then he left."]),
        ('"Stop!" he said. "Why?" she asked.', ['"Stop!" he said.', '"Why?" she asked.']),
        ("Dr. Quay met Mr. Lund at 5 p.m. Friday.", ["Dr. Quay met Mr. Lund at 5 p.m. Friday."]),
        ("J. K. Rowling wrote it. I read it.", ["J. K. Rowling wrote it.", "I read it."]),
        ("It rose by 3.5 percent. Then 4.", ["It rose by 3.5 percent.", "Then 4."]),
        ("See vol. 3, p. 12. It is there.", ["See vol. 3, p. 12.", "It is there."]),
        ("He said no. They sat. We left.", ["He said no.", "They sat.", "We left."]),
        ("Well... maybe. So... Yes.", ["Well... maybe.", "So...", "Yes."]),
        ("See www.example.com for it. Go.", ["See www.example.com for it.", "Go."]),
        ("東京です。「はい。」と言った！次", ["東京です。", "「はい。」", "と言った！", "次"]),
        ("هل هذا صحيح؟ نعم.", ["هل هذا صحيح؟", "نعم."]),
        ("यह एक है। वह दो है।", ["यह एक है।", "वह दो है।"]),
        ("- one\n- two\n- three", ["- one", "- two", "- three"]),
        ("1. One\n2. Two. More\n10. Ten", ["1. One", "2. Two.", "More", "10. Ten"]),
        ("# Title\nText follows.", ["# Title", "Text follows."]),
        ("Name: Quay\nPort: Saltgate", ["Name: Quay", "Port: Saltgate"]),
        ("First line\n\nSecond line", ["First line", "Second line"]),
        ("  \n\n Lead. Next.\n", ["Lead.", "Next."]),
        (
            "The novels of the harbour were all written by\nMirelle Quay in Saltgate. She\nis old.",
            ["The novels of the harbour were all written by\nMirelle Quay in Saltgate.", "She",
             "is old."],
        ),
        (
            "It was a long line that ends with a colon, as such lines do:\nand the next",
            ["It was a long line that ends with a colon, as such lines do:", "and the next"],
        ),
        (
            "It was a long line of a list without any marks at its end\n- and this is an item",
            ["It was a long line of a list without any marks at its end", "- and this is an item"],
        ),
    ],
)  # fmt: skip
def test_sentences_end_where_a_reader_would_end_them(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_a_long_text_without_spaces_is_one_sentence() -> None:
    assert len(split_sentences("x.y" * 100_000)) == 1


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("x" + "?" * 200_000 + "y", 1),
        ("x" + "\n" * 200_000 + "y", 2),
        ("x" + ".\n" * 100_000 + "y", 100_001),
        (" 12. A" * 50_000, 50_000),
        ("x" + "." * 100_000 + "\n" * 100_000 + "y", 2),
    ],
    ids=["marks", "lines", "marks and lines", "numbers", "both"],
)
def test_a_text_of_nothing_but_ends_takes_no_longer_than_others(text: str, sentences: int) -> None:
    # By the square of their length, these would take longer than anybody waits.
    assert len(split_sentences(text)) == sentences


@st.composite
def texts_with_withheld(draw: st.DrawFn) -> tuple[str, list[Withheld]]:
    text = draw(st.text("abc  \n", max_size=30))
    place = st.integers(0, len(text))
    items = draw(st.lists(st.tuples(place, place, st.sampled_from(["quay", "petrel"])), max_size=6))
    return text, [Withheld(Span(min(a, b), max(a, b)), target, "redact") for a, b, target in items]


@given(texts_with_withheld())
def test_redaction_removes_the_union_of_spans_and_nothing_else(
    case: tuple[str, list[Withheld]],
) -> None:
    text, withheld = case
    edited, edits = edit_context("messages[0].content", text, withheld)
    hidden = [any(w.span.start <= i < w.span.end for w in withheld) for i in range(len(text))]
    # What stays is, in order, what no span covers; white space may stay besides.
    kept = "".join(edited.split(REDACTED))
    assert "".join(kept.split()) == "".join(
        char for char, gone in zip(text, hidden, strict=True) if not gone and not char.isspace()
    )
    covered = {i for edit in edits for i in range(edit.start, edit.end)}
    assert {i for i in covered if not hidden[i]} == set()
    assert {i for i, gone in enumerate(hidden) if gone and not text[i].isspace()} <= covered
    assert (REDACTED in edited) == bool(edits)
    # One marker a run: two are never neighbours unless text stands between them.
    assert REDACTED + REDACTED not in edited


@given(texts_with_withheld())
def test_each_target_has_its_own_edits_apart_and_in_order(
    case: tuple[str, list[Withheld]],
) -> None:
    text, withheld = case
    _, edits = edit_context("p", text, withheld)
    assert list(edits) == sorted(edits, key=lambda e: (e.start, e.end, e.target))
    for target in ("quay", "petrel"):
        own = [edit for edit in edits if edit.target == target]
        wanted = {
            i for w in withheld if w.target == target for i in range(w.span.start, w.span.end)
        }
        got = [i for edit in own for i in range(edit.start, edit.end)]
        assert len(got) == len(set(got))
        assert set(got) <= wanted
        assert all(text[i].isspace() for i in wanted - set(got))
        assert all(a.end < b.start for a, b in pairwise(own))


def test_a_redacted_sentence_leaves_one_marker_and_the_white_space_around_it() -> None:
    text = "Ports are wet.\nQuay wrote it.\nShips sail."
    second = split_sentences(text)[1]
    edited, edits = edit_context("system", text, [Withheld(second, "quay", "redact")])
    assert edited == f"Ports are wet.\n{REDACTED}\nShips sail."
    assert edits == (ContextEdit("system", 15, 29, "quay", "redact"),)
    assert text[15:29] == "Quay wrote it."


def test_overlapping_spans_of_two_targets_become_one_marker_and_two_edits() -> None:
    withheld = [Withheld(Span(0, 6), "a", "redact"), Withheld(Span(4, 9), "b", "redact")]
    edited, edits = edit_context("p", "0123456789", withheld)
    assert edited == f"{REDACTED}9"
    assert edits == (ContextEdit("p", 0, 6, "a", "redact"), ContextEdit("p", 4, 9, "b", "redact"))


def test_drop_leaves_nothing_of_the_text() -> None:
    withheld = [
        Withheld(Span(2, 4), "a", "redact"),
        Withheld(Span(5, 6), "b", "drop"),
        Withheld(Span(7, 8), "b", "drop"),
    ]
    edited, edits = edit_context("p", "0123456789", withheld)
    assert edited == DROPPED
    assert edits == (ContextEdit("p", 0, 10, "b", "drop"), ContextEdit("p", 2, 4, "a", "redact"))


def test_a_text_with_nothing_withheld_is_unchanged() -> None:
    assert edit_context("p", " some text\n", []) == (" some text\n", ())


@pytest.mark.parametrize("span", [Span(-1, 2), Span(3, 2), Span(0, 6)])
def test_a_span_outside_the_text_is_refused(span: Span) -> None:
    with pytest.raises(ValueError, match=r"is not within `messages\[1\]`"):
        edit_context("messages[1]", "12345", [Withheld(span, "a", "redact")])


@pytest.mark.parametrize(
    ("before", "after", "ends"),
    [
        ("Who sails?", "What is it?", True),
        ("He left.\n", "  She stayed", True),
        ('He said "Go."', "Then he left.", True),
        ("東京です。", "はい", True),
        ("Who sails", "the ferry?", False),
        ("He met Dr.", "Quay there.", False),
        ("Who wrote it, J.", "K. Rowling?", False),
        ("He sails?", "and who else", False),
        ("One. Two", "Three. Four.", False),
        ("x" * 500 + " So it is.", "Then " + "y" * 500, True),
    ],
)
def test_texts_are_parted_where_a_sentence_ends_between_them(
    before: str, after: str, ends: bool
) -> None:
    assert parted(before, after) is ends
