"""Where a phrase may begin in a text, by its first six letters: one look-up for all phrases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from guard.folding import Folding
from guard.normalise import fold
from guard.phrases import ENOUGH_LETTERS, letters_of
from guard.views.view import codes_of

# Of a table; there may be some hundred of them, each for other targets.
_BITS: Final = 16
_FACTORS: Final = np.array(
    [pow(0x9E3779B97F4A7C15, power, 1 << 64) for power in range(1, ENOUGH_LETTERS + 1)], np.uint64
)
_LOWER: Final = bytes(ord(chr(code).lower()) if code < 128 else code for code in range(256))
_NO_LETTERS: Final = bytes(code for code in range(256) if not (code < 128 and chr(code).isalnum()))
# Code points and what they fold to, normalised.
_FOLDED: Final = Folding(fold)


class Openings:
    """Tells where a phrase may begin, by its first six letters, whatever stands between them.

    Args:
        phrases: normalised; those with fewer letters are left out.
        bits: of the table that is looked in first; the more phrases, the more.
    """

    def __init__(self, phrases: Iterable[str], bits: int = _BITS) -> None:
        letters = map(letters_of, phrases)
        opens = "".join(own[:ENOUGH_LETTERS] for own in letters if len(own) >= ENOUGH_LETTERS)
        # The first letters of all, one after the other: every sixth hash is of one of them.
        firsts = _hashes(codes_of(opens))[::ENOUGH_LETTERS]
        self._opens = np.unique(firsts)
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(1 << bits, np.bool_)
        self._table[self._slots(self._opens)] = True

    def any_in(self, text: str) -> bool:
        """Whether one of the phrases may begin in a text."""
        return bool(len(self._found(_letters(text))))

    def any_in_normalised(self, text: str) -> bool:
        """The same, of a text that was normalised."""
        return bool(len(self._found(codes_of(letters_of(text)))))

    def in_letters(self, letters: str) -> list[int]:
        """Each place in a text of normalised letters alone where a phrase may begin."""
        places: list[int] = self._found(codes_of(letters)).tolist()
        return places

    def _found(self, letters: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
        """[n] int64, the places where openings stand."""
        hashes = _hashes(letters)
        places = np.flatnonzero(self._table[self._slots(hashes)])
        if not len(places):
            return places
        likely = hashes[places]
        at = np.minimum(np.searchsorted(self._opens, likely), len(self._opens) - 1)
        found: npt.NDArray[np.int64] = places[self._opens[at] == likely]
        return found

    def _slots(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """[n] int64, where in the table each hash stands."""
        return (hashes >> self._shift).astype(np.int64)


def _letters(text: str) -> npt.NDArray[np.uint32]:
    """[n] uint32, the letters and digits of a text, normalised."""
    if text.isascii():
        return np.frombuffer(text.encode().translate(_LOWER, _NO_LETTERS), np.uint8).astype(
            np.uint32
        )
    return codes_of(letters_of(text.translate(_FOLDED)))


def _hashes(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """[n - 5] uint64, of each run of six letters."""
    count = len(codes) - ENOUGH_LETTERS + 1
    if count <= 0:
        return np.zeros(0, np.uint64)
    total = np.zeros(count, np.uint64)
    for place, factor in enumerate(_FACTORS):
        total += codes[place : place + count].astype(np.uint64) * factor
    return total
