"""Spaced letters: ``H o g w a r t s``, with spaces, dots, dashes, underscores or new lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from guard.context import Span
from guard.views.readable import reads_as_text
from guard.views.view import Unit, View

KIND: Final = "spaced letters"

_ONE: Final = r"(?<![^\W_])[^\W_](?![^\W_])"
_BETWEEN: Final = r"[^\w\x1e]|_"
_STRETCH: Final = re.compile(rf"{_ONE}(?:(?:{_BETWEEN}){{1,4}}{_ONE}){{3,}}")
_GAP: Final = re.compile(rf"(?:{_BETWEEN})+")
_LETTER: Final = re.compile(r"[^\W\d_]")
_LEAST_LETTERS: Final = 4


def joined(view: View) -> Iterator[View]:
    """The text with spaced letters joined, if it has any.

    The most frequent gap of a stretch is the one within words; any other stands between two words.
    """
    units: list[Unit] = []
    stretches: list[Span] = []
    removed = 0
    for match in _STRETCH.finditer(view.text):
        if len(_LETTER.findall(match[0])) < _LEAST_LETTERS:
            continue
        gaps = [gap.span() for gap in _GAP.finditer(view.text, match.start(), match.end())]
        texts = [view.text[start:end] for start, end in gaps]
        counts = Counter(texts)
        inner = min(counts, key=lambda text: (-counts[text], len(text)))
        before = removed
        for (start, end), text in zip(gaps, texts, strict=True):
            units.append(Unit(start, end, "" if text == inner else " "))
            removed += end - start - (text != inner)
        stretches.append(Span(match.start() - before, match.end() - removed))
    if not units:
        return
    made, _ = view.replaced(units, KIND)
    yield made.reading([span for span in stretches if _reads(made.text[span.start : span.end])])


def _reads(stretch: str) -> bool:
    return " " in stretch and reads_as_text(stretch)
