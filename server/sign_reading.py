"""One text, piece by piece, and what it may tell something of (``server/tell_signs.py``).

It is read in two ways: as it is, and, from its first backslash on, as a reader of JSON reads it.
What is kept of it is no more than a phrase is long, whatever stands between its letters, so that
each piece costs by its own length.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guard.normalise import SEP, fold
from guard.phrases import ENOUGH_LETTERS
from guard.runs import RunReading
from server.wire.json_text import Unescaping

if TYPE_CHECKING:
    from server.tell_signs import TellSigns


class SignReading:
    """One text on its way.

    Args:
        skip: targets, by index, that are of no matter.
    """

    def __init__(self, signs: TellSigns, skip: AbstractSet[int]) -> None:
        self._always = signs.always
        self._length = 0
        self._as_it_is = _Lane(signs, skip)
        self._unescaped: _Lane | None = None
        self._unescaping = Unescaping()

    @property
    def under_way(self) -> bool:
        """Whether something was told since the last ``take``, or may be before the next."""
        return self._always or any(lane.under_way for lane in self._lanes())

    def feed(self, text: str) -> bool:
        """Take the next piece; whether something is under way at its end."""
        if self._unescaped is None and "\\" in text:
            self._unescaped = self._as_it_is.copy()
            self._unescaping = Unescaping(self._length)
        self._as_it_is.read(enumerate(text, self._length))
        if self._unescaped is not None:
            self._unescaped.read(self._unescaping.feed(text))
        self._length += len(text)
        return self.under_way

    def take(self, end: int) -> frozenset[int]:
        """The targets of which something stands in the text up to ``end`` and was not taken before.

        Args:
            end: characters of the whole text.
        """
        return frozenset().union(*(lane.take(end) for lane in self._lanes()))

    def _lanes(self) -> list[_Lane]:
        return [lane for lane in (self._as_it_is, self._unescaped) if lane is not None]


@dataclass(slots=True)
class _Near:
    """A word that is one too many of a protected text, or may become it.

    Attributes:
        end: where it ended; None while it is under way.
    """

    start: int
    targets: tuple[int, ...]
    end: int | None = None


class _Lane:
    """A text read in one way. Places are those of characters in the text as it came."""

    def __init__(self, signs: TellSigns, skip: AbstractSet[int]) -> None:
        self._signs = signs
        self._skip = skip
        # Letters that a phrase with enough of them may go on from, and their places.
        self._letters = ""
        self._places: list[int] = []
        self._begun = False
        # The last words, and what there is of the one under way: no more than phrases have.
        self._words: list[str] = []
        self._word = ""
        self._word_end = -1
        # By target, where something ended that was not taken: for the first time, and for the last.
        self._stands: dict[int, tuple[int, int]] = {}
        self._runs = RunReading([each for each in signs.verbatim if each[0] not in skip])
        self._near: list[_Near] = []

    def copy(self) -> _Lane:
        """Another that has read the same."""
        other = copy.copy(self)
        other._places = list(self._places)
        other._words = list(self._words)
        other._stands = dict(self._stands)
        other._runs = self._runs.copy()
        other._near = [copy.copy(near) for near in self._near]
        return other

    @property
    def under_way(self) -> bool:
        """Whether something stands in it that was not taken, or may before long."""
        return self._begun or bool(self._stands or self._near) or self._word_may_tell()

    def read(self, characters: Iterable[tuple[int, str]]) -> None:
        """Go on by some characters, each with its place."""
        symbols = [(symbol, place) for place, char in characters for symbol in fold(char)]
        letters = [each for each in symbols if each[0] != SEP]
        if letters:
            self._read_letters(letters)
        if self._signs.short:
            for symbol, place in symbols:
                self._read_short(symbol, place)
        if self._signs.verbatim:
            for symbol, place in symbols:
                self._read_run(symbol, place)

    def take(self, end: int) -> set[int]:
        """The targets of which something stands in the text up to ``end``; see ``SignReading``."""
        if self._word_end < end:
            # It may be the last of the sentence, or go on in the next.
            for target in self._short(self._last_words()):
                self._stand(target, self._word_end)
        found = {target for target, (first, _) in self._stands.items() if first < end}
        self._stands = {
            target: (last if first < end else first, last)
            for target, (first, last) in self._stands.items()
            if last >= end
        }
        found.update(target for near in self._near if near.start < end for target in near.targets)
        self._near = [n for n in self._near if n.start >= end or n.end is None or n.end > end]
        return found

    def _stand(self, target: int, place: int) -> None:
        first, _ = self._stands.get(target, (place, place))
        self._stands[target] = (first, place)

    def _read_letters(self, new: Sequence[tuple[str, int]]) -> None:
        before = len(self._letters)
        letters = self._letters + "".join(symbol for symbol, _ in new)
        places = self._places + [place for _, place in new]
        found, begun = self._signs.in_letters(letters, self._skip)
        for end, target in found:
            if end > before:
                self._stand(target, places[end - 1])
        self._begun = begun < len(letters)
        keep = max(0, min(begun, len(letters) - (ENOUGH_LETTERS - 1)))
        self._letters, self._places = letters[keep:], places[keep:]

    def _read_short(self, symbol: str, place: int) -> None:
        if symbol != SEP:
            # One letter more than they have tells that it is none of them.
            self._word += symbol if len(self._word) < ENOUGH_LETTERS else ""
            self._word_end = place
        elif self._word:
            for target in self._short(self._last_words()):
                self._stand(target, self._word_end)
            self._words = [*self._words, self._word][-ENOUGH_LETTERS:]
            self._word = ""

    def _last_words(self) -> list[str]:
        """What the text ends with: the word under way, if any, and those before it."""
        words = [*self._words, self._word] if self._word else self._words
        return [SEP.join(words[first:]) for first in range(len(words))]

    def _short(self, forms: Sequence[str]) -> set[int]:
        if not self._word:
            return set()
        return {t for form in forms for t in self._signs.short.get(form, ()) if t not in self._skip}

    def _word_may_tell(self) -> bool:
        """Whether the text ends with a phrase of words, or with more than its first."""
        if not self._signs.short:
            return False
        forms = self._last_words()
        if self._short(forms):
            return True
        return any(
            target not in self._skip for form in forms for target in self._signs.begun.get(form, ())
        )

    def _read_run(self, symbol: str, place: int) -> None:
        if symbol == SEP:
            if self._runs.near and self._is_noted():
                if self._runs.completed() is None:
                    self._near.pop()
                else:
                    self._near[-1].end = place
            self._runs.end_word()
            return
        self._runs.letter(symbol, place)
        if self._runs.near and not self._is_noted():
            self._near.append(_Near(self._runs.word_cut, self._runs.near))

    def _is_noted(self) -> bool:
        """Whether the word under way is the last that was noted."""
        return bool(self._near) and self._near[-1].start == self._runs.word_cut
