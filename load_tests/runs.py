"""Longest common runs of words, by looking at all of them: apart from the guard's own filters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from guard.normalise import SEP, normalise


def words_of(text: str) -> list[str]:
    """The normalised words of a text."""
    return [word for word in normalise(text).split(SEP) if word]


def _codes(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)


class Corpus:
    """Texts whose runs of words are looked for; no run reaches over two of them."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._words: list[str | None] = []
        for text in texts:
            self._words += [*words_of(text), None]
        spelt = [word or "\0" for word in self._words]
        self._letters = _codes("".join(spelt))
        lengths = np.array([len(word) for word in spelt], np.int64)
        self._begins = np.zeros(len(self._letters), np.bool_)
        self._ends = np.zeros(len(self._letters), np.bool_)
        self._ends[np.cumsum(lengths) - 1] = True
        self._begins[np.cumsum(lengths) - lengths] = True
        self._places: dict[str, list[int]] = defaultdict(list)
        for place, word in enumerate(self._words):
            if word is not None:
                self._places[word].append(place)

    def longest_glued_run(self, text: str) -> int:
        """Whole words of the corpus in the longest run of letters that a text shares with it.

        Spaces count for nothing, so that "thesea" is as good as "the sea".
        """
        wanted = _codes("".join(words_of(text)))
        length = np.zeros(len(self._letters), np.int64)
        ends = longest = 0
        for letter in wanted:
            grown = np.zeros_like(length)
            grown[1:] = length[:-1]
            length = np.where(self._letters == letter, grown + 1, 0)
            if (most := int(length.max(initial=0))) > longest:
                longest, ends = most, int(length.argmax()) + 1
        begun, ended = self._begins[ends - longest : ends], self._ends[ends - longest : ends]
        # Words that began before the run do not end in it as wholes.
        first = int(begun.argmax()) if begun.any() else longest
        return int(ended[first:].sum())

    def longest_run(self, text: str, *, after: int = 0) -> int:
        """Words of the longest run that a text shares with the corpus.

        Args:
            after: count only runs that end after so many words of the text.
        """
        longest = 0
        ending: dict[int, int] = {}  # place in the corpus -> words of the run that ends there
        for count, word in enumerate(words_of(text), 1):
            ending = {place: ending.get(place - 1, 0) + 1 for place in self._places.get(word, ())}
            if count > after and ending:
                longest = max(longest, *ending.values())
        return longest
