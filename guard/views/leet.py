"""Leetspeak: digits and signs that stand for the letters that they look like, as in ``V0ld3m0rt``.

A 1 may be an i or an l, so there are two readings.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from guard.context import Span
from guard.views.view import View, said_within
from guard.views.words import is_common

KIND: Final = "leetspeak"

_TOKEN: Final = re.compile(r"[A-Za-z0-9@$!|+€£¡]{2,}")
_ORDINAL: Final = re.compile(r"[0-9]+(?:st|nd|rd|th)", re.IGNORECASE)
_LETTERS: Final = "0o3e4a5s7t8b9g6g@a$s+t€e£l"
_READINGS: Final = tuple(
    str.maketrans(pairs[::2], pairs[1::2])
    for pairs in (_LETTERS + f"1{one}!{one}|{one}¡{one}" for one in "il")
)
# Marks that end a sentence or part columns where nothing follows them.
_MARKS: Final = "!|+¡"
# What a word stands between; parts of codes and addresses stand between other marks.
_BEFORE: Final = frozenset(("", *" \t\n\"'(“‘"))
_AFTER: Final = frozenset(("", *" \t\n\"')”’.,;:?!"))
# Words of one sentence that must be so written, and one of them a common one, for it to be read so.
_LEAST_WORDS: Final = 3


def unleeted(view: View) -> Iterator[View]:
    """The text with such words read as letters, in each of the two ways, if it has any."""
    tokens = [
        Span(match.start(), match.start() + len(match[0].rstrip(_MARKS)))
        for match in _TOKEN.finditer(view.text)
        if not (match[0].isalpha() or match[0].isdigit() or _ORDINAL.fullmatch(match[0]))
    ]
    texts = [view.text[token.start : token.end] for token in tokens]
    seen: set[str] = set()
    for reading in _READINGS:
        read = [text.translate(reading) if _has_letter(text) else text for text in texts]
        changed = [
            (token, now)
            for token, text, now in zip(tokens, texts, read, strict=True)
            if now != text
        ]
        if not changed:
            return
        made = _written(view.text, changed)
        if made not in seen:
            seen.add(made)
            yield view.turned(made, KIND).reading(_readable(made, changed))


def _has_letter(text: str) -> bool:
    return any(char.isalpha() for char in text)


def _written(text: str, changed: list[tuple[Span, str]]) -> str:
    out: list[str] = []
    after = 0
    for token, now in changed:
        out += [text[after : token.start], now]
        after = token.end
    return "".join([*out, text[after:]])


def _readable(text: str, changed: list[tuple[Span, str]]) -> list[Span]:
    """The sentences that hold several changed words, a common one among them."""
    alone = [
        (token.start, now)
        for token, now in changed
        if text[max(0, token.start - 1) : token.start] in _BEFORE
        and text[token.end : token.end + 1] in _AFTER
    ]
    if len(alone) < _LEAST_WORDS:
        return []
    starts = [start for start, _ in alone]
    found: list[Span] = []
    for said in said_within(text):
        first, stop = bisect_left(starts, said.start), bisect_left(starts, said.end)
        words = [word for _, word in alone[first:stop]]
        if len(words) >= _LEAST_WORDS and any(len(word) > 2 and is_common(word) for word in words):
            found.append(said)
    return found
