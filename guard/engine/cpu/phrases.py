"""The loops of a step that penalise what phrases forbid, and keep words apart.

They do what ``PhraseMatcher.penalise`` and ``WordBoundaries`` do, but for rows that a code point is
pending in, which they leave alone. What a row would have said is not looked for: of what is
penalised, the likeliest is remembered, and only if nothing left is likelier was it the best. That
is mostly seen at once.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from guard.engine.boundary import REOPENING
from guard.engine.cpu.compiled import (
    BoolArray,
    Float32Array,
    Int32Array,
    UInt64Array,
    compiled,
    finish,
)
from guard.engine.windows import LETTERS_WIDTH, SEP_VALUE, STATE_WIDTH
from guard.hashing import Int64Array

_REOPENING: Final = np.float32(REOPENING)
_SEP: Final = np.uint64(SEP_VALUE)
_NONE: Final = np.uint64(0)
_3: Final = np.uint64(3)
_7: Final = np.uint64(7)


class Ends(NamedTuple):
    """How the ends of texts are hashed: [n], as ``guard.engine.matcher.EndKeys`` has it."""

    factors: UInt64Array
    letter_salts: UInt64Array
    word_salts: UInt64Array


class Phrases(NamedTuple):
    """A segment as a bundle uses it, see ``guard.engine.matcher.BoundSegment``.

    Attributes:
        sieve, sieve_shift: see ``guard.engine.keytable.Sieve``.
    """

    sieve: npt.NDArray[np.uint8]
    sieve_shift: np.uint64
    keys: UInt64Array
    directory: Int64Array
    shift: np.uint64
    offset: Int64Array
    low: Int32Array
    high: Int32Array
    target: Int32Array
    penalty: Float32Array
    slots: Int64Array


class Found(NamedTuple):
    """Room for what a step finds: [n] int64 flat places of logits, [n] float32 what they become."""

    place: Int64Array
    value: Float32Array


class Everywhere(NamedTuple):
    """What rows must not say wherever their texts stand; a token once a row.

    Long for many phrases, and the same at every step: all that begins a phrase is in it.

    Attributes:
        row: [m] int64 index into the rows.
        token: [m] int64.
        penalty: [m] float32.
    """

    row: Int64Array
    token: Int64Array
    penalty: Float32Array


class Tops(NamedTuple):
    """The likeliest token of each row that was penalised.

    Attributes:
        logit: [B] what it was before.
        token: [B] the first where several tie; -1 for none.
    """

    logit: Float32Array
    token: Int64Array


class Rows(NamedTuple):
    """The rows of one step.

    Attributes:
        logits: flat, ``stride`` apart.
        place: [B] where each row is among them.
        state: [B, READER_WIDTH] after the text so far.
        active: [B, n_slots].
    """

    logits: Float32Array
    stride: int
    place: Int64Array
    state: UInt64Array
    active: BoolArray
    tops: Tops


def room(size: int) -> Found:
    """Room for so many penalties."""
    return Found(np.zeros(size, np.int64), np.zeros(size, np.float32))


def no_tops(rows: int) -> Tops:
    """Where nothing is penalised yet."""
    return Tops(np.full(rows, -np.inf, np.float32), np.full(rows, -1, np.int64))


def no_rows() -> Rows:
    """None at all."""
    states, active = np.zeros((0, 1), np.uint64), np.zeros((0, 1), np.bool_)
    return Rows(np.zeros(1, np.float32), 0, np.zeros(0, np.int64), states, active, no_tops(0))


@compiled
def waits(rows: Rows, row: int) -> bool:
    """Whether a code point is pending at the end of a row's text."""
    return bool(rows.state[row, STATE_WIDTH - 1])


@compiled
def remember(rows: Rows, row: int, token: int, logit: float) -> None:
    """That a token is penalised, which has had this logit, or less since."""
    best = rows.tops.logit[row]
    if logit > best or (logit == best and token < rows.tops.token[row]):
        rows.tops.logit[row] = logit
        rows.tops.token[row] = token


@compiled
def _lowered(logit: float, penalty: float) -> float:
    # What is forbidden is forbidden, even where a broken model gives no number.
    return penalty if penalty == -np.inf else logit + penalty


@compiled
def note(
    rows: Rows,
    ends: Ends,
    phrases: Phrases,
    order: Int64Array,
    found: Found,
    filled: int,
    with_empty: bool,
) -> int:
    """What the ends of texts forbid, by the phrases of one segment, and what it makes of logits.

    Args:
        rows: their logits are left as they are.
        order: [m] token ids, as ranges count them.
        found: written from ``filled`` on; a token may be found more than once.
        with_empty: whether the empty ends count, which all texts have.

    Returns:
        How much of ``found`` is filled then, or -1 if it has not room enough.
    """
    for row in range(len(rows.place)):
        if waits(rows, row):
            continue
        base = rows.place[row] * rows.stride
        for by_words in range(2):
            begin = LETTERS_WIDTH if by_words else 0
            salts = ends.word_salts if by_words else ends.letter_salts
            value = _NONE
            for length in range(len(salts)):
                if length:
                    symbol = rows.state[row, begin + length - 1]
                    # No phrase reaches beyond the beginning of the text.
                    if symbol == _NONE:
                        break
                    value += symbol * ends.factors[length - 1]
                elif not with_empty:
                    continue
                key = finish(value + salts[length])
                bit = key >> phrases.sieve_shift
                if not (phrases.sieve[np.int64(bit >> _3)] >> np.uint8(bit & _7)) & 1:
                    continue
                bucket = np.int64(key >> phrases.shift)
                place, beyond = phrases.directory[bucket], phrases.directory[bucket + 1]
                while place < beyond and phrases.keys[place] != key:
                    place += 1
                if place == beyond:
                    continue
                for entry in range(phrases.offset[place], phrases.offset[place + 1]):
                    slot = phrases.slots[phrases.target[entry]]
                    if slot < 0 or not rows.active[row, slot]:
                        continue
                    low, high = phrases.low[entry], phrases.high[entry]
                    if filled + high - low > len(found.place):
                        return -1
                    for at in range(low, high):
                        token = order[at]
                        logit = rows.logits[base + token]
                        found.place[filled] = base + token
                        found.value[filled] = _lowered(logit, phrases.penalty[entry])
                        filled += 1
                        remember(rows, row, token, logit)
    return filled


@compiled
def settle(rows: Rows, everywhere: Everywhere, found: Found, filled: int) -> None:
    """Lower what must not be said anywhere, then what was found; the strongest penalty holds."""
    logits = rows.logits
    for each in range(len(everywhere.row)):
        row, token = everywhere.row[each], everywhere.token[each]
        if waits(rows, row):
            continue
        place = rows.place[row] * rows.stride + token
        remember(rows, row, token, logits[place])
        logits[place] = _lowered(logits[place], everywhere.penalty[each])
    for each in range(filled):
        place = found.place[each]
        if not found.value[each] >= logits[place]:
            logits[place] = found.value[each]


@compiled
def keep_words(rows: Rows, goes_on: BoolArray) -> None:
    """Lower what would go on with a finished word, where the best token was penalised.

    Forgets what was penalised.

    Args:
        goes_on: [V], see ``WordBoundaries``.
    """
    logits = rows.logits
    for row in range(len(rows.place)):
        best, was = rows.tops.token[row], rows.tops.logit[row]
        rows.tops.token[row], rows.tops.logit[row] = -1, -np.inf
        if best < 0 or goes_on[best] or rows.state[row, LETTERS_WIDTH] in (_SEP, _NONE):
            continue
        base = rows.place[row] * rows.stride
        is_left = False
        for token in range(len(goes_on)):
            logit = logits[base + token]
            if logit > was or (logit == was and token < best):
                is_left = True
                break
        if not is_left:
            for token in range(len(goes_on)):
                if goes_on[token]:
                    logits[base + token] += _REOPENING
