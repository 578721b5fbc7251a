"""How the loops of this package are compiled, and what they share.

Hashes are uint64 here, the same bits as in guard/hashing.py: numba lets a signed integer that
overflows become anything (``_int_arith_flags`` in its ``cpython/numbers.py``), and an unsigned one
wrap around. Nothing may mix the two, or floats come of it; what is an index is int64.

No machine code is kept on disk: numba tells what is stale by the age of one file, and these
functions depend on the constants of others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from numba import njit

from guard import hashing

Function = TypeVar("Function", bound=Callable[..., Any])
UInt64Array = npt.NDArray[np.uint64]
Int32Array = npt.NDArray[np.int32]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

_MIX_1: Final = np.uint64(hashing.MIX_1 % (1 << 64))
_MIX_2: Final = np.uint64(hashing.MIX_2 % (1 << 64))
_LOW_63: Final = np.uint64((1 << 63) - 1)
_29: Final = np.uint64(29)
_32: Final = np.uint64(32)


def compiled(function: Function) -> Function:
    """Machine code in place of a function, made when it is first called."""
    made: Function = njit(nogil=True)(function)
    return made


def numbers(tensor: torch.Tensor) -> npt.NDArray[Any]:
    """A tensor on the host as the loops want it: without gaps."""
    array: npt.NDArray[Any] = tensor.contiguous().numpy()
    return array


def unsigned(array: npt.NDArray[np.int64] | torch.Tensor) -> UInt64Array:
    """Hashes as the loops want them; a view where there are no gaps."""
    signed = numbers(array) if isinstance(array, torch.Tensor) else array
    return signed.view(np.uint64)


@compiled
def finish(value: np.uint64) -> np.uint64:
    """``guard.hashing.finish`` of one number."""
    value = (value ^ (value >> _32)) * _MIX_1
    value = (value ^ (value >> _29)) * _MIX_2
    return (value ^ (value >> _32)) & _LOW_63
