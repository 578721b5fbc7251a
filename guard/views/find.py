"""Every reading of a text that hides another, to depth two, at a cost linear in its length.

A view is a whole text or all stretches of one kind, never a single stretch: there is a fixed
number of them (``MOST_VIEWS``) whatever the text holds, each no longer than the text it was made
from, but for what NFKC and HTML entities make of a character, and spaces between glued words. Each
is made in a few passes, most of them of compiled code, so that the work per character has a bound
that no text can move.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from guard.views.bits import decoded
from guard.views.escapes import unescaped
from guard.views.glued import parted
from guard.views.leet import KIND as LEET
from guard.views.leet import unleeted
from guard.views.lookalikes import LOOKALIKES, PLAIN, as_latin, plain
from guard.views.readable import readable_stretches
from guard.views.spaced import KIND as SPACED
from guard.views.spaced import joined
from guard.views.view import View
from guard.views.words import ROT13, sections_turned

DEPTH: Final = 2
# Of one text: homoglyphs, leetspeak twice, spaced letters, glued words, base64 at four offsets in
# two ways, hexadecimal at two, three kinds of escapes, rot13, reversed.
READINGS: Final = 20
# Those, theirs, and the plain reading of each.
MOST_VIEWS: Final = 2 * (1 + READINGS + READINGS**2)
# Characters; in less nothing can be hidden that is looked for.
_LEAST: Final = 4


def find_views(text: str) -> list[View]:
    """The views of a text, itself not among them.

    Most of them say nothing: whether one does is for the search to find (``ViewSearch``), and which
    of its parts are worth a sentence encoder, ``View.readable`` says.
    """
    if len(text) < _LEAST:
        return []
    found: list[View] = []
    level = [View.of(text)]
    for depth in range(DEPTH + 1):
        following: list[View] = []
        for view in level:
            if view.via:
                found.append(view)
            seen = plain(view)
            if seen is not view:
                found.append(seen)
            if depth < DEPTH:
                # What is found in the plain reading is not said to be hidden by it.
                within = View(seen.text, view.via, seen.starts, seen.ends)
                following += [each for each in _readings(within) if len(each.text) >= _LEAST]
        level = following
    return found


def _readings(view: View) -> Iterator[View]:
    """One step of decoding; steps that undo or repeat the one before are left out."""
    last = view.via[-1] if view.via else PLAIN
    if last not in (LOOKALIKES, LEET):
        yield from as_latin(view)
    if last != LEET:
        yield from unleeted(view)
    if last != SPACED:
        yield from joined(view)
    if not view.via:
        yield from parted(view)
    if last != LEET:  # the digits that a code is made of would be letters by then
        for made in decoded(view):
            yield made.reading(readable_stretches(made.text))
        yield from unescaped(view)
    if last != "rot13":
        yield _turned(view, view.text.translate(ROT13), "rot13")
    if last not in ("reversed", "rot13"):  # reversed, then rot13, is the same
        yield _turned(view, view.text[::-1], "reversed")


def _turned(view: View, text: str, kind: str) -> View:
    made = view.turned(text, kind, backwards=kind == "reversed")
    return made.reading(sections_turned(text, kind))
