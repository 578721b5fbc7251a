"""Which parts of a view read as text: what is sent to the sentence encoder, and no more.

No test of meaning, only of form, and cheap: bytes at random, hashes and pictures must not pass, and
a question must.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

import numpy as np
import numpy.typing as npt

from guard.context import Span
from guard.views.view import GAP, codes_of, said_within
from guard.views.words import is_common, words_of

# Letters of a sentence that must have been hidden for it to be looked at as hidden text.
_HIDDEN_LETTERS: Final = 6
# Of a stretch of its own.
_LEAST_LETTERS: Final = 10
# Characters; a shorter stretch must have a common word.
_SURE: Final = 24
_LETTERS: Final = re.compile(r"[^\W\d_]")
_LATIN: Final = re.compile(r"[A-Za-z]")
_VOWELS: Final = re.compile(r"[AEIOUYaeiouy]")
_TURNS: Final = re.compile(r"[a-z][A-Z]")
_SIGNS: Final = re.compile(r"[#$%&*+/<=>@\[\\\]^_`{|}~\x00-\x08\x0e-\x1f]")
_ASCII_LETTERS: Final = np.array([chr(code).isalpha() for code in range(128)])


def reads_as_text(text: str) -> bool:
    """Whether it is made of words: letters and spaces, with vowels, of a length that words have."""
    letters = _LETTERS.findall(text)
    if len(letters) < _LEAST_LETTERS or len(letters) + text.count(" ") < 0.75 * len(text):
        return False
    if len(_SIGNS.findall(text)) > 0.04 * len(text):
        return False
    latin = len(_LATIN.findall(text))
    others = Counter(_block(letter) for letter in letters if letter > "\u024f")
    if latin < len(letters) / 2:
        # Of one script; at random they would be of many.
        return max(others.values(), default=0) > 0.9 * (len(letters) - latin)
    if others.total() > 0.1 * len(letters):
        return False
    if not 0.2 * latin <= len(_VOWELS.findall(text)) <= 0.65 * latin:
        return False
    if len(letters) > 12 * len(text.split()) or len(_TURNS.findall(text)) > 0.08 * latin:
        return False
    return len(text) >= _SURE or any(is_common(word) for word in words_of(text))


def _block(letter: str) -> int:
    """Roughly the script of a letter; all of Han, kana and Hangul is one."""
    code = ord(letter)
    return 0x30 if 0x2E80 <= code <= 0xD7FF else code >> 8


def readable_stretches(text: str) -> list[Span]:
    """The stretches of a view, parted by ``GAP``, that read as text."""
    found: list[Span] = []
    start = 0
    for stretch in text.split(GAP):
        if reads_as_text(stretch):
            found.append(Span(start, start + len(stretch)))
        start += len(stretch) + 1
    return found


def sentences_with(
    text: str, new: npt.NDArray[np.bool_], least: int = _HIDDEN_LETTERS
) -> list[Span]:
    """The sentences that hold enough letters that were hidden.

    Args:
        new: [len(text)] bool, which characters were.
        least: how many letters are enough.
    """
    codes = codes_of(text)
    letters = new & ((codes > 0xBF) | _ASCII_LETTERS[np.minimum(codes, 127)])
    before = np.concatenate([[0], np.cumsum(letters)])
    if before[-1] < least:
        return []
    return [s for s in said_within(text) if before[s.end] - before[s.start] >= least]
