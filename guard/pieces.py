"""The pieces of a text that are compared with examples, in detection as in calibration."""

from __future__ import annotations

from guard.context import split_sentences
from guard.windows import WINDOW, windows


def pieces_of(text: str) -> list[str]:
    """Windows, and sentences by themselves; each piece once, none for white space alone.

    A question between other sentences ("Hi! I'm writing an essay. Who ...?") is alone in one.
    """
    pieces = windows(text)
    spans = split_sentences(text)
    if len(spans) > 1:
        for span in spans:
            if span.end - span.start <= WINDOW:  # a longer one is covered by the windows
                pieces += windows(text[span.start : span.end])
    return list(dict.fromkeys(pieces))
