"""Runs of a protected text in a text on its way out, one symbol after another.

The same bound as the engine's (guard/engine/verbatim.py), on the text alone: of what a target
forbids, ``words`` words may be said in a row. The word that would be one too many is told as soon
as it has ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache

from guard.hashing import BASE, finish_one, symbol_value
from guard.verbatim import BEGINNING, FORBIDDEN, MAX_WORDS, RunFilter, run_key

_symbol_value = lru_cache(maxsize=1 << 14)(symbol_value)
_LOW_64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class RunHit:
    """More than ``words`` words of a target's corpus stand in a row."""

    target: int
    words: int


class RunReading:
    """One text, read as words.

    Args:
        filters: index of each target, and what it forbids.

    Attributes:
        word_cut: what was given as the cut of the first letter of the word under way.
    """

    def __init__(self, filters: Sequence[tuple[int, RunFilter]]) -> None:
        self.word_cut = 0
        self._filters = filters
        self._words: deque[int] = deque(maxlen=MAX_WORDS)  # hashes of those that ended
        self._open = 0  # hash of the word under way; 0 for none
        self._near: Sequence[tuple[int, RunFilter]] = ()

    def copy(self) -> RunReading:
        """Another that has read the same."""
        other = copy(self)
        other._words = self._words.copy()
        return other

    @property
    def holds(self) -> bool:
        """Whether the word under way may turn out to be one too many."""
        return bool(self._near)

    @property
    def near(self) -> tuple[int, ...]:
        """The targets of which it may be one too many."""
        return tuple(target for target, _ in self._near)

    def letter(self, symbol: str, cut: int) -> None:
        """One more letter of a word."""
        if not self._open:
            self.word_cut = cut
            self._near = [each for each in self._filters if self._begins(each[1])]
        self._open = (self._open * BASE + _symbol_value(ord(symbol))) & _LOW_64

    def completed(self) -> RunHit | None:
        """What the word under way completes, were it to end here."""
        for target, one in self._near:
            run = [*self._last(one.words), finish_one(self._open)]
            if one.holds_one(run_key(run), FORBIDDEN):
                return RunHit(target, one.words)
        return None

    def end_word(self) -> None:
        """The word under way, if any, has ended."""
        if self._open:
            self._words.append(finish_one(self._open))
            self._open, self._near = 0, ()

    def reset(self) -> None:
        """Forget what was read: no run reaches over this place."""
        self.end_word()
        self._words.clear()

    def _begins(self, one: RunFilter) -> bool:
        return len(self._words) >= one.words and one.holds_one(
            run_key(self._last(one.words)), BEGINNING
        )

    def _last(self, count: int) -> list[int]:
        return [self._words[place] for place in range(-count, 0)]
