"""The kernel that penalises what the ends of texts forbid: ``PhraseMatcher.penalise``.

All programs of a row share the entries of its ends. What is forbidden outright is stored at once.
Of finite penalties the strongest must hold, once, whoever finds it; so the first launch only notes
the strongest of each token, and a second one goes the same way, takes what it finds noted, and adds
it. Tokens that can finish a pending code point are left to ``guard.engine.gpu.finishing``.
"""

import triton
import triton.language as tl

from guard.engine.gpu.lookup import (
    FLOATS,
    INTS,
    LEAD_MASK,
    LETTER_LANES,
    LETTERS,
    RECORD,
    SEGMENT_FIELDS,
    SEP,
    STATE,
    WORDS,
    find,
    finish,
    held,
)

# Lanes for the ends of a row's text: of its letters, then of its words.
END_LANES = tl.constexpr(128)
_ENTRIES = tl.constexpr(128)
# Longer ranges of tokens are spread over lanes, shorter ones belong to one lane each.
_SHORT = tl.constexpr(8)
_TOKENS = tl.constexpr(1024)


@triton.jit
def _end_keys(state, waits, factors, salts):
    """Keys of the ends of one text's letters (of 0, 1, 2, … of them), then of its words.

    Args:
        state: the row's.
        waits: 1 where a code point is pending, which then reads as a separator.
        factors, salts: [END_LANES] int64, see ``guard.engine.gpu.tables``.
    """
    lane = tl.arange(0, END_LANES)
    is_word = lane >= LETTER_LANES
    length = tl.where(is_word, lane - LETTER_LANES, lane)
    adds_sep = waits * (tl.load(state + LETTERS) != SEP).to(tl.int32)
    place = length - 1 - tl.where(is_word, adds_sep, 0)
    exists = (place >= 0) & (length <= tl.where(is_word, WORDS, LETTERS))
    symbol = tl.load(state + tl.where(is_word, LETTERS + place, place), mask=exists, other=0)
    symbol = tl.where(is_word & (length == adds_sep), SEP, symbol)
    terms = symbol * tl.load(factors + lane)
    of_letters = tl.sum(tl.where(is_word, 0, terms))
    hashes = tl.cumsum(terms) - tl.where(is_word, of_letters, 0)
    return finish(hashes + tl.load(salts + lane)), lane <= LETTER_LANES + WORDS


@triton.jit
def _touch(token, mask, penalty, waits, logits, records, noted, SETTLES: tl.constexpr):
    """Do to some tokens of one row what this launch does."""
    asks = mask & (tl.zeros_like(token) < waits)
    lead = tl.load(records + token * RECORD + 2, mask=asks, other=0) & LEAD_MASK
    mask = mask & (lead == 0)
    if SETTLES:
        nothing = tl.zeros_like(token).to(tl.int32)
        size = tl.atomic_xchg(noted + token, nothing, mask=mask, sem="relaxed")
        lowered = mask & (size > 0)
        logit = tl.load(logits + token, mask=lowered, other=0.0)
        tl.store(logits + token, logit - size.to(tl.float32, bitcast=True), mask=lowered)
    else:
        forbidden = penalty == float("-inf")
        tl.store(logits + token, float("-inf"), mask=mask & forbidden)
        # The bits of floats that are not negative are in the same order as the floats.
        size = (-penalty).to(tl.int32, bitcast=True)
        tl.atomic_max(noted + token, size, mask=mask & (forbidden == 0), sem="relaxed")


@triton.jit
def _visit(
    first,
    count,
    part,
    parts,
    waits,
    logits,
    active,
    order,
    records,
    noted,
    segment,
    SETTLES: tl.constexpr,
):
    """Go through the entries of one key.

    Args:
        first, count: its entries.
        part, parts: which share of the work to do.
    """
    low_at = tl.load(segment + 3).to(INTS)
    high_at = tl.load(segment + 4).to(INTS)
    penalty_at = tl.load(segment + 6).to(FLOATS)
    lane = tl.arange(0, _ENTRIES)
    wide = tl.arange(0, _TOKENS)
    # Of few entries the long ranges are shared, of many the entries.
    share_tokens = count <= _ENTRIES
    begin = tl.where(share_tokens, 0, part * _ENTRIES)
    first_token = tl.where(share_tokens, part * _TOKENS, 0)
    token_step = tl.where(share_tokens, parts * _TOKENS, _TOKENS)
    does_short = ((share_tokens == 0) | (part == 0)).to(tl.int32)
    for base in range(begin, count, parts * _ENTRIES):
        here = base + lane < count
        entry = first + base + lane
        penalty = tl.load(penalty_at + entry, mask=here, other=0.0)
        wanted = penalty < 0
        if SETTLES:
            wanted = wanted & (penalty > float("-inf"))
        wanted = held(segment, entry, wanted, active)
        low = tl.load(low_at + entry, mask=wanted, other=0)
        length = tl.load(high_at + entry, mask=wanted, other=0) - low
        short = tl.where(length <= _SHORT, length, 0)
        for step in range(0, tl.max(short) * does_short):
            mask = step < short
            token = tl.load(order + low + step, mask=mask, other=0)
            _touch(token, mask, penalty, waits, logits, records, noted, SETTLES)
        is_long = length > _SHORT
        rank = tl.cumsum(is_long.to(tl.int32))
        for which in range(1, tl.max(rank) + 1):
            chosen = is_long & (rank == which)
            from_place = tl.sum(tl.where(chosen, low, 0))
            tokens = tl.sum(tl.where(chosen, length, 0))
            of_range = tl.min(tl.where(chosen, penalty, 0.0))
            for at in range(first_token, tokens, token_step):
                mask = at + wide < tokens
                token = tl.load(order + from_place + at + wide, mask=mask, other=0)
                same = tl.zeros([_TOKENS], tl.float32) + of_range
                _touch(token, mask, same, waits, logits, records, noted, SETTLES)


@triton.jit(
    do_not_specialize=[
        "logits_stride",
        "first_row",
        "bundle",
        "active_stride",
        "noted_stride",
        "n_segments",
        "parts",
    ],
    do_not_specialize_on_alignment=["logits", "slot_of_row"],
)
def penalise_kernel(
    logits,
    logits_stride,
    first_row,
    row_state,
    row_pending,
    slot_of_row,
    owner,
    bundle,
    active,
    active_stride,
    order,
    records,
    factors,
    salts,
    segments,
    n_segments,
    noted,
    noted_stride,
    parts,
    SETTLES: tl.constexpr,
):
    """Penalise some rows of one bundle; the grid is so many rows by ``parts``.

    Args:
        logits: [rows, logits_stride] float32, changed.
        first_row: where the rows begin.
        row_state, row_pending: of ``guard.engine.gpu.advance``.
        slot_of_row: [rows] int64 request slot.
        owner: [slots] int32; rows of other bundles than ``bundle`` are left alone.
        active: [slots, active_stride] bool, targets that hold.
        order: [m] int64 token ids, as segments' ranges count them.
        records, factors, salts, segments: see ``guard.engine.gpu.tables``.
        noted: [grid's rows, noted_stride] int32, between the two launches the size of the strongest
            finite penalty of each token, as the bits of a float32; all 0 before and after.
        SETTLES: False in the first launch, True in the second, which finite penalties alone need.
    """
    place = tl.program_id(0).to(tl.int64)
    row = first_row + place
    part = tl.program_id(1)
    slot = tl.load(slot_of_row + row).to(tl.int64)
    if tl.load(owner + slot) != bundle:
        return
    waits = (tl.load(row_pending + row) > 0).to(tl.int32)
    keys, asked = _end_keys(row_state + row * STATE, waits, factors, salts)
    logits += row * logits_stride
    active += slot * active_stride
    noted += place * noted_stride
    for number in range(0, n_segments):
        segment = segments + number * SEGMENT_FIELDS
        first, count = find(keys, asked, segment)
        some = count > 0
        rank = tl.cumsum(some.to(tl.int32))
        for which in range(1, tl.max(rank) + 1):
            chosen = some & (rank == which)
            _visit(
                tl.sum(tl.where(chosen, first, 0)),
                tl.sum(tl.where(chosen, count, 0)),
                part,
                parts,
                waits,
                logits,
                active,
                order,
                records,
                noted,
                segment,
                SETTLES,
            )
