"""A conversation as texts to detect in: each turn, and turns joined to those before.

"His second book?" names nothing; with the turn before it, it does. Joins are kept within one
encoder window: of two turns, the end of the first and the beginning of the second; of more, only
as many as fit whole. Every turn is also looked at by itself and in full, so a join may be short;
what a turn hides is looked for there alone. A question that is put in parts ("The second part:
...") is joined without what announces them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from classifiers.base import PlacedText
from guard.context import parted
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
        place = user_turns[index].place
        joins = [join(place, said[index - 1], said[index]) for said in (texts, parts)]
        joins += [_longest_join(place, said, index) for said in (texts, parts)]
        views += [joined for joined in dict.fromkeys(joins) if joined.text]
    return views


def join(place: str, before: str, after: str) -> PlacedText:
    """Two texts in one window: the end of the first, the beginning of the second."""
    return PlacedText(
        place, _joined(before, after), views=False, by_letters=not parted(before, after)
    )


def _joined(before: str, after: str) -> str:
    before, after = before.strip(), after.strip()
    room = WINDOW - 1
    head = after[: max(room // 2, room - len(before))]
    tail = before[-max(1, room - len(head)) :]
    return f"{tail} {head}"


def _longest_join(place: str, texts: Sequence[str], last: int) -> PlacedText:
    """As many whole texts as fit into a window, ending with ``last``; empty if fewer than three."""
    parts = [texts[last].strip()]
    length = len(parts[0])
    for before in reversed(texts[:last]):
        text = before.strip()
        if length + 1 + len(text) > WINDOW:
            break
        parts.insert(0, text)
        length += 1 + len(text)
    said = " ".join(parts) if len(parts) > 2 else ""
    broken = any(not parted(before, after) for before, after in pairwise(parts))
    return PlacedText(place, said, views=False, by_letters=broken)
