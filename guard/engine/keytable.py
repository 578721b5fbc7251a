"""Sorted keys with a directory by their first bits: found in a few steps, whatever their number.

Look-ups in numpy are for compiling, those in torch for the sampler. The arrays hold no pointers, so
that they can be written to a file and mapped into memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from guard.hashing import Int64Array

_KEY_BITS: Final = 63
_SIEVE_BITS_PER_KEY: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class KeyTable:
    """Distinct keys (see guard/hashing.py), each known by its place among them.

    Attributes:
        keys: [n] int64, sorted.
        directory: [2^k + 1] int64, first place of the keys with each value of the first ``k`` bits.
        shift: how far to shift a key to be left with those bits.
        deepest: keys that share their first bits, at most.
    """

    keys: Int64Array
    directory: Int64Array
    shift: int
    deepest: int

    @classmethod
    def of(cls, keys: Int64Array) -> KeyTable:
        """The table of sorted, distinct keys."""
        # Two to four buckets a key: most look-ups fail, and then end at an empty bucket.
        bits = max(1, (2 * len(keys)).bit_length())
        shift = _KEY_BITS - bits
        counts = np.bincount(keys >> shift, minlength=1 << bits)
        directory = np.zeros((1 << bits) + 1, np.int64)
        np.cumsum(counts, out=directory[1:])
        return cls(keys, directory, shift, int(counts.max(initial=0)))

    def find(self, keys: Int64Array) -> Int64Array:
        """[m] the place of each key, -1 where it is not there."""
        bucket = keys >> self.shift
        first, beyond = self.directory[bucket], self.directory[bucket + 1]
        places = np.full(len(keys), -1, np.int64)
        (asked,) = np.nonzero(beyond > first)
        for step in range(self.deepest):
            place = first[asked] + step
            asked, place = asked[inside := place < beyond[asked]], place[inside]
            found = self.keys[place] == keys[asked]
            places[asked[found]] = place[found]
            asked = asked[~found]
        return places


@dataclass(frozen=True, slots=True, eq=False)
class Sieve:
    """Tells at a glance that a key is not in a table: one bit for each value of its first bits.

    So small that it stays in a cache, where the table itself does not: of keys that are not there,
    one in so many passes.

    Attributes:
        bits: [2^k / 8] uint8, the least bit of a byte first.
        shift: how far to shift a key to be left with the first ``k`` bits.
    """

    bits: npt.NDArray[np.uint8]
    shift: int

    @classmethod
    def of(cls, keys: Int64Array) -> Sieve:
        """The sieve of sorted keys."""
        shift = _KEY_BITS - max(3, (_SIEVE_BITS_PER_KEY * len(keys)).bit_length())
        bits = np.zeros(1 << (_KEY_BITS - shift - 3), np.uint8)
        if len(keys):
            byte = keys >> (shift + 3)
            (first,) = np.nonzero(np.diff(byte, prepend=-1))
            bit = (1 << ((keys >> shift) & 7)).astype(np.uint8)
            bits[byte[first]] = np.bitwise_or.reduceat(bit, first)
        return cls(bits, shift)


class KeyTensors:
    """A key table on a device."""

    def __init__(self, table: KeyTable, device: torch.device) -> None:
        self.keys = torch.from_numpy(table.keys).to(device)
        self.directory = torch.from_numpy(table.directory).to(device)
        self.shift, self.deepest = table.shift, table.deepest

    @cached_property
    def sieve(self) -> Sieve:
        """For a table on the host."""
        return Sieve.of(self.keys.numpy())

    def find(self, keys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Which keys are there.

        Args:
            keys: [...] int64.

        Returns:
            [m] flat positions in ``keys`` of those that are, and [m] their places.
        """
        flat = keys.reshape(-1)
        bucket = flat >> self.shift
        first, beyond = self.directory[bucket], self.directory[bucket + 1]
        (asked,) = torch.nonzero(beyond > first, as_tuple=True)
        place, end, wanted = first[asked], beyond[asked], flat[asked]
        hits, places = [], []
        for _ in range(self.deepest):
            found = self.keys[place] == wanted
            hits.append(asked[found])
            places.append(place[found])
            place = place + 1
            more = place < end
            if not bool(more.any()):
                break
            asked, place, end, wanted = asked[more], place[more], end[more], wanted[more]
        if not hits:
            return asked, place
        return torch.cat(hits), torch.cat(places)
