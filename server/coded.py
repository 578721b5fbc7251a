"""What an answer says in a code: base64, backwards, spaced letters, all that prompts are read in.

A model that is kept from a word may be asked to spell it otherwise. The views of ``guard/views``
show what a reader makes of such a text; a phrase in one of them is one that was said.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

# How many characters may be new before they are looked at: each look takes as long as reading the
# window anew, so half of this costs twice as much.
STEP: Final = 64
# How many before them are looked at again: a phrase of 60 letters is 120 hexadecimal digits.
WINDOW: Final = 400

# The index of a target of which a text hides a phrase; None if it hides none.
Hides = Callable[[str], int | None]


class CodedScan:
    """One text on its way out; what it hides is found within ``STEP`` characters of its end.

    Attributes:
        hit: index of the target of the first phrase found.
    """

    def __init__(self, hides: Hides) -> None:
        self.hit: int | None = None
        self._hides = hides
        self._text = ""
        self._new = 0

    def feed(self, text: str) -> str:
        """Take the next piece.

        Returns:
            The same, to be released; "" if it completes what must not be said.
        """
        if self.hit is not None:
            return ""
        self._text += text
        self._new += len(text)
        return text if self._new < STEP else self._looked_at(text)

    def flush(self, text: str) -> str:
        """Take the last piece; as ``feed``."""
        if self.hit is not None:
            return ""
        self._text += text
        return self._looked_at(text)

    def _looked_at(self, text: str) -> str:
        self.hit = self._hides(self._text)
        self._text, self._new = self._text[-WINDOW:], 0
        return text if self.hit is None else ""
