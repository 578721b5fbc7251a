"""Longest common runs of words, by looking at all of them: apart from the guard's own filters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from guard.normalise import SEP, normalise


def words_of(text: str) -> list[str]:
    """The normalised words of a text."""
    return [word for word in normalise(text).split(SEP) if word]


class Corpus:
    """Texts whose runs of words are looked for; no run reaches over two of them."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._words: list[str | None] = []
        for text in texts:
            self._words += [*words_of(text), None]
        self._places: dict[str, list[int]] = defaultdict(list)
        for place, word in enumerate(self._words):
            if word is not None:
                self._places[word].append(place)

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
