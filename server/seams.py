"""Where the texts of a request meet: what begins in one and ends in another.

Neighbours are joined and looked at like any text. What is told over more of them, over a message
that says nothing between, or by another role after the user's turn, is looked at for names alone:
that costs little, and halves of questions that name nothing are like too many others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from classifiers import PlacedText, join
from guard.context import Span, parted
from server.wire.texts import RequestText

# Characters of each side of a long text that names may reach into.
_REACH: Final = 80
# Messages that may stand between two that make one question: one that says nothing, and one more.
_MOST_BETWEEN: Final = 2
_FEWEST_CHAINED: Final = 3


@dataclass(frozen=True, slots=True)
class Look:
    """A text to detect in, and what to withhold for what is found: (index of a text, span)."""

    placed: PlacedText
    withhold: tuple[tuple[int, Span], ...] = ()


def after_others(texts: Sequence[RequestText]) -> list[PlacedText]:
    """Where the user goes on with what another role began, or another role with what the user did.

    What the context says by itself is not what the user asks: these are for what is new in them.
    """
    contents = [text for text in texts if text.is_content]
    joins: dict[PlacedText, None] = {}
    for left, right in pairwise(contents):
        if right.kind == "user" and left.kind != "user":
            joins.setdefault(join(right.place, left.text, right.text))
    for gap in range(1, _MOST_BETWEEN + 2):
        for left, right in zip(contents, contents[gap:], strict=False):
            if "user" in (left.kind, right.kind):
                said = f"{_tail(left.text)}\n{_head(right.text)}"
                joins.setdefault(_names_of(right.place, said))
    for chain in _chains(contents):
        if any(text.kind == "user" for text in chain):
            joins.setdefault(_names_of(chain[-1].place, _chained(chain)))
    return list(joins)


def edges(texts: Sequence[RequestText], sentences: Mapping[int, Sequence[Span]]) -> list[Look]:
    """Where two texts of the context meet: the sentences on both sides, joined.

    Met are texts that follow each other, and turns of the user with only others' between. Names and
    keys, which cannot be edited, meet nothing.
    """
    edited = [index for index in sentences if texts[index].write is not None]
    said_by_user = [index for index in edited if texts[index].kind == "user"]
    looks: list[Look] = []
    for left, right in dict.fromkeys([*pairwise(edited), *pairwise(said_by_user)]):
        ends = ((left, sentences[left][-1]), (right, sentences[right][0]))
        said = [texts[index].text[span.start : span.end] for index, span in ends]
        by_letters = not parted(*said)
        placed = PlacedText(texts[right].place, "\n".join(said), views=False, by_letters=by_letters)
        looks.append(Look(placed, ends))
    return looks


def chains(texts: Sequence[RequestText], sentences: Mapping[int, Sequence[Span]]) -> list[Look]:
    """Three texts of the context and more that follow each other, and two with others between.

    The ends of each are looked at, for names. Whatever part of a chain says a name, all of it is
    withheld.
    """
    edited = [index for index in sentences if texts[index].write is not None]
    place = {id(texts[index]): index for index in edited}
    contents = [index for index in edited if texts[index].is_content]
    looks: list[Look] = []
    for gap in range(2, _MOST_BETWEEN + 2):
        for left, right in zip(contents, contents[gap:], strict=False):
            said = f"{_tail(texts[left].text)}\n{_head(texts[right].text)}"
            ends = ((left, sentences[left][-1]), (right, sentences[right][0]))
            looks.append(Look(_names_of(texts[right].place, said), ends))
    for chain in _chains([texts[index] for index in edited]):
        first, *between, last = [place[id(text)] for text in chain]
        withhold = (
            (first, sentences[first][-1]),
            *((index, Span(0, len(texts[index].text))) for index in between),
            (last, sentences[last][0]),
        )
        looks.append(Look(_names_of(texts[last].place, _chained(chain)), withhold))
    return looks


def _chains(texts: Iterable[RequestText]) -> list[list[RequestText]]:
    """Texts in a row, cut where one is too long for a name to reach over it.

    Such a text ends one chain and begins the next.
    """
    found: list[list[RequestText]] = [[]]
    for text in texts:
        found[-1].append(text)
        if len(text.text) > 2 * _REACH:
            found.append([text])
    return [chain for chain in found if len(chain) >= _FEWEST_CHAINED]


def _chained(chain: Sequence[RequestText]) -> str:
    first, *between, last = chain
    said = [_tail(first.text), *(text.text for text in between), _head(last.text)]
    return "\n".join(said)


def _names_of(place: str, said: str) -> PlacedText:
    return PlacedText(place, said, views=False, compared=False)


def _tail(text: str) -> str:
    return text[-_REACH:]


def _head(text: str) -> str:
    return text[:_REACH]
