"""Base64 and hexadecimal digits, wherever in a text they stand and at whatever offset they begin.

A decoder that needs to know where an encoded stretch begins is evaded by a letter put before it.
So all digits are decoded at each offset at which a stretch can begin (four for base64, two for
hexadecimal), and of what comes out, the runs are kept that are well-formed UTF-8 and printable.
Bytes at random are so four times in ten: a dozen in a row are a text, or a rare accident.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from guard.views.view import GAP, View, codes_of

# Printable characters as UTF-8, six of them or more; written without any way back, to be linear.
_PLAIN: Final = rb"[\t\n\r\x20-\x7e]"
_WIDE: Final = (
    rb"[\xc3-\xdf][\x80-\xbf]|\xc2[\xa0-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]"
    rb"|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
# What is left of a character that the end of a stretch cuts in two.
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_SHORT: Final = 6
_RUN: Final = re.compile(
    rb"(?:" + _PLAIN + rb"|" + _WIDE + rb"){6}(?:" + _PLAIN + rb"++|" + _WIDE + rb")*+"
)
# Bytes. A shorter run counts only if it is all of a stretch that nothing is glued to.
_LONG: Final = 12

# Indices of decoded bytes, ascending, and the number of the run that each is of; [n] int64 each.
_Runs = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]

_TOKEN: Final = re.compile(rb"[A-Za-z0-9+/_-]+")
_ORDINARY: Final = re.compile(rb"[A-Z]?[a-z]{1,14}|[A-Z]{1,2}|[0-9]{1,2}")
_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
_HEX: Final = b"0123456789abcdefABCDEF"


@dataclass(frozen=True, slots=True)
class _Alphabet:
    """Attributes:
    between: bytes that may stand inside a stretch, by each of the ways to tell where it ends.
    bits: of each digit.
    """

    kind: str
    digits: bytes
    between: tuple[bytes, ...]
    bits: int
    offsets: int
    decode: Callable[[bytes], bytes]

    @property
    def others(self) -> bytes:
        return bytes(set(range(256)) - set(self.digits))

    def table(self, members: bytes) -> npt.NDArray[np.bool_]:
        """[256] bool."""
        table = np.zeros(256, np.bool_)
        table[list(members)] = True
        return table

    def digit_of(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """[n] int64, the first of the two digits that each byte, given by its place, is made of."""
        return places * 2 if self.bits == 4 else places // 3 * 4 + places % 3


def _from_base64(digits: bytes) -> bytes:
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    return binascii.a2b_base64(digits.translate(_TO_STANDARD) + b"=" * (-len(digits) % 4))


def _from_hex(digits: bytes) -> bytes:
    return binascii.unhexlify(digits[: len(digits) & ~1])


_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_ALPHABETS: Final = (
    # White space parts lines or blocks of one text, or the text from the words after it.
    _Alphabet("base64", _BASE64, (b" \t\r\n", b""), 6, 4, _from_base64),
    _Alphabet("hex", _HEX, (b" \t\r\n:,;.-_|/\"'[](){}<>&#\\",), 4, 2, _from_hex),
)
_TABLES: Final = {
    a.kind: (
        a.others,
        a.table(a.digits),
        [~a.table(a.digits + between) for between in a.between],
    )
    for a in _ALPHABETS
}
# What announces hexadecimal digits, less what may be read as one; as long as it was.
_PREFIXES: Final = ((b"0x", b"  "), (b"0X", b"  "), (b"\\x", b"  "), (b"#x", b"  "))


def decoded(view: View) -> Iterator[View]:
    """The readings of a text's digits, one for each alphabet and offset that has any.

    The stretches of a reading are parted by ``GAP``.
    """
    # A byte for each character; what has none is a question mark, which is no digit.
    raw = view.text.encode("latin-1", "replace")
    for alphabet in _ALPHABETS:
        marked = raw
        if alphabet.kind == "hex":
            for prefix, blank in _PREFIXES:
                marked = marked.replace(prefix, blank)
        yield from _of_alphabet(view, marked, alphabet)


def _of_alphabet(view: View, raw: bytes, alphabet: _Alphabet) -> Iterator[View]:
    others, is_digit, ends_stretch = _TABLES[alphabet.kind]
    digits = raw.translate(None, others)
    found = []
    for offset in range(min(alphabet.offsets, len(digits))):
        data = alphabet.decode(digits[offset:])
        runs = [match.span() for match in _RUN.finditer(data)]
        if runs:
            found.append((offset, data, np.array(runs, np.int64)))
    if not found:
        return
    codes = np.frombuffer(raw, np.uint8)
    places = np.flatnonzero(is_digit[codes])  # of each digit, its place in the text
    # And the number of its stretch, in each of the ways.
    marks = [ends[codes] for ends in ends_stretch]
    if alphabet.kind == "base64":
        marks[0][_around_words(raw)] = True
    stretches = [np.cumsum(ends, dtype=np.int64)[places] for ends in marks]
    for offset, data, spans in found:
        ways = [_whole(alphabet, offset, spans, places, stretch) for stretch in stretches]
        for way, (kept, run) in enumerate(ways):
            if len(kept) and not (way and _alike(ways[0], ways[way])):
                yield _read(view, alphabet, offset, data, places, kept, run)


def _around_words(raw: bytes) -> list[int]:
    """Where white space parts a stretch of base64 from the words around it.

    A block of base64 may look like a word by chance; two in a row, or one at an end, are words.
    """
    tokens = [
        (match.start(), match.end(), _ORDINARY.fullmatch(match[0]) is not None)
        for match in _TOKEN.finditer(raw)
    ]
    found: list[int] = []
    for place, (start, end, ordinary) in enumerate(tokens):
        if not ordinary:
            continue
        before = tokens[place - 1] if place else (0, -1, True)
        after = tokens[place + 1] if place + 1 < len(tokens) else (-1, 0, True)
        first = start == 0 or not raw[before[1] : start].isspace()
        last = end == len(raw) or not raw[end : after[0]].isspace()
        if first or last or before[2] or after[2]:
            found += [each for each in (start - 1, end) if 0 <= each < len(raw)]
    return [each for each in found if raw[each : each + 1].isspace()]


def _alike(one: _Runs, other: _Runs) -> bool:
    """Whether two ways keep the same bytes, in the same runs."""
    return all(
        np.array_equal(left, right)
        for left, right in zip(
            (one[0], np.diff(one[1])), (other[0], np.diff(other[1])), strict=True
        )
    )


def _read(
    view: View,
    alphabet: _Alphabet,
    offset: int,
    data: bytes,
    places: npt.NDArray[np.int64],
    kept: npt.NDArray[np.int64],
    run: npt.NDArray[np.int64],
) -> View:
    """The view that some of the decoded bytes make."""
    # The runs' bytes, a gap before each run but the first.
    opens = np.flatnonzero(np.diff(run)) + 1
    joined = np.insert(np.frombuffer(data, np.uint8)[kept], opens, ord(GAP)).tobytes()
    made_of = np.insert(kept, opens, kept[opens])
    text = joined.decode("utf-8", "surrogateescape")
    first, last = _characters(text)
    digit = offset + alphabet.digit_of(made_of)
    return view.picked(
        _SURROGATE.sub("\ufffd", text),
        alphabet.kind,
        places[digit[first]].astype(np.int32),
        places[digit[last] + 1].astype(np.int32),
    )


def _whole(
    alphabet: _Alphabet,
    offset: int,
    runs: npt.NDArray[np.int64],
    places: npt.NDArray[np.int64],
    stretch: npt.NDArray[np.int64],
) -> _Runs:
    """The bytes of runs that are long enough after they were cut where a stretch ends.

    Args:
        runs: [n, 2] int64, begin and end of each in the decoded bytes.

    Returns:
        [m] int64 indices of bytes, ascending, and [m] int64 the run that each is of.
    """
    sizes = runs[:, 1] - runs[:, 0]
    before = np.cumsum(sizes) - sizes
    byte = np.arange(sizes.sum()) + np.repeat(runs[:, 0] - before, sizes)
    digit = offset + alphabet.digit_of(byte)
    one = stretch[digit] == stretch[digit + 1]
    byte, digit = byte[one], digit[one]
    if not len(byte):
        return byte, byte
    # One more where bytes are left out between, and where a stretch ends.
    number = np.cumsum(np.diff(byte, prepend=byte[0]) > 1) * np.int64(1)
    number += np.cumsum(np.diff(stretch[digit], prepend=stretch[digit[0]]) > 0)
    _, run, size = np.unique(number, return_inverse=True, return_counts=True)
    opens = np.cumsum(size) - size
    first, last = digit[opens], digit[opens + size - 1] + 1
    alone = _apart(places, first - 1, first) & _apart(places, last, last + 1)
    if alphabet.kind == "base64":  # words are digits too, so that more is asked
        alone &= places[last] - places[first] == last - first
    good = (size >= _LONG) | ((size >= _SHORT) & alone)
    number = np.cumsum(good) - 1
    return byte[good[run]], number[run[good[run]]]


def _apart(
    places: npt.NDArray[np.int64], left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """[n] bool, whether two neighbouring digits do not touch, or one of them does not exist."""
    exist = (left >= 0) & (right < len(places))
    inside = np.where(exist, left, 0)
    gap = places[np.minimum(inside + 1, len(places) - 1)] - places[inside]
    touching: npt.NDArray[np.bool_] = exist & (gap <= 1)
    return ~touching


def _characters(text: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """[len(text)] int64 each: the first and the last byte of each character.

    The text was decoded with ``surrogateescape``: a lone surrogate is one byte.
    """
    codes = codes_of(text)
    size = 1 + (codes >= 0x80) + (codes >= 0x800) + (codes >= 0x10000).astype(np.int64)
    size[(codes >= 0xDC80) & (codes <= 0xDCFF)] = 1
    after = np.cumsum(size)
    return after - size, after - 1
