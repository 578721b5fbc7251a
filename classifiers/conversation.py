"""A conversation as texts to detect in: each turn, and turns joined to those before.

"His second book?" names nothing; with the turn before it, it does. Joins are kept within one
encoder window: of two turns, the end of the first and the beginning of the second; of more, only
as many as fit whole. Every turn is also looked at by itself and in full, so a join may be short;
what a turn hides is looked for there alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from classifiers.base import PlacedText
from guard.windows import WINDOW


def conversation_views(user_turns: Sequence[PlacedText]) -> list[PlacedText]:
    """The user's turns, oldest first, followed by their joins.

    A join stands at the place of its last turn. The number of joins is at most twice that of turns.
    """
    views = list(user_turns)
    for index in range(1, len(user_turns)):
        turn = user_turns[index]
        pair = _join(user_turns[index - 1].text, turn.text)
        views.append(PlacedText(turn.place, pair, views=False))
        longest = _longest_join(user_turns, index)
        if longest and longest != pair:
            views.append(PlacedText(turn.place, longest, views=False))
    return views


def _join(before: str, after: str) -> str:
    before, after = before.strip(), after.strip()
    room = WINDOW - 1
    head = after[: max(room // 2, room - len(before))]
    tail = before[-max(1, room - len(head)) :]
    return f"{tail} {head}"


def _longest_join(turns: Sequence[PlacedText], last: int) -> str:
    """As many whole turns as fit into a window, ending with ``last``; empty if fewer than three."""
    parts = [turns[last].text.strip()]
    length = len(parts[0])
    for turn in reversed(turns[:last]):
        text = turn.text.strip()
        if length + 1 + len(text) > WINDOW:
            break
        parts.append(text)
        length += 1 + len(text)
    return " ".join(reversed(parts)) if len(parts) > 2 else ""
