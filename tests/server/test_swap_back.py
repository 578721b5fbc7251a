"""Stand-ins become names before the scan, which sees what the user will read."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from guard.phrase_table import BundlePhrase
from guard.stream import Scanner
from server.swap_back import SwapBack
from server.wire.json_text import unescape_json
from tests.guard.words import filter_of

TABLE = [("Ellis Hale", "Hina Ameen"), ("Tin Kettle", "The Town That Drowned Today")]
CORPUS = "They say The Town That Drowned Today is a book by Hina Ameen of the sea"


def scanner(*phrases: str, words: int = 3) -> Scanner:
    found = [BundlePhrase(phrase, 0, "hard") for phrase in phrases]
    return Scanner(found, [(0, filter_of([CORPUS], words))])


def said(back: SwapBack, scanner: Scanner, pieces: list[str]) -> tuple[str, bool]:
    """What is released of a text, and whether it was cut."""
    scan = scanner.start()
    swapped = back.start(scan)
    released = "".join([*map(swapped.feed, pieces), swapped.flush()])
    return released, scan.hit is not None


def test_the_scan_reads_names_and_not_stand_ins() -> None:
    scan = scanner("of hina ameen")
    back = SwapBack.of(TABLE, scan)
    assert said(back, scan, ["A book of El", "lis Hale."]) == ("A book ", True)


def test_a_name_that_may_not_be_said_stays_a_stand_in() -> None:
    scan = scanner("ameen")
    back = SwapBack.of(TABLE, scan)
    assert said(back, scan, ["By Ellis Hale."]) == ("By Ellis Hale.", False)


def test_a_name_counts_as_words_of_a_run() -> None:
    scan = scanner()
    back = SwapBack.of(TABLE, scan)
    assert said(back, scan, ["by Ellis Hale of it"]) == ("by Hina Ameen ", True)


def test_a_name_that_is_longer_than_a_run_may_be_is_said_and_is_no_part_of_one() -> None:
    scan = scanner()
    back = SwapBack.of(TABLE, scan)
    text = "They say Tin Kettle is a poem"
    expected = text.replace("Tin Kettle", "The Town That Drowned Today")
    for cut in range(len(text) + 1):
        assert said(back, scan, [text[:cut], text[cut:]]) == (expected, False)
    assert said(back, scan, ["Tin Kettle is a book by"]) == (
        "The Town That Drowned Today is a book ", True
    )  # fmt: skip


def test_such_a_name_stays_a_stand_in_in_json_which_is_scanned_as_a_whole() -> None:
    back = SwapBack.of(TABLE, scanner())
    assert back.in_json('["Tin Kettle", "Ellis Hale"]') == '["Tin Kettle", "Hina Ameen"]'


def test_strings_of_json_are_swapped_and_nothing_else() -> None:
    back = SwapBack.of([("Ellis", 'Hi"na')], Scanner([]))
    assert back.in_json('{"Ellis" : "Ellis", "n": 1.50, "x": ["a\\nEllis"]}') == (
        '{"Ellis" : "Hi\\"na", "n": 1.50, "x": ["a\\nHi\\"na"]}'
    )


def test_json_that_breaks_off_is_swapped_as_far_as_it_goes() -> None:
    back = SwapBack.of(TABLE, Scanner([]))
    assert back.in_json('{"a": "Ellis Hale is') == '{"a": "Hina Ameen is'
    assert back.in_json('{"a": "Ellis Hale\\') == '{"a": "Hina Ameen'
    assert back.in_json("Ellis Hale") == "Hina Ameen"


VALUES = st.recursive(
    st.none() | st.integers() | st.text('ab"\\\n東', max_size=4) | st.just("by Ellis Hale"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["Ellis Hale", 'k"', "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES, st.booleans())
def test_any_json_stays_json_with_its_strings_swapped(value: object, is_ascii: bool) -> None:
    def swapped(part: object) -> object:
        if isinstance(part, str):
            return part.replace("Ellis Hale", "Hina Ameen")
        if isinstance(part, list):
            return [swapped(item) for item in part]
        if isinstance(part, dict):
            return {key: swapped(item) for key, item in part.items()}
        return part

    back = SwapBack.of(TABLE, Scanner([]))
    text = json.dumps([value], ensure_ascii=is_ascii)
    assert json.loads(back.in_json(text)) == swapped([value])


@given(st.text('"\\: Elis', max_size=12))
def test_no_text_is_too_odd_for_json(text: str) -> None:
    back = SwapBack.of([("Ellis", "Hina")], Scanner([]))
    assert "Ellis" in unescape_json(text) or back.in_json(text) == text
