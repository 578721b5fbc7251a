"""Of which targets an answer may tell something: known at next to no cost, for all of them at once.

What an answer is about takes a sentence encoder to find out, and hardly any answer says a phrase
that a policy forbids. So one is looked at (``server/answer_watch.py``) only where something that is
forbidden stands in it, whoever it is about; and of a stream is held back only what may become that:
from the first six letters of a phrase on, the first word of a shorter one, or as many words of a
protected text as may be said in a row. Whatever ``server/telling.py`` finds in a text is among what
is found here (``server/sign_reading.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from guard.normalise import SEP
from guard.phrases import SortedPhrases, has_enough_letters, letters_of
from guard.verbatim import RunFilter
from guard.views import Openings
from server.sign_reading import SignReading

# Of the table of openings: one for the whole policy, which may have millions of phrases.
_BITS: Final = 22
# Each word is looked up in each filter: with more of them a text may always tell something.
_MOST_FILTERS: Final = 64
# Phrases of targets of no matter that are passed over at a place where more may begin.
_MOST_SKIPPED: Final = 64


class TellSigns:
    """What announces that something is told; immutable, shared by any number of readings.

    Args:
        phrases: normalised, of all targets that answers are watched for.
        targets: index of the target of each.
        verbatim: the filters of their protected texts.

    Attributes:
        always: there are so many protected texts that none is looked up, and any text may tell
            something of any target.
        short: phrases that match as words, and the targets of each.
        begun: beginnings of these, from the end of their first words on.
    """

    def __init__(
        self,
        phrases: Sequence[str],
        targets: Sequence[int],
        verbatim: Sequence[tuple[int, RunFilter]],
    ) -> None:
        self.always = len(verbatim) > _MOST_FILTERS
        self.verbatim = () if self.always else tuple(verbatim)
        self._targets = targets
        self._openings = Openings(phrases, _BITS)
        # Of phrases with enough letters, which they are.
        self._long: list[int] = []
        self.short: dict[str, list[int]] = {}
        self.begun: dict[str, set[int]] = {}
        for place, phrase in enumerate(phrases):
            if has_enough_letters(phrase):
                self._long.append(place)
                continue
            self.short.setdefault(phrase, []).append(targets[place])
            for end in range(phrase.find(SEP), len(phrase)) if SEP in phrase else ():
                self.begun.setdefault(phrase[:end], set()).add(targets[place])
        texts = [phrases[place] for place in self._long]
        self._letters = SortedPhrases(texts, letters_alone=True)
        self._lengths = [len(letters_of(text)) for text in texts]

    def start(self, skip: AbstractSet[int] = frozenset()) -> SignReading:
        """A reading of one text, from its beginning; some targets, by index, are of no matter."""
        return SignReading(self, skip)

    def in_text(self, text: str, skip: AbstractSet[int] = frozenset()) -> frozenset[int]:
        """The targets that a whole text may tell something of; nothing where it is ``always``."""
        reading = self.start(skip)
        reading.feed(text)
        return reading.take(len(text))

    def in_letters(self, letters: str, skip: AbstractSet[int]) -> tuple[list[tuple[int, int]], int]:
        """The phrases with enough letters that stand in normalised letters alone.

        Returns:
            Of each where it ends, and its target, if that is not in ``skip``; and where the first
            phrase begins that the letters end in the midst of, or their number if there is none.
        """
        found: list[tuple[int, int]] = []
        begun = len(letters)
        for place in self._openings.in_letters(letters):
            skipped = 0
            for phrase, whole in self._letters.begun_at(letters, place):
                target = self._targets[self._long[phrase]]
                if target in skip:
                    skipped += not whole
                    if skipped <= _MOST_SKIPPED:
                        continue
                if not whole:
                    begun = min(begun, place)
                    break
                found.append((place + self._lengths[phrase], target))
        return found, begun
