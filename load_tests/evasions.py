"""Ways to write a text that leave its normalised words as they are, and grammars that force them.

A small model does not write in capitals because it is told to. So the way of writing is forced: a
regular expression holds the protected text as it is to be written, letter by letter, and at each
letter lets the answer leave the word instead, by a mark that is made unlikely. Unguarded, the model
writes the whole text; guarded, it must leave where going on would make a run too long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

# What an answer leaves a word with.
LEAVE: Final = "~"

Write = Callable[[int, str], tuple[str, str]]


def _markdown(place: int, word: str) -> tuple[str, str]:
    mark = ("**", "_", "`")[place % 3]
    return f"{mark}{word}{mark}", " "


def _zero_width(_: int, word: str) -> tuple[str, str]:
    return (f"{word[:1]}\u200b{word[1:]}" if len(word) > 1 else word), " "


# Of each word, by its place: how it is written, and what stands between it and the next.
EVASIONS: Final[Mapping[str, Write]] = {
    "as it is": lambda _, word: (word, " "),
    "capitals": lambda _, word: (word.capitalize(), " "),
    "all caps": lambda _, word: (word.upper(), " "),
    "double spaces": lambda _, word: (word, "  "),
    "lines": lambda _, word: (word, "\n"),
    "punctuation": lambda place, word: (word, (", ", "; ", " - ")[place % 3]),
    "hyphens": lambda _, word: (word, "-"),
    "markdown": _markdown,
    "zero-width": _zero_width,
}


def forcing(words: list[str], write: Write) -> str:
    """A regular expression of these words, written so."""
    pattern = ""
    for place, word in enumerate(words):
        written, between = write(place, word)
        pattern += _leavable(written) + (re.escape(between) if place + 1 < len(words) else "")
    return pattern


def _leavable(written: str) -> str:
    pattern = ""
    for char in reversed(written):
        pattern = f"(?:{re.escape(char)}{pattern}|{re.escape(LEAVE)})"
    return pattern
