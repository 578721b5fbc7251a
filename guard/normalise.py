"""The one normalisation of the project: what two texts must share to count as the same words.

Every matcher (engine, output scanner, aliases, phrase extraction) works on this form, so that a
phrase found by one is found by all. The map is a homomorphism on code points followed by the
folding of separator runs: each code point contributes its own folded form whatever surrounds it.
That is what lets the engine normalise tokens once, ahead of time, and join the results.

Folding of one code point, in this order:

* compatibility decomposition and case folding (Unicode NFKD, ``str.casefold``);
* the dotless i of Turkish becomes i, since its capital is I;
* accents and other reordering marks are dropped, as are zero-width and default-ignorable
  characters;
* letters, digits and spacing vowel signs stay;
* letters of scripts written without spaces (Han, kana, Thai, Lao, Khmer, Myanmar) become words of
  their own, so that phrase boundaries exist in them;
* everything else (space, punctuation, symbols, markdown) is a separator.
"""

from __future__ import annotations

import codecs
import unicodedata
from functools import lru_cache
from typing import Final

from guard.folding import Folding

SEP: Final = " "

# Letters by category that render as nothing; the rest of Default_Ignorable_Code_Point is Cf or Mn.
_BLANK_LETTERS: Final = frozenset("\u115f\u1160\u17b4\u17b5\u3164\uffa0")
_DOTLESS: Final = "\u0131"
# Canonical combining classes of marks that carry meaning: none (vowel signs) and virama.
_KEPT_MARK_CLASSES: Final = frozenset({0, 9})
_UNSPACED: Final = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana extensions
    (0x3400, 0x9FFF),  # Han and extension A
    (0xF900, 0xFAFF),  # Han compatibility
    (0x20000, 0x3FFFF),  # Han extensions
)


def _is_unspaced(code: int) -> bool:
    return any(low <= code <= high for low, high in _UNSPACED)


def _is_variation_selector(code: int) -> bool:
    return 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF or 0x180B <= code <= 0x180F


def _fold_decomposed(char: str) -> str:
    """Fold one already decomposed and case-folded code point."""
    category = unicodedata.category(char)
    code = ord(char)
    if category == "Cf" or char in _BLANK_LETTERS or char == "\u034f":
        return ""
    if category[0] == "M":
        if _is_variation_selector(code) or category == "Me":
            return ""
        if unicodedata.combining(char) not in _KEPT_MARK_CLASSES:
            return ""
        return char
    if category[0] in "LN":
        return f"{SEP}{char}{SEP}" if _is_unspaced(code) else char
    return SEP


@lru_cache(maxsize=1 << 16)
def fold(char: str) -> str:
    """The folded form of one code point: empty, ``" "``, or letters (possibly between spaces)."""
    # Case folding can yield new compatibility characters and the reverse (Unicode D145), so twice.
    text = unicodedata.normalize("NFKD", char).casefold()
    text = unicodedata.normalize("NFKD", text).casefold().replace(_DOTLESS, "i")
    return "".join(_fold_decomposed(c) for c in text)


_FOLDED: Final = Folding(fold)


def folded(text: str) -> tuple[str, list[int]]:
    """Normalised text with the source position of each of its characters.

    Returns:
        The text with separator runs folded to one space (outer ones kept), and for each of its
        characters the index in ``text`` of the code point it came from. For a separator that is
        the first code point of its run.
    """
    out: list[str] = []
    offsets: list[int] = []
    last = ""
    for index, char in enumerate(text):
        for symbol in fold(char):
            if symbol == SEP and last == SEP:
                continue
            out.append(symbol)
            offsets.append(index)
            last = symbol
    return "".join(out), offsets


def normalise(text: str) -> str:
    """Normalised text with separator runs folded to one space and none at the ends."""
    # What is left of white space are separators.
    return SEP.join(text.translate(_FOLDED).split())


def fold_bytes(data: bytes) -> str:
    """Folded form of UTF-8 bytes with separator runs collapsed; the slow oracle for tokens.

    Bytes that cannot be part of any code point count as a separator (they decode to U+FFFD); an
    unfinished code point at the very end counts as nothing, since its missing bytes may follow.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return folded(decoder.decode(data))[0]
