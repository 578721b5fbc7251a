from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from classifiers.base import PlacedText
from classifiers.conversation import conversation_views
from guard.windows import WINDOW, windows

TURNS = st.lists(st.text(alphabet="ab c", max_size=400), max_size=6).map(
    lambda texts: [PlacedText(f"messages[{n}].content", text) for n, text in enumerate(texts)]
)


@given(TURNS)
def test_every_turn_comes_first_and_in_full(turns: list[PlacedText]) -> None:
    assert conversation_views(turns)[: len(turns)] == turns


@given(TURNS)
def test_joins_fit_a_window_and_are_few(turns: list[PlacedText]) -> None:
    joins = conversation_views(turns)[len(turns) :]
    assert len(joins) <= 4 * len(turns)
    assert all(len(join.text) <= WINDOW and len(windows(join.text)) <= 1 for join in joins)


def test_a_name_split_over_two_turns_is_whole_in_a_join() -> None:
    turns = [PlacedText("a", "x " * 300 + "Mirelle"), PlacedText("b", "Quay" + " y" * 300)]
    (join,) = conversation_views(turns)[2:]
    assert "Mirelle Quay" in join.text
    assert join.place == "b"


def test_short_turns_are_joined_as_far_back_as_fits() -> None:
    turns = [PlacedText(str(n), f"turn {n}") for n in range(4)]
    joins = [view.text for view in conversation_views(turns)[4:]]
    assert joins == [
        "turn 0 turn 1",
        "turn 1 turn 2",
        "turn 0 turn 1 turn 2",
        "turn 2 turn 3",
        "turn 0 turn 1 turn 2 turn 3",
    ]


def test_parts_are_joined_without_what_announces_them() -> None:
    turns = [
        PlacedText("0", "I ask in parts. The first part: Who sails"),
        PlacedText("1", "The second part: the ferry of"),
        PlacedText("2", 'The third part: "Saltgate?"'),
    ]
    joins = [view.text for view in conversation_views(turns)]
    assert "Who sails the ferry of" in joins
    assert "Who sails the ferry of Saltgate?" in joins


def test_a_first_turn_has_nothing_to_join() -> None:
    turns = [PlacedText("a", "hello")]
    assert conversation_views(turns) == turns
    assert conversation_views([]) == []


def test_letters_are_compared_where_a_turn_goes_on_with_the_last_one() -> None:
    said = ["Who is it?", "What does he sell?", "And whwre is", "the portt of"]
    views = conversation_views([PlacedText(str(n), text) for n, text in enumerate(said)])
    assert {view.text: view.by_letters for view in views[4:]} == {
        "Who is it? What does he sell?": False,
        "What does he sell? And whwre is": False,
        "Who is it? What does he sell? And whwre is": False,
        "And whwre is the portt of": True,
        "Who is it? What does he sell? And whwre is the portt of": True,
    }
    assert all(view.by_letters for view in views[:4])
