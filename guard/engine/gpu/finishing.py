"""The kernel for rows whose text ends inside a code point: ``PhraseMatcher.penalise``'s other half.

What a token adds there depends on the bytes before it, so the tokens that can finish the code point
are judged one by one: letter by letter, all ends of the text before it at once. Work is dealt out
to a fixed number of programs, which return at once where nothing pends.
"""

import triton
import triton.language as tl

from guard.engine.gpu.advance import pieces
from guard.engine.gpu.lookup import (
    BASE,
    FLOATS,
    LETTER_LANES,
    LETTERS,
    OPENS_WITH_SEP,
    SEGMENT_FIELDS,
    SEP,
    STATE,
    WORD_LANES,
    WORDS,
    find,
    finish,
    held,
)

_ROWS = tl.constexpr(256)
# Tokens judged together.
_TOKENS = tl.constexpr(8)


@triton.jit
def _strongest(keys, asked, active, segments, n_segments):
    """[_TOKENS] the strongest penalty of the phrases with these keys, 0 for none."""
    strongest = tl.zeros([_TOKENS], tl.float32)
    for place in range(0, n_segments):
        segment = segments + place * SEGMENT_FIELDS
        penalty_at = tl.load(segment + 6).to(FLOATS)
        first, count = find(keys, asked, segment)
        for step in range(0, tl.max(count)):
            here = held(segment, first + step, step < count, active)
            penalty = tl.load(penalty_at + first + step, mask=here, other=0.0)
            strongest = tl.minimum(strongest, tl.min(penalty, axis=1))
    return strongest


@triton.jit
def _along(
    state, first, second, texts, values, factors, salts, active, segments, n_segments,
    AS_WORDS: tl.constexpr, LANES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """[_TOKENS] the strongest penalty of phrases that tokens complete, in one way of matching.

    Args:
        state: the row's window of this way of matching, ``WIDTH`` symbols.
        first, second: [_TOKENS] texts that the tokens add.
        texts: lengths and places of texts in this way of matching.
        factors, salts: [LANES] int64.
    """
    lane = tl.arange(0, LANES)
    exists = (lane > 0) & (lane <= WIDTH)
    symbols = tl.load(state + lane - 1, mask=exists, other=0)
    # [_TOKENS, LANES] hashes of the last 0, 1, 2, … symbols
    hashes = tl.cumsum(symbols * tl.load(factors + lane, mask=exists, other=0))[None, :]
    hashes = hashes + tl.zeros([_TOKENS, LANES], tl.int64)
    salts_here = tl.load(salts + lane)[None, :]
    moved = tl.zeros([_TOKENS, LANES], tl.int32) + tl.maximum(lane - 1, 0)[None, :]
    after_sep = tl.zeros([_TOKENS], tl.int32) + (tl.load(state) == SEP).to(tl.int32)
    begin = tl.load(texts + first * 4)
    length = tl.load(texts + first * 4 + 1) & (OPENS_WITH_SEP - 1)
    second_begin = tl.load(texts + second * 4)
    total = length + (tl.load(texts + second * 4 + 1) & (OPENS_WITH_SEP - 1))
    strongest = tl.zeros([_TOKENS], tl.float32)
    for step in range(0, tl.max(total)):
        there = step < total
        place = tl.where(step < length, begin + step, second_begin + step - length)
        symbol = tl.load(values + place, mask=there, other=0)
        if AS_WORDS:
            after = step + 1
            place = tl.where(after < length, begin + after, second_begin + after - length)
            following = tl.load(values + place, mask=after < total, other=SEP)
            is_sep = symbol == SEP
            adds = there & ((is_sep == 0) | (after_sep == 0))
            ends = there & (is_sep == 0) & (following == SEP)
            after_sep = tl.where(adds, is_sep.to(tl.int32), after_sep)
        else:
            adds = there
            ends = there
        # [_TOKENS, LANES] hashes of the last 1, 2, 3, … symbols
        longer = symbol[:, None] + hashes * BASE
        asked = ends[:, None] & (lane <= WIDTH)[None, :]
        keys = finish(longer + salts_here)
        strongest = tl.minimum(strongest, _strongest(keys, asked, active, segments, n_segments))
        shifted = tl.where(lane[None, :] == 0, 0, tl.gather(longer, moved, 1))
        hashes = tl.where(adds[:, None], shifted, hashes)
    return strongest


@triton.jit(
    do_not_specialize=[
        "logits_stride",
        "bundle",
        "active_stride",
        "n_lead",
        "n_segments",
        "n_rows",
    ],
    do_not_specialize_on_alignment=["logits", "slot_of_row"],
)
def finishing_kernel(
    logits,
    logits_stride,
    row_state,
    row_pending,
    slot_of_row,
    owner,
    bundle,
    active,
    active_stride,
    lead_tokens,
    n_lead,
    records,
    texts,
    letter_values,
    word_values,
    code_points,
    factors,
    salts,
    segments,
    n_segments,
    n_rows,
):
    """Penalise the tokens that can finish pending code points, in the rows of one bundle.

    Args:
        logits, row_state, row_pending, slot_of_row, owner, bundle, active, segments: as
            ``penalise_kernel`` takes them.
        lead_tokens: [n_lead] int64.
        records, texts, …: see ``guard.engine.gpu.tables``; ``salts`` are those of whole phrases.
    """
    rows = tl.arange(0, _ROWS)
    lanes = tl.arange(0, _TOKENS)
    program = tl.program_id(0)
    blocks = tl.cdiv(n_lead, _TOKENS)
    for base in range(0, n_rows, _ROWS):
        row = base + rows
        pends = tl.load(row_pending + row, mask=row < n_rows, other=0) > 0
        slot = tl.load(slot_of_row + row, mask=pends, other=0)
        pends = pends & (tl.load(owner + slot, mask=pends, other=-1) == bundle)
        rank = tl.cumsum(pends.to(tl.int32))
        for item in range(program, tl.max(rank) * blocks, tl.num_programs(0)):
            chosen = pends & (rank == item // blocks + 1)
            at = tl.sum(tl.where(chosen, row, 0)).to(tl.int64)
            targets = active + tl.sum(tl.where(chosen, slot, 0)).to(tl.int64) * active_stride
            state = row_state + at * STATE
            place = (item % blocks) * _TOKENS + lanes
            asked = place < n_lead
            token = tl.load(lead_tokens + place, mask=asked, other=0)
            pending = tl.load(row_pending + at)
            first, second = pieces(pending, token, asked, records, code_points)
            by_letters = _along(
                state, first, second, texts, letter_values, factors, salts, targets,
                segments, n_segments, False, LETTER_LANES, LETTERS,
            )  # fmt: skip
            by_words = _along(
                state + LETTERS, first, second, texts + 2, word_values, factors + LETTER_LANES,
                salts + LETTER_LANES, targets, segments, n_segments, True, WORD_LANES, WORDS,
            )  # fmt: skip
            penalty = tl.minimum(by_letters, by_words)
            lowered = asked & (penalty < 0)
            here = logits + at * logits_stride + token
            tl.store(here, tl.load(here, mask=lowered, other=0.0) + penalty, mask=lowered)
