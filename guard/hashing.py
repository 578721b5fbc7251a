"""Hashes of symbol strings and of word runs, the same in numpy, in torch and in plain Python.

A string c_1 … c_l hashes to the polynomial Σ v(c_i)·P^(l-i) modulo 2^64, so that the hashes of all
suffixes of a text are one cumulative sum, and the hash of a part follows from those of two
prefixes (Karp and Rabin, 1987). A *key* mixes in the length and what the string stands for. Two
strings share a key by chance once in 2^63 pairs; a look-up that errs bans a token too many, never
one too few.

Everything is int64 with wrap-around; keys are non-negative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Int64Array = npt.NDArray[np.int64]
Hashes = TypeVar("Hashes", Int64Array, "torch.Tensor")

# Odd, with random bits (from SplitMix64's and MurmurHash3's published constants).
BASE: Final = -7046029254386353131
MIX_1: Final = -4658895280553007687
MIX_2: Final = -7723592293110705685
_PER_LENGTH: Final = 7109453100751455733
_LOW_32: Final = 0xFFFFFFFF
_LOW_35: Final = (1 << 35) - 1
_LOW_63: Final = (1 << 63) - 1
_LOW_64: Final = (1 << 64) - 1


def finish(value: Hashes) -> Hashes:
    """Spread every bit over a non-negative int64."""
    value = (value ^ ((value >> 32) & _LOW_32)) * MIX_1
    value = (value ^ ((value >> 29) & _LOW_35)) * MIX_2
    return (value ^ ((value >> 32) & _LOW_32)) & _LOW_63


def finish_one(value: int) -> int:
    """``finish`` of one Python integer, of which the lowest 64 bits count."""
    value &= _LOW_64
    value = (value ^ value >> 32) * MIX_1 & _LOW_64
    value = (value ^ value >> 29) * MIX_2 & _LOW_64
    return (value ^ value >> 32) & _LOW_63


def powers(count: int) -> Int64Array:
    """[count] the base to the power of 0, 1, 2, …"""
    factors = np.full(count, BASE, np.int64)
    factors[:1] = 1
    return np.cumprod(factors)


def inverse_powers(count: int) -> Int64Array:
    """[count] the inverse of the base, modulo 2^64, to the power of 0, 1, 2, …"""
    inverse = pow(BASE, -1, 1 << 64)
    factors = np.full(count, inverse - (1 << 64) if inverse >> 63 else inverse, np.int64)
    factors[:1] = 1
    return np.cumprod(factors)


def salts(count: int, salt: int) -> Int64Array:
    """[count] what to add to the hash of a string of 0, 1, 2, … symbols before finishing it."""
    return np.arange(count, dtype=np.int64) * np.int64(_PER_LENGTH) + np.int64(salt)


def symbol_values(codes: Int64Array) -> Int64Array:
    """What each code point counts for; never 0, which stands for no symbol at all."""
    return finish((codes + 1) * np.int64(_PER_LENGTH)) | 1


def symbol_value(code: int) -> int:
    """``symbol_values`` of one code point."""
    return finish_one((code + 1) * _PER_LENGTH) | 1
