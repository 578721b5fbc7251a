"""The loop of a step that keeps answers from repeating protected texts.

It does what ``VerbatimMatcher.penalise`` does, but for rows that a code point is pending in, which
it leaves alone. Shorter runs are looked up here at two places of a text, not at one, so that fewer
texts are taken for near a protected one that are not.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from guard.engine.cpu.compiled import (
    BoolArray,
    UInt64Array,
    compiled,
    finish,
    unsigned,
)
from guard.engine.cpu.phrases import Rows, remember, waits
from guard.engine.windows import STATE_WIDTH
from guard.hashing import Int64Array, inverse_powers, powers
from guard.verbatim import (
    BEGINNING,
    FORBIDDEN,
    LOW_32,
    MAX_WORDS,
    MIDDLE,
    PROBE_SALTS,
    PROBES,
    ROLES,
)

_ROLES: Final = len(ROLES)
_PROBES: Final = np.array(PROBES, np.int64)
_PROBE_SALTS: Final = unsigned(np.array(PROBE_SALTS, np.int64))
_LOW_32: Final = np.uint64(LOW_32)
_32: Final = np.uint64(32)
_NONE: Final = np.uint64(0)
_OPEN: Final = STATE_WIDTH
# Beyond the longest run, hashes are those of the text's own words, and this counts nothing.
_POWERS: Final = unsigned(powers(MAX_WORDS + 2))
_INVERSE: Final = unsigned(inverse_powers(MAX_WORDS + 1))


class Filters(NamedTuple):
    """Protected texts, see ``guard.engine.verbatim``.

    Attributes:
        bits: [bytes] uint8 of all filters.
        first, size: [F * roles] first byte, and number of bits, of each part.
        target: [F].
        length, salt: [F, roles].
    """

    bits: npt.NDArray[np.uint8]
    first: Int64Array
    size: UInt64Array
    target: Int64Array
    length: Int64Array
    salt: UInt64Array


class Endings(NamedTuple):
    """Where words end in what tokens add, see ``guard.engine.wordends``.

    Attributes:
        joins, place: [G] of each group: whether its texts go on with an open word, and how many of
            their words end up to there.
        begin: [G + 1] where its members begin in the following.
        text, first, factor, whole, rest: [E].
        alone: [L, E] for each length that the filters' runs have.
        alone_of: [F] which of them a filter's is.
        first_token, tokens: [T + 1], [m] the tokens of each text.
        told: up to this place, shorter runs stand before the text.
    """

    joins: BoolArray
    place: Int64Array
    begin: Int64Array
    text: Int64Array
    first: UInt64Array
    factor: UInt64Array
    whole: UInt64Array
    rest: UInt64Array
    alone: UInt64Array
    alone_of: Int64Array
    first_token: Int64Array
    tokens: Int64Array
    told: int


@compiled
def _holds(filters: Filters, number: int, role: int, value: np.uint64) -> bool:
    """Whether a filter holds the run of an unfinished hash."""
    key = finish(value + filters.salt[number, role])
    part = number * _ROLES + role
    first, size = filters.first[part], filters.size[part]
    for probe in range(_PROBES[role]):
        mixed = finish(key + _PROBE_SALTS[probe]) if probe else key
        place = np.int64(((mixed & _LOW_32) * size) >> _32)
        if not filters.bits[first + (place >> 3)] >> (place & 7) & 1:
            return False
    return True


@compiled
def _is_near(filters: Filters, number: int, role: int, before: UInt64Array) -> bool:
    """Whether the last words may be a run that comes before a forbidden one's end.

    Args:
        before: [MAX_WORDS + 1] hashes of the last 0, 1, 2, … words.
    """
    middle, length = filters.length[number, MIDDLE], filters.length[number, role]
    if not _holds(filters, number, MIDDLE, before[middle]):
        return False
    if role == MIDDLE:
        return True
    # All parts of a corpus's run are the corpus's.
    earlier = (before[length] - before[length - middle]) * _INVERSE[length - middle]
    return _holds(filters, number, MIDDLE, earlier) and _holds(
        filters, number, role, before[length]
    )


@compiled
def protect(rows: Rows, filters: Filters, endings: Endings) -> None:
    """Ban every token that would complete a run which an active target forbids."""
    before = np.zeros(MAX_WORDS + 1, np.uint64)
    for row in range(len(rows.place) if len(filters.target) else 0):
        if waits(rows, row):
            continue
        base, open_word = rows.place[row] * rows.stride, rows.state[row, _OPEN]
        for joins in (True, False):
            ended = 1 if open_word != _NONE and not joins else 0
            if ended:
                before[1] = finish(open_word)
            for count in range(ended, MAX_WORDS):
                word = rows.state[row, _OPEN + 1 + count - ended]
                before[count + 1] = before[count] + word * _POWERS[count]
            for number in range(len(filters.target)):
                if not rows.active[row, filters.target[number]]:
                    continue
                length = filters.length[number, FORBIDDEN]
                near = _is_near(filters, number, MIDDLE, before)
                for group in range(len(endings.place)):
                    place = endings.place[group]
                    if endings.joins[group] != joins or (place <= endings.told and not near):
                        continue
                    if place == 1 and not _is_near(filters, number, BEGINNING, before):
                        continue
                    known = before[max(length - place, 0)] * _POWERS[min(place, MAX_WORDS + 1)]
                    scale = _POWERS[min(place - 1, MAX_WORDS + 1)]
                    for end in range(endings.begin[group], endings.begin[group + 1]):
                        word = endings.whole[end]
                        if joins:
                            word = finish(open_word * endings.factor[end] + endings.first[end])
                        value = known + word * scale + endings.rest[end]
                        if place > length:
                            value = endings.alone[endings.alone_of[number], end]
                        if not _holds(filters, number, FORBIDDEN, value):
                            continue
                        text = endings.text[end]
                        for at in range(endings.first_token[text], endings.first_token[text + 1]):
                            token = endings.tokens[at]
                            remember(rows, row, token, rows.logits[base + token])
                            rows.logits[base + token] = -np.inf


def nothing_protected() -> tuple[Filters, Endings]:
    """For a bundle without protected texts."""
    longs, some, bools = np.zeros(1, np.int64), np.zeros(1, np.uint64), np.zeros(0, np.bool_)
    no_table, no_hashes = np.zeros((0, len(ROLES)), np.int64), np.zeros((0, 1), np.uint64)
    filters = Filters(np.zeros(1, np.uint8), longs, some, longs[:0], no_table, no_hashes)
    return filters, Endings(
        bools, longs, longs, longs, some, some, some, some, no_hashes, longs, longs, longs, 0
    )
