"""Of which targets an answer may tell something: known at next to no cost, for all of them at once.

What an answer is about takes a sentence encoder to find out, and hardly any answer says a phrase
that a policy forbids. So one is looked at (``server/answer_watch.py``) only where something that is
forbidden stands in it, whoever it is about; and of a stream is held back only what may become that:
from the first six letters of a phrase on, the first word of a shorter one, or as many words of a
protected text as may be said in a row. Whatever ``server/telling.py`` finds in a text is among what
is found here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from guard.normalise import SEP, fold, folded
from guard.phrases import ENOUGH_LETTERS, SortedPhrases, has_enough_letters, letters_of
from guard.runs import RunReading
from guard.verbatim import RunFilter
from guard.views import Openings
from server.wire.json_text import unescape_json

# Of the table of openings: one for the whole policy, which may have millions of phrases.
_BITS: Final = 22
# Each word is looked up in each filter: with more of them a text may always tell something.
_MOST_FILTERS: Final = 64
# Characters of a text with escapes that something may have begun in: each of 64 letters as six.
_ESCAPED: Final = 600
_WORD: Final = re.compile(f"[^{SEP}]+")


class TellSigns:
    """What announces that something is told; immutable, shared by any number of readings.

    Args:
        phrases: normalised, of all targets that answers are watched for.
        targets: index of the target of each.
        verbatim: the filters of their protected texts.

    Attributes:
        always: there are so many protected texts that none is looked up, and any text may tell
            something of any target.
    """

    def __init__(
        self,
        phrases: Sequence[str],
        targets: Sequence[int],
        verbatim: Sequence[tuple[int, RunFilter]],
    ) -> None:
        self.always = len(verbatim) > _MOST_FILTERS
        self.verbatim = () if self.always else tuple(verbatim)
        self._phrases = phrases
        self._targets = targets
        self._openings = Openings(phrases, _BITS)
        # Of phrases with enough letters, which they are.
        self._long: list[int] = []
        self._by_first_word: dict[str, list[int]] = {}
        for place, phrase in enumerate(phrases):
            if has_enough_letters(phrase):
                self._long.append(place)
            else:
                self._by_first_word.setdefault(phrase.split(SEP, 1)[0], []).append(place)
        self._letters = SortedPhrases([phrases[place] for place in self._long], letters_alone=True)

    def start(self, skip: AbstractSet[int] = frozenset()) -> SignReading:
        """A reading of one text, from its beginning; some targets, by index, are of no matter."""
        return SignReading(self, skip)

    def in_text(self, text: str, skip: AbstractSet[int] = frozenset()) -> frozenset[int]:
        """The targets that a whole text may tell something of; nothing where it is ``always``."""
        reading = self.start(skip)
        reading.feed(text)
        return reading.take(len(text))

    def opens(self, before: str, symbols: str) -> bool:
        """Whether something may begin in symbols, or in the few before them and go on in them."""
        if self._openings.any_in_normalised(before + symbols):
            return True
        words = before.rpartition(SEP)[2] + symbols
        return not self._by_first_word.keys().isdisjoint(words.split(SEP))

    def search(self, symbols: str, skip: AbstractSet[int] = frozenset()) -> tuple[set[int], int]:
        """The targets not in ``skip`` of which a phrase stands in a normalised text.

        Returns:
            They, and where the first phrase begins that the text ends in the midst of; the length
            of the text if it ends in none.
        """
        letters = letters_of(symbols)
        found: set[int] = set()
        begun = len(letters)
        for place in self._openings.in_letters(letters):
            for phrase, whole in self._letters.begun_at(letters, place):
                target = self._targets[self._long[phrase]]
                if target in skip:
                    continue
                if not whole:
                    begun = min(begun, place)
                    break
                found.add(target)
        under_way = len(symbols)
        if begun < len(letters):
            under_way = [at for at, symbol in enumerate(symbols) if symbol != SEP][begun]
        for word in _WORD.finditer(symbols) if self._by_first_word else ():
            for phrase in self._by_first_word.get(word[0], ()):
                if self._targets[phrase] in skip:
                    continue
                own, end = self._phrases[phrase], word.start() + len(self._phrases[phrase])
                if symbols.startswith(own, word.start()) and symbols[end : end + 1] in ("", SEP):
                    found.add(self._targets[phrase])
                elif end > len(symbols) and own.startswith(symbols[word.start() :]):
                    under_way = min(under_way, word.start())
        return found, under_way


class SignReading:
    """One text, piece by piece."""

    def __init__(self, signs: TellSigns, skip: AbstractSet[int]) -> None:
        self._signs = signs
        self._skip = skip
        # What may still be a part of something, from `_start` characters on, and its last letters.
        self._text = ""
        self._start = 0
        self._tail = ""
        # Of that text: a phrase may have begun that has not ended; one stands in it.
        self._begun = False
        self._stands = False
        self._runs = RunReading([each for each in signs.verbatim if each[0] not in skip])
        # Where a word began that is one too many, or may become it, and of which targets.
        self._near: list[tuple[int, tuple[int, ...]]] = []

    @property
    def under_way(self) -> bool:
        """Whether something was told since the last ``take``, or may be before the next."""
        return self._signs.always or self._begun or self._stands or bool(self._near)

    def feed(self, text: str) -> bool:
        """Take the next piece; whether something is under way at its end."""
        symbols = "".join(map(fold, text))
        if self._signs.verbatim:
            self._read_runs(text)
        self._text += text
        opens = self._signs.opens(self._tail, symbols)
        # An escape may spell any letter.
        self._begun = self._begun or opens or "\\" in self._text
        self._tail = _last_letters(self._tail + symbols)
        self._settle()
        return self.under_way

    def take(self, end: int) -> frozenset[int]:
        """The targets of which something stands in the text up to ``end`` and was not taken before.

        Args:
            end: characters of the whole text.
        """
        done, rest = self._text[: end - self._start], self._text[end - self._start :]
        symbols, offsets = folded(done)
        escaped = "\\" in done
        found: set[int] = set()
        begun = len(symbols)
        if self._begun or self._stands:
            found, begun = self._signs.search(symbols, self._skip)
        if escaped:
            found |= self._signs.search(_unescaped(done), self._skip)[0]
        found.update(target for at, near in self._near if at < end for target in near)
        # A word may go on beyond.
        self._near = [
            (at, near)
            for at, near in self._near
            if at >= end or SEP not in folded(done[at - self._start :])[0]
        ]
        before = _last_letters(symbols)
        first = min(begun, len(symbols) - len(before))
        keep = offsets[first] if first < len(symbols) else len(done)
        if escaped:
            keep = min(keep, max(0, len(done) - _ESCAPED))
        self._text = done[keep:] + rest
        self._start = end - len(done) + keep
        self._stands = False
        self._begun = (
            begun < len(symbols)
            or "\\" in self._text
            or self._signs.opens(before, "".join(map(fold, rest)))
        )
        self._settle()
        return frozenset(found)

    def _settle(self) -> None:
        """See whether what may have begun stands there by now, may go on, or was nothing."""
        if not self._begun or self._stands:
            return
        forms = [folded(self._text)[0]]
        if "\\" in self._text:
            forms.append(_unescaped(self._text))
        searched = [self._signs.search(form, self._skip) for form in forms]
        self._stands = any(found for found, _ in searched)
        self._begun = any(
            begun < len(form) for form, (_, begun) in zip(forms, searched, strict=True)
        )

    def _read_runs(self, text: str) -> None:
        at = self._start + len(self._text)
        for place, char in enumerate(text, at):
            for symbol in fold(char):
                if symbol == SEP:
                    self._end_word()
                    continue
                self._runs.letter(symbol, place)
                if self._runs.near and not self._is_noted():
                    self._near.append((self._runs.word_cut, self._runs.near))

    def _end_word(self) -> None:
        if self._runs.near and self._is_noted() and self._runs.completed() is None:
            self._near.pop()
        self._runs.end_word()

    def _is_noted(self) -> bool:
        """Whether the word under way is the last that was noted."""
        return bool(self._near) and self._near[-1][0] == self._runs.word_cut


def _unescaped(text: str) -> str:
    return folded(unescape_json(text))[0]


def _last_letters(symbols: str) -> str:
    """The end of a text with fewer letters than tell where a phrase begins."""
    letters = 0
    for place in range(len(symbols) - 1, -1, -1):
        letters += symbols[place] != SEP
        if letters == ENOUGH_LETTERS:
            return symbols[place + 1 :]
    return symbols
