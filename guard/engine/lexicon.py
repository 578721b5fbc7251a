"""Which tokens continue a text with a given string: the vocabulary's side of a phrase's end.

With the tokens sorted by their normalised text, those that begin with a given string are one range
of that order. A phrase that stands before a token up to its l-th symbol is completed by just the
tokens that begin with the rest of it, so that a range for each (phrase, l) is all that the sampler
needs (guard/engine/segment.py). A second part of the order serves phrases that a token holds
further in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from guard.engine.keytable import KeyTable
from guard.engine.symbols import Int32Array, SymbolVocabulary
from guard.hashing import BASE, Int64Array, finish, powers, salts, symbol_values
from guard.normalise import SEP
from guard.phrases import ENOUGH_LETTERS, MAX_LETTERS, MAX_WORD_SYMBOLS, letters_of

Bools = npt.NDArray[np.bool_]

# Salts of what a key stands for.
TOKEN_START: Final = 0x1F83D9ABFB41BD6B
TOKEN_INSIDE: Final = 0x5BE0CD19137E2179

# Texts are hashed in groups of similar length, so that one long text does not widen them all.
_WIDTHS: Final = (8, 16, 32, 64, 1 << 16)


@dataclass(frozen=True, slots=True, eq=False)
class RaggedSymbols:
    """Texts as symbol values, one after another.

    Attributes:
        offset: [n + 1] int64.
        values: [total] int64, never 0.
    """

    offset: Int64Array
    values: Int64Array

    @classmethod
    def of(cls, texts: Sequence[str]) -> RaggedSymbols:
        """The symbols of normalised texts."""
        offset = np.zeros(len(texts) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)), out=offset[1:])
        codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
        return cls(offset, symbol_values(codes.astype(np.int64)))

    @property
    def lengths(self) -> Int64Array:
        """[n] symbols of each text."""
        return np.diff(self.offset)

    def prefix_hashes(self, rows: Int64Array, width: int) -> Int64Array:
        """[len(rows), width + 1] hash of the first 0, 1, 2, … symbols; 0 beyond a text's end."""
        hashes = np.zeros((len(rows), width + 1), np.int64)
        first, length = self.offset[rows], self.lengths[rows]
        last = len(self.values) - 1
        for place in range(width):
            symbol = self.values[np.minimum(first + place, last)] if last >= 0 else 0
            longer = hashes[:, place] * np.int64(BASE) + symbol
            hashes[:, place + 1] = np.where(length > place, longer, 0)
        return hashes

    def by_width(self) -> list[tuple[Int64Array, int]]:
        """Rows in groups of similar length, each with the length of its longest."""
        groups = []
        length, below = self.lengths, 0
        for width in _WIDTHS:
            (rows,) = np.nonzero((length > below) & (length <= width))
            if len(rows):
                groups.append((rows, int(length[rows].max())))
            below = width
        return groups


@dataclass(frozen=True, slots=True, eq=False)
class Ranges:
    """Strings by key, and the range of ``Lexicon.order`` that each stands for."""

    table: KeyTable
    low: Int64Array
    high: Int64Array


@dataclass(frozen=True, slots=True, eq=False)
class Lexicon:
    """A vocabulary for one way of matching (see guard/phrases.py).

    Attributes:
        letters_alone: the way of matching.
        order: [m] int32 token ids, as the ranges count them.
        start: strings that tokens begin with; as words, where a word ends after them.
        inside: strings of matchable length that tokens hold further in, in the same sense.
        longest: symbols of the longest token that matter.
        ranks: place of each distinct text among them in order.
        first: [len(ranks) + 1] where the tokens of each begin in ``order``.
        longest_text: symbols of the longest of them.
    """

    letters_alone: bool
    order: Int32Array
    start: Ranges
    inside: Ranges
    longest: int
    ranks: Mapping[str, int]
    first: Int64Array
    longest_text: int

    def exact(self, text: str) -> tuple[int, int] | None:
        """The range of the tokens that read just so, if there are any."""
        rank = self.ranks.get(text)
        return None if rank is None else (int(self.first[rank]), int(self.first[rank + 1]))


def texts_for(vocabulary: SymbolVocabulary, *, letters_alone: bool) -> list[str]:
    """The vocabulary's texts as one way of matching reads them."""
    return [letters_of(text) for text in vocabulary.texts] if letters_alone else [*vocabulary.texts]


def build_lexicon(vocabulary: SymbolVocabulary, *, letters_alone: bool) -> Lexicon:
    """Sort a vocabulary for one way of matching."""
    readings = texts_for(vocabulary, letters_alone=letters_alone)
    of_token = [readings[text] for text in vocabulary.plain[:-1].tolist()]
    # [n] distinct readings in order, and the tokens of each, one after another
    distinct = sorted(set(of_token) - {""})
    rank = {text: place for place, text in enumerate(distinct)}
    owner = np.array([rank.get(text, -1) for text in of_token], np.int64)
    order = np.argsort(owner, kind="stable")[np.count_nonzero(owner < 0) :]
    first = np.searchsorted(owner[order], np.arange(len(distinct) + 1))

    symbols = RaggedSymbols.of(distinct)
    longest = MAX_LETTERS if letters_alone else MAX_WORD_SYMBOLS
    starts, insides = [], []
    for rows, width in symbols.by_width():
        hashes = symbols.prefix_hashes(rows, width)
        closed = _closes(symbols, rows, width, letters_alone)
        starts.append(_starts(hashes, closed, rows, min(width, longest)))
        insides.append(_insides(symbols, hashes, closed, rows, width, letters_alone))
    start_keys, start_rows = _joined(starts)
    inside_keys, inside_rows = _joined(insides)

    keys, low_row, count = np.unique(start_keys, return_index=True, return_counts=True)
    low_row = start_rows[low_row]
    start = Ranges(KeyTable.of(keys), first[low_row], first[low_row + count])

    keys, place, count = np.unique(inside_keys, return_index=True, return_counts=True)
    # Tokens of the texts that hold each string; texts with several tokens take several places.
    tokens_of = np.diff(first)[inside_rows]
    ends = np.concatenate([[0], np.cumsum(tokens_of)])
    steps = np.arange(ends[-1]) - np.repeat(ends[:-1], tokens_of)
    inside_tokens = order[np.repeat(first[inside_rows], tokens_of) + steps]
    inside = Ranges(KeyTable.of(keys), len(order) + ends[place], len(order) + ends[place + count])
    return Lexicon(
        letters_alone=letters_alone,
        order=np.concatenate([order, inside_tokens]).astype(np.int32),
        start=start,
        inside=inside,
        longest=min(int(symbols.lengths.max(initial=0)), longest),
        ranks=rank,
        first=first,
        longest_text=int(symbols.lengths.max(initial=0)),
    )


def _closes(symbols: RaggedSymbols, rows: Int64Array, width: int, letters_alone: bool) -> Bools:
    """[n, width + 1] whether a phrase may end after so many symbols of a text."""
    length = symbols.lengths[rows][:, None]
    place = np.arange(width + 1)
    within = (place >= 1) & (place <= length)
    if letters_alone:
        return within
    is_sep = _separators(symbols, rows, width)
    after_letter = np.zeros_like(within)
    after_letter[:, 1:] = ~is_sep
    before_sep = np.ones_like(within)
    before_sep[:, :-1] = is_sep
    closes: Bools = within & after_letter & (before_sep | (place == length))
    return closes


def _separators(symbols: RaggedSymbols, rows: Int64Array, width: int) -> Bools:
    """[n, width] whether each symbol is a separator; False beyond a text's end."""
    sep = RaggedSymbols.of([SEP]).values[0]
    place = np.arange(width)
    at = np.minimum(symbols.offset[rows][:, None] + place, len(symbols.values) - 1)
    inside = place < symbols.lengths[rows][:, None]
    separators: Bools = (symbols.values[at] == sep) & inside
    return separators


def _starts(
    hashes: Int64Array, closed: Bools, rows: Int64Array, longest: int
) -> tuple[Int64Array, Int64Array]:
    """Keys of the strings that each text begins with, and the rows of the texts."""
    row, length = np.nonzero(closed[:, : longest + 1])
    keys = finish(hashes[row, length] + salts(longest + 1, TOKEN_START)[length])
    return keys, rows[row]


def _insides(
    symbols: RaggedSymbols,
    hashes: Int64Array,
    closed: Bools,
    rows: Int64Array,
    width: int,
    letters_alone: bool,
) -> tuple[Int64Array, Int64Array]:
    """The same for strings that begin further in."""
    least = ENOUGH_LETTERS if letters_alone else 2
    most = MAX_LETTERS if letters_alone else MAX_WORD_SYMBOLS
    salted, scales = salts(width + 1, TOKEN_INSIDE), powers(width + 1)
    begins = None if letters_alone else _separators(symbols, rows, width)
    found = []
    for begin in range(1, width):
        for end in range(begin + least, min(width, begin + most) + 1):
            here = closed[:, end].copy()
            if begins is not None:
                here &= begins[:, begin]
            (row,) = np.nonzero(here)
            if len(row):
                part = hashes[row, end] - hashes[row, begin] * scales[end - begin]
                found.append((finish(part + salted[end - begin]), rows[row]))
    return _joined(found)


def _joined(parts: list[tuple[Int64Array, Int64Array]]) -> tuple[Int64Array, Int64Array]:
    """Keys and rows sorted by key, then by row, each pair once."""
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    keys = np.concatenate([part[0] for part in parts])
    rows = np.concatenate([part[1] for part in parts])
    place = np.lexsort((rows, keys))
    keys, rows = keys[place], rows[place]
    fresh = np.ones(len(keys), np.bool_)
    fresh[1:] = (keys[1:] != keys[:-1]) | (rows[1:] != rows[:-1])
    return keys[fresh], rows[fresh]
