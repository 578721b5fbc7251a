"""Words and runs, hashed the slow way: one symbol after another, in Python's own integers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from guard.hashing import BASE, Int64Array, finish_one, symbol_value
from guard.normalise import SEP, normalise
from guard.verbatim import RunFilter


def open_hash(word: str) -> int:
    """The hash of a word that may go on, as a signed 64-bit integer."""
    value = 0
    for symbol in word:
        value = (value * BASE + symbol_value(ord(symbol))) % (1 << 64)
    return value - (1 << 64) if value >> 63 else value


def word_hash(word: str) -> int:
    return finish_one(open_hash(word))


def words_of(text: str) -> list[str]:
    """The normalised words of a text."""
    return [word for word in normalise(text).split(SEP) if word]


def hashes_of(text: str) -> Int64Array:
    return np.array([word_hash(word) for word in words_of(text)], np.int64)


def filter_of(texts: Sequence[str], words: int) -> RunFilter:
    """The filter of a corpus of some texts."""
    return RunFilter.of([hashes_of(text) for text in texts], words)


def runs_of(texts: Sequence[str], length: int) -> set[tuple[str, ...]]:
    """Every run of so many words in a corpus."""
    split = [words_of(text) for text in texts]
    return {
        tuple(words[at : at + length]) for words in split for at in range(len(words) - length + 1)
    }
