"""Tokens as strings of symbols: what each adds to a normalised text.

A token's bytes are cut in three: stray continuation bytes at its start (``lead``), whole code
points, and an unfinished code point at its end (``tail``). The whole code points are normalised
once, ahead of time; a code point that is split over tokens is carried as a *pending* state and
normalised when its last byte arrives.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from guard.normalise import SEP, fold, folded

EMPTY_TEXT: Final = 0
SEP_TEXT: Final = 1
MAX_LEAD: Final = 4  # more than three stray continuation bytes are as invalid as four

Int32Array = npt.NDArray[np.int32]

# Smallest code point that needs 2, 3 and 4 bytes: anything below is an overlong form.
SMALLEST: Final = (0, 0x80, 0x800, 0x10000)
# A pending code point is packed as bits | missing << 21 | extra_bytes << 23.
MISSING_SHIFT: Final = 21
EXTRA_SHIFT: Final = 23
CODE_POINTS: Final = 0x110000


@dataclass(frozen=True, slots=True, eq=False)
class SymbolVocabulary:
    """A vocabulary as normalised texts; the same for every bundle.

    Row ``V`` of each token array is the empty token.

    Attributes:
        data: bytes of each token id.
        texts: distinct normalised texts, separators collapsed; 0 is empty, 1 a separator.
        plain: [V + 1] index into ``texts`` when nothing is pending; stray lead bytes separate.
        rest: [V + 1] the same without the stray lead bytes.
        lead: [V + 1] how many continuation bytes the token starts with, at most ``MAX_LEAD``.
        lead_bits: [V + 1, 4] payload bits of its first 0, 1, 2, 3 continuation bytes.
        all_lead: [V + 1] 1 where the token is continuation bytes only.
        tail: [V + 1] packed unfinished code point at its end, 0 for none.
        is_empty: [V + 1] 1 where the token adds no bytes (special tokens).
        code_point: [0x110000] text of each code point of two bytes or more; a separator where it
            is invalid.
    """

    data: tuple[bytes, ...]
    texts: tuple[str, ...]
    plain: Int32Array
    rest: Int32Array
    lead: Int32Array
    lead_bits: Int32Array
    all_lead: Int32Array
    tail: Int32Array
    is_empty: Int32Array
    code_point: Int32Array

    def __len__(self) -> int:
        """How many tokens there are, the empty one not counted."""
        return len(self.data)


def pack_pending(prefix: bytes) -> int:
    """A valid but unfinished UTF-8 prefix as one integer, 0 for none."""
    if not prefix:
        return 0
    first = prefix[0]
    extra = 1 if first < 0xE0 else 2 if first < 0xF0 else 3
    bits = first & (0x1F, 0x0F, 0x07)[extra - 1]
    for byte in prefix[1:]:
        bits = bits << 6 | byte & 0x3F
    return bits | (extra - len(prefix) + 1) << MISSING_SHIFT | extra << EXTRA_SHIFT


def pending_after(data: bytes) -> int:
    """What is pending after some bytes, packed."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(data)
    return pack_pending(decoder.getstate()[0])


@lru_cache(maxsize=1)
def _folds() -> tuple[tuple[str, ...], Int32Array]:
    """Distinct folded forms of the code points that need two bytes or more, and who has which."""
    ids: dict[str, int] = {SEP: 0}
    owner = np.zeros(CODE_POINTS, np.int32)
    fold_once = fold.__wrapped__  # a sweep would only wash out the cache of common characters
    for code in range(0x80, CODE_POINTS):
        # Planes 4 to 13, 15 and 16 hold nothing assigned, so nothing but separators.
        if 0xD800 <= code <= 0xDFFF or 0x40000 <= code < 0xE0000 or code >= 0xF0000:
            continue
        text = folded(fold_once(chr(code)))[0]
        owner[code] = ids.setdefault(text, len(ids))
    return tuple(ids), owner


def symbol_vocabulary(vocabulary: Sequence[bytes]) -> SymbolVocabulary:
    """Cut and normalise the tokens of a vocabulary.

    Args:
        vocabulary: bytes of each token id, empty for tokens that add no text.
    """
    texts: dict[str, int] = {"": EMPTY_TEXT, SEP: SEP_TEXT}
    size = len(vocabulary)
    plain, rest, lead, all_lead, tail, is_empty = (np.zeros(size + 1, np.int32) for _ in range(6))
    lead_bits = np.zeros((size + 1, 4), np.int32)
    is_empty[size] = 1
    for token, data in enumerate(vocabulary):
        if not data:
            is_empty[token] = 1
            continue
        stray = 0
        while stray < len(data) and 0x80 <= data[stray] <= 0xBF:
            stray += 1
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = folded(decoder.decode(data[stray:]))[0]
        rest[token] = texts.setdefault(text, len(texts))
        if stray:
            text = folded(SEP + text)[0]
        plain[token] = texts.setdefault(text, len(texts))
        lead[token] = min(stray, MAX_LEAD)
        all_lead[token] = stray == len(data)
        tail[token] = pack_pending(decoder.getstate()[0])
        for count in range(1, min(stray, 3) + 1):
            lead_bits[token, count] = lead_bits[token, count - 1] << 6 | data[count - 1] & 0x3F
    forms, owner = _folds()
    of_form = np.array([texts.setdefault(form, len(texts)) for form in forms], np.int32)
    return SymbolVocabulary(
        data=tuple(vocabulary), texts=tuple(texts), plain=plain, rest=rest, lead=lead,
        lead_bits=lead_bits, all_lead=all_lead, tail=tail, is_empty=is_empty,
        code_point=of_form[owner],
    )  # fmt: skip
