"""A conversation as texts to detect in: each turn, and turns joined to those before.

"His second book?" names nothing; with the turn before it, it does. Joins are kept within one
encoder window: of two turns, the end of the first and the beginning of the second; of more, only
as many as fit whole. Every turn is also looked at by itself and in full, so a join may be short;
what a turn hides is looked for there alone. A question that is put in parts ("The second part:
...") is joined without what announces them.
"""

from __future__ import annotations

from collections.abc import Sequence

from classifiers.base import PlacedText
from guard.pieces import unframed
from guard.windows import WINDOW


def conversation_views(user_turns: Sequence[PlacedText]) -> list[PlacedText]:
    """The user's turns, oldest first, followed by their joins.

    A join stands at the place of its last turn. There are at most four for each turn.
    """
    views = list(user_turns)
    texts = [turn.text for turn in user_turns]
    parts = [unframed(text) for text in texts]
    for index in range(1, len(user_turns)):
        joins = [join(said[index - 1], said[index]) for said in (texts, parts)]
        joins += [_longest_join(said, index) for said in (texts, parts)]
        place = user_turns[index].place
        views += [PlacedText(place, said, views=False) for said in dict.fromkeys(joins) if said]
    return views


def join(before: str, after: str) -> str:
    """Two texts in one window: the end of the first, the beginning of the second."""
    before, after = before.strip(), after.strip()
    room = WINDOW - 1
    head = after[: max(room // 2, room - len(before))]
    tail = before[-max(1, room - len(head)) :]
    return f"{tail} {head}"


def _longest_join(texts: Sequence[str], last: int) -> str:
    """As many whole texts as fit into a window, ending with ``last``; empty if fewer than three."""
    parts = [texts[last].strip()]
    length = len(parts[0])
    for before in reversed(texts[:last]):
        text = before.strip()
        if length + 1 + len(text) > WINDOW:
            break
        parts.append(text)
        length += 1 + len(text)
    return " ".join(reversed(parts)) if len(parts) > 2 else ""
