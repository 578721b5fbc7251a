"""Phrases compiled for one vocabulary: what every text that ends like a phrase's beginning bans.

For a phrase c_1 … c_n and each l < n, a text that ends in c_1 … c_l forbids the tokens that begin
with c_(l+1) … c_n. So a segment is a table from the key of each beginning to a list of entries: a
range of tokens (guard/engine/lexicon.py), the target, and the penalty. Beginnings whose rest no
token begins with need no place. The sampler looks up the keys of all ends of a text at once; it
needs no automaton, no failure links, and nothing that depends on how the text was tokenised.

As words, a phrase is matched with a separator before it; a token after a separator may bring
another one, which counts for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from guard.engine.keytable import KeyTable
from guard.engine.lexicon import TOKEN_INSIDE, TOKEN_START, Lexicon, RaggedSymbols, Ranges
from guard.engine.symbols import Int32Array
from guard.hashing import Int64Array, finish, powers, salts
from guard.normalise import SEP
from guard.phrases import MAX_LETTERS, MAX_WORD_SYMBOLS, has_enough_letters, letters_of

# Salts of what a key stands for, by way of matching: letters alone, or words.
BEGINNING: Final = {True: 0x6A09E667F3BCC908, False: 0x3BA7CA8485CAA73B}
WHOLE: Final = {True: 0x3C6EF372FE94F82B, False: 0x254FF53A5F1D36F1}

HARD_PENALTY: Final = float("-inf")
# In logits. Enough to turn a model with any alternative, not one that has none.
SOFT_PENALTY: Final = -8.0

# Phrases hashed at a time, to bound the memory of compiling.
_CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Compiled phrases; arrays only.

    Attributes:
        table: keys of phrases' beginnings, and of whole phrases.
        offset: [n_keys + 1] int64, entries of each key.
        low, high: [n_entries] int32, range of the joint token order (letters, then words); empty
            for whole phrases, whose keys stand for themselves.
        target: [n_entries] int32.
        penalty: [n_entries] float32, added to the logit; the strongest of several holds.
    """

    table: KeyTable
    offset: Int64Array
    low: Int32Array
    high: Int32Array
    target: Int32Array
    penalty: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Advance:
    """Tokens that lead further into a phrase without completing it.

    Attributes:
        phrase: index of the phrase.
        begun: how much of it stands before the token: as words with a separator in front, or
            letters alone.
        letters_alone: which of the two.
        low, high: range of the order of that way's lexicon.
        penalty: added to the logits.
    """

    phrase: int
    begun: str
    letters_alone: bool
    low: int
    high: int
    penalty: float


@dataclass(frozen=True, slots=True, eq=False)
class _Entries:
    """Entries under way, in no order; ``penalty`` NaN for that of the phrase."""

    key: Int64Array
    low: Int64Array
    high: Int64Array
    phrase: Int64Array
    penalty: npt.NDArray[np.float32]


def compile_segment(
    texts: Sequence[str],
    targets: npt.NDArray[np.int32],
    penalties: npt.NDArray[np.float32],
    letters: Lexicon,
    words: Lexicon,
    advances: Sequence[Advance] = (),
) -> Segment:
    """Compile phrases for a vocabulary.

    Args:
        texts: normalised phrases, none empty; ``MAX_LETTERS`` letters of each count.
        targets, penalties: [n] of each phrase.
        letters, words: the vocabulary, for both ways of matching.
        advances: what else to penalise (guard/engine/steer.py).
    """
    enough = np.fromiter(map(has_enough_letters, texts), np.bool_, len(texts))
    (long,), (short,) = np.nonzero(enough), np.nonzero(~enough)
    by_letters = [letters_of(texts[i])[:MAX_LETTERS] for i in long.tolist()]
    by_words = [SEP + texts[i] for i in short.tolist()]
    found = _entries(by_letters, long, letters, 0)
    found += _entries(by_words, short, words, len(letters.order))
    for lexicon, shift in ((letters, 0), (words, len(letters.order))):
        own_way = [each for each in advances if each.letters_alone == lexicon.letters_alone]
        found += _advancing(own_way, targets, lexicon, shift)
    key = np.concatenate([np.zeros(0, np.int64), *(each.key for each in found)])
    place = np.argsort(key, kind="stable")
    keys, count = np.unique(key[place], return_counts=True)
    offset = np.zeros(len(keys) + 1, np.int64)
    np.cumsum(count, out=offset[1:])

    def joined(name: str) -> Int64Array:
        parts = [np.zeros(0, np.int64), *(getattr(each, name) for each in found)]
        in_order: Int64Array = np.concatenate(parts)[place]
        return in_order

    phrase = joined("phrase")
    own = np.concatenate([np.zeros(0, np.float32), *(each.penalty for each in found)])[place]
    return Segment(
        table=KeyTable.of(keys),
        offset=offset,
        low=joined("low").astype(np.int32),
        high=joined("high").astype(np.int32),
        target=targets[phrase].astype(np.int32),
        penalty=np.where(np.isnan(own), penalties[phrase], own).astype(np.float32),
    )


def _entries(
    patterns: Sequence[str], phrases: Int64Array, lexicon: Lexicon, shift: int
) -> list[_Entries]:
    """What each beginning of each pattern bans; ``shift`` is where the lexicon's order begins."""
    symbols = RaggedSymbols.of(patterns)
    found: list[_Entries] = []
    for group, width in symbols.by_width():
        for first in range(0, len(group), _CHUNK):
            rows = group[first : first + _CHUNK]
            found += _of_rows(symbols, rows, width, phrases, lexicon, shift)
    return found


def _of_rows(
    symbols: RaggedSymbols,
    rows: Int64Array,
    width: int,
    phrases: Int64Array,
    lexicon: Lexicon,
    shift: int,
) -> list[_Entries]:
    hashes, length = symbols.prefix_hashes(rows, width), symbols.lengths[rows]
    whole_hash = hashes[np.arange(len(rows)), length]
    scale = powers(width + 1)
    start_salt = salts(width + 1, TOKEN_START)
    beginning = salts(width + 1, BEGINNING[lexicon.letters_alone])
    found = []

    def add(part: Int64Array, keys: Int64Array, ranges: Ranges, sought: Int64Array) -> None:
        places = ranges.table.find(sought)
        hit = places >= 0
        found.append(
            _Entries(
                keys[hit],
                ranges.low[places[hit]] + shift,
                ranges.high[places[hit]] + shift,
                phrases[rows[part[hit]]],
                _unset(int(np.count_nonzero(hit))),
            )
        )

    for begun in range(width):
        rest = length - begun
        (part,) = np.nonzero((rest > 0) & (rest <= lexicon.longest))
        keys = finish(hashes[part, begun] + beginning[begun])
        left = whole_hash[part] - hashes[part, begun] * scale[rest[part]]
        add(part, keys, lexicon.start, finish(left + start_salt[rest[part]]))
        if begun == 0:
            sought = finish(left + salts(width + 1, TOKEN_INSIDE)[rest[part]])
            add(part, keys, lexicon.inside, sought)
        elif not lexicon.letters_alone:
            # After a separator the token may bring another one.
            at = symbols.values[symbols.offset[rows[part]] + begun - 1]
            after_sep = at == RaggedSymbols.of([SEP]).values[0]
            part, keys = part[after_sep], keys[after_sep]
            more = rest[part] + 1
            left = whole_hash[part] - hashes[part, begun - 1] * scale[more]
            add(part, keys, lexicon.start, finish(left + start_salt[more]))

    whole = finish(whole_hash + salts(width + 1, WHOLE[lexicon.letters_alone])[length])
    none = np.zeros(len(rows), np.int64)
    found.append(_Entries(whole, none, none, phrases[rows], _unset(len(rows))))
    return found


def _unset(count: int) -> npt.NDArray[np.float32]:
    return np.full(count, np.nan, np.float32)


def _advancing(
    advances: Sequence[Advance], targets: npt.NDArray[np.int32], lexicon: Lexicon, shift: int
) -> list[_Entries]:
    """Entries of advances; of those that differ in their phrase alone, the strongest.

    Thousands of names begin alike, and the sampler visits all entries of what a text ends with.
    """
    if not advances:
        return []
    distinct = {text: place for place, text in enumerate({each.begun: 0 for each in advances})}
    symbols = RaggedSymbols.of([*distinct])
    length = symbols.lengths
    width = int(length.max(initial=0))
    hashes = symbols.prefix_hashes(np.arange(len(distinct)), width)[
        np.arange(len(distinct)), length
    ]
    keys = finish(hashes + salts(width + 1, BEGINNING[lexicon.letters_alone])[length])
    begun = np.array([distinct[each.begun] for each in advances], np.int64)
    low = np.array([each.low for each in advances], np.int64)
    high = np.array([each.high for each in advances], np.int64)
    phrase = np.array([each.phrase for each in advances], np.int64)
    penalty = np.array([each.penalty for each in advances], np.float32)
    alike = np.column_stack([targets[phrase], begun, low, high])
    order = np.lexsort((penalty, *alike.T))
    first = np.ones(len(order), np.bool_)
    first[1:] = (alike[order[1:]] != alike[order[:-1]]).any(axis=1)
    kept = order[first]
    return [
        _Entries(
            keys[begun[kept]], low[kept] + shift, high[kept] + shift, phrase[kept], penalty[kept]
        )
    ]


def window_width(*, letters_alone: bool) -> int:
    """How many symbols of a text can be the beginning of a phrase."""
    return (MAX_LETTERS if letters_alone else MAX_WORD_SYMBOLS) - 1
