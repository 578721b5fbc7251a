"""Runs of words that may not be said: which text is a corpus's, known by Bloom filters alone.

A target's ``verbatim`` bounds the longest run of normalised words that an answer shares with its
corpus. With a bound of N words, a run of N + 1 is what is forbidden, and a filter holds the keys of
all of those (MemFree, Ippolito et al., arXiv 2210.17546, over normalised words in place of tokens).
Two smaller filters hold shorter runs, which tell the sampler at a glance that nothing can come of
a text: those of N words, which a forbidden run begins with, and those of about half as many.

A word's hash is the key of its symbols; the hash of a run is the same polynomial over its words'
hashes (guard/hashing.py). A filter errs one way only: it may take a run for the corpus's that is
not, once in ``1 / FALSE_POSITIVE_RATE`` times. The corpus's text cannot be read out of it; whether
a given run is in the corpus can be asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from guard.hashing import (
    BASE,
    Hashes,
    Int64Array,
    finish,
    finish_one,
    inverse_powers,
    powers,
    salts,
)

Bytes = npt.NDArray[np.uint8]
Role = Literal[0, 1, 2]

# Bounds of `words`.
MIN_WORDS: Final = 2
MAX_WORDS: Final = 32
# Words that one target's corpus may have: more would not fit `MAX_BITS`.
MAX_CORPUS_WORDS: Final = 1 << 25

# What a filter holds: forbidden runs, runs that they begin with, and runs about half as long.
FORBIDDEN: Final[Role] = 0
BEGINNING: Final[Role] = 1
MIDDLE: Final[Role] = 2
ROLES: Final[tuple[Role, ...]] = (FORBIDDEN, BEGINNING, MIDDLE)
# By role: bits set for each key, and bits of the filter for each.
PROBES: Final = (20, 7, 7)
_BITS_PER_KEY: Final = (30, 10, 10)
_MIN_BITS: Final = 1 << 10
# Places are 32 random bits times the size, which must stay within an int64.
MAX_BITS: Final = (1 << 31) - 1
# Of a filter of forbidden runs as full as it gets; docs/BENCHMARKS.md has it measured.
FALSE_POSITIVE_RATE: Final = (1 - math.exp(-PROBES[0] / _BITS_PER_KEY[0])) ** PROBES[0]

RUN_SALT: Final = 0x428A2F98D728AE22
PROBE_SALTS: Final = tuple(salts(max(PROBES), 0x7137449123EF65CD).tolist())
LOW_32: Final = 0xFFFFFFFF
# Words hashed at a time, to bound memory.
_CHUNK: Final = 1 << 20


def run_length(role: Role, words: int) -> int:
    """How many words the runs of a filter have, for a bound of ``words``."""
    return (words + 1, words, max(1, (words + 1) // 2))[role]


def run_salt(length: int) -> int:
    """What to add to the hash of a run of so many words before finishing it."""
    return int(salts(length + 1, RUN_SALT)[length])


def run_keys(document: Int64Array, length: int) -> Iterator[Int64Array]:
    """Keys of all runs of ``length`` words, in order, some at a time.

    Args:
        document: [n] hashes of the words of one text.
    """
    salt = np.int64(run_salt(length))
    widest = min(len(document), _CHUNK + length)
    scale, inverse = powers(widest), inverse_powers(widest)
    for first in range(0, len(document) - length + 1, _CHUNK):
        part = document[first : first + _CHUNK + length - 1]
        # The hash of a run is the difference of two prefixes, each scaled back to its own end.
        before = np.zeros(len(part) + 1, np.int64)
        np.cumsum(part * inverse[: len(part)], out=before[1:])
        hashes = (before[length:] - before[:-length]) * scale[length - 1 : len(part)]
        yield finish(hashes + salt)


def run_key(words: Sequence[int]) -> int:
    """The key of one run, from the hashes of its words."""
    value = 0
    for word in words:
        value = value * BASE + word
    return finish_one(value + run_salt(len(words)))


def place_of(key: Hashes, probe: int, bits: Hashes | int) -> Hashes:
    """The bit that a probe of each key looks at.

    Each probe has a hash of its own. The usual sums of two hashes (Kirsch and Mitzenmacher, 2006)
    err a hundred times as often in a filter of a thousand bits.

    Args:
        key: [...] int64, finished.
        bits: size of the filter that each is looked up in.
    """
    if probe:
        key = finish(key + PROBE_SALTS[probe])
    return (key & LOW_32) * bits >> 32


@dataclass(frozen=True, slots=True, eq=False)
class RunFilter:
    """What one target forbids.

    Attributes:
        words: the bound: this many words of the corpus may be said in a row, not one more.
        corpus_words: size of the corpus.
        bits: by role, [n_bytes] uint8; the least bit of a byte comes first.
    """

    words: int
    corpus_words: int
    bits: tuple[Bytes, Bytes, Bytes]

    @classmethod
    def of(cls, documents: Sequence[Int64Array], words: int) -> RunFilter:
        """The filter of a corpus.

        Args:
            documents: the hashes of the words of each text; no run reaches over two of them.
        """
        forbidden, beginning, middle = (
            _filled(_distinct_keys(documents, run_length(role, words)), role) for role in ROLES
        )
        total = sum(map(len, documents))
        return cls(words, total, (forbidden, beginning, middle))

    def holds(self, keys: Int64Array, role: Role = FORBIDDEN) -> npt.NDArray[np.bool_]:
        """[n] whether each key is that of a run of the corpus.

        Args:
            keys: [n] int64, of runs of as many words as the role's.
        """
        bits = self.bits[role]
        found = np.zeros(len(keys), np.bool_)
        left = np.arange(len(keys))
        for probe in range(PROBES[role]):
            place = place_of(keys[left], probe, 8 * len(bits))
            left = left[bits[place >> 3] >> (place & 7).astype(np.uint8) & 1 == 1]
        found[left] = True
        return found

    def holds_one(self, key: int, role: Role = FORBIDDEN) -> bool:
        """``holds`` of one key."""
        bits = self.bits[role].data
        for probe in range(PROBES[role]):
            own = finish_one(key + PROBE_SALTS[probe]) if probe else key
            place = (own & LOW_32) * 8 * len(bits) >> 32
            if not bits[place >> 3] >> (place & 7) & 1:
                return False
        return True


def _distinct_keys(documents: Iterable[Int64Array], length: int) -> Int64Array:
    counts = [max(0, len(document) - length + 1) for document in documents]
    keys = np.empty(sum(counts), np.int64)
    filled = 0
    for document in documents:
        for part in run_keys(document, length):
            keys[filled : filled + len(part)] = part
            filled += len(part)
    keys.sort()
    fresh = np.ones(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=fresh[1:])
    return keys[fresh]


def _filled(keys: Int64Array, role: Role) -> Bytes:
    size = -(-max(_MIN_BITS, len(keys) * _BITS_PER_KEY[role]) // 8)
    if 8 * size > MAX_BITS:
        raise ValueError(f"{len(keys)} runs do not fit one filter")
    bits = np.zeros(size, np.uint8)
    for first in range(0, len(keys), _CHUNK):
        part = keys[first : first + _CHUNK]
        for probe in range(PROBES[role]):
            place = place_of(part, probe, 8 * size)
            np.bitwise_or.at(bits, place >> 3, (1 << (place & 7)).astype(np.uint8))
    return bits


@dataclass(frozen=True, slots=True, eq=False)
class RunFilters:
    """The filters of a bundle, one after another, as they are stored and as a device holds them.

    Attributes:
        bits: [n_bytes] uint8.
        first: [n, 3] int64, where each filter begins in ``bits``, by role.
        size: [n, 3] int64, how many bytes it has.
        target: [n] int32, index of the target, ascending.
        words: [n] int32, the bound.
        corpus_words: [n] int64, size of the corpus.
    """

    bits: Bytes
    first: Int64Array
    size: Int64Array
    target: npt.NDArray[np.int32]
    words: npt.NDArray[np.int32]
    corpus_words: Int64Array

    @classmethod
    def of(cls, filters: Sequence[tuple[int, RunFilter]]) -> RunFilters:
        """The filters of some targets, each at most once.

        Args:
            filters: index of the target, and its filter.
        """
        rows = sorted(filters, key=lambda row: row[0])
        size = np.array([[len(part) for part in one.bits] for _, one in rows], np.int64)
        size = size.reshape(-1, len(ROLES))
        ends = np.cumsum(size.ravel()).reshape(size.shape)
        return cls(
            bits=np.concatenate([np.zeros(0, np.uint8), *(p for _, one in rows for p in one.bits)]),
            first=ends - size,
            size=size,
            target=np.array([target for target, _ in rows], np.int32),
            words=np.array([one.words for _, one in rows], np.int32),
            corpus_words=np.array([one.corpus_words for _, one in rows], np.int64),
        )

    def __len__(self) -> int:
        """How many filters there are."""
        return len(self.target)

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """All of it by name, for storing."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def same_as(self, other: RunFilters) -> bool:
        """Whether both hold the same runs for the same places among the targets."""
        return all(
            np.array_equal(mine, theirs)
            for mine, theirs in (
                (self.target, other.target), (self.words, other.words),
                (self.size, other.size), (self.bits, other.bits),
            )
        )  # fmt: skip

    def at(self, row: int) -> RunFilter:
        """One of the filters."""
        parts = [
            self.bits[first : first + size]
            for first, size in zip(self.first[row], self.size[row], strict=True)
        ]
        return RunFilter(
            int(self.words[row]), int(self.corpus_words[row]), (parts[0], parts[1], parts[2])
        )

    def of_targets(self, targets: Iterable[int]) -> list[tuple[int, RunFilter]]:
        """The filters of some targets, each with the index of its target."""
        rows = np.flatnonzero(np.isin(self.target, list(targets))).tolist()
        return [(int(self.target[row]), self.at(row)) for row in rows]
