"""Whether an answer may tell something of any target at all: known at next to no cost.

What an answer is about takes a sentence encoder to find out, and hardly any answer says a phrase
that a policy forbids. So an answer is looked at (``server/answer_watch.py``) from the first sign on
that it may tell something: the first six letters of a forbidden phrase, the first word of a shorter
one, or as many words of a protected text as may be said in a row. Whatever ``server/telling.py``
finds in a text has shown such a sign before it was complete.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from guard.normalise import SEP, fold
from guard.phrases import has_enough_letters
from guard.runs import RunReading
from guard.verbatim import RunFilter
from guard.views import Openings

# Of the table of openings: one for the whole policy, which may have millions of phrases.
_BITS: Final = 22
# Each word is looked up in each filter: with more of them a text is taken to show a sign.
_MOST_FILTERS: Final = 64
# Symbols before a piece of text that a sign may begin in: five letters, each a word of its own.
_BEFORE: Final = 12
_GAPS: Final = re.compile(f"{SEP}{{2,}}")


class TellSigns:
    """What announces that something is told; immutable, shared by any number of readings.

    Args:
        phrases: normalised, of all targets that answers are watched for.
        verbatim: the filters of their protected texts.
    """

    def __init__(self, phrases: Sequence[str], verbatim: Sequence[tuple[int, RunFilter]]) -> None:
        self.openings = Openings(phrases, _BITS)
        self.first_words = frozenset(
            phrase.split(SEP, 1)[0] for phrase in phrases if not has_enough_letters(phrase)
        )
        self.verbatim = tuple(verbatim)

    def in_text(self, text: str) -> bool:
        """Whether a whole text shows a sign."""
        return self.start().feed(text)

    def start(self) -> SignReading:
        """A reading of one text, from its beginning."""
        return SignReading(self)


class SignReading:
    """One text, piece by piece.

    Attributes:
        found: whether it has shown a sign.
    """

    def __init__(self, signs: TellSigns) -> None:
        self.found = len(signs.verbatim) > _MOST_FILTERS
        self._signs = signs
        self._runs = RunReading(signs.verbatim) if signs.verbatim and not self.found else None
        self._tail = ""

    def feed(self, text: str) -> bool:
        """Take the next piece; whether the text up to its end has shown a sign."""
        if not self.found and text:
            symbols = "".join(map(fold, text))
            window = _GAPS.sub(SEP, self._tail + symbols)
            self._tail = window[-_BEFORE:]
            # An escape of JSON may spell any letter.
            self.found = "\\" in text or self._opens(window) or self._runs_on(symbols)
        return self.found

    def _opens(self, symbols: str) -> bool:
        if self._signs.openings.any_in_normalised(symbols):
            return True
        return not self._signs.first_words.isdisjoint(symbols.split(SEP))

    def _runs_on(self, symbols: str) -> bool:
        """Whether a run of a protected text is as long as it may be, and goes on."""
        if self._runs is None:
            return False
        for symbol in symbols:
            if symbol == SEP:
                self._runs.end_word()
                continue
            self._runs.letter(symbol, 0)
            if self._runs.holds:
                return True
        return False
