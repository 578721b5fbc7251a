"""The kernel that reads tokens into states: ``TextWindows.advance`` for rows as vLLM lays them out.

A request owns a row of logits, and one more for each draft token. The program of its first row
reads the tokens that were committed since the last step, and then the drafts, one row after
another, so that nobody else touches the request's state. A text that has not been read at all, or
not for long, is read from its end, as far back as can matter.
"""

import triton
import triton.language as tl

from guard.engine.gpu.lookup import (
    ALL_LEAD,
    IS_EMPTY,
    LEAD_MASK,
    LETTER_LANES,
    LETTERS,
    OPENS_WITH_SEP,
    RECORD,
    SEP,
    STATE,
    WORD_LANES,
    WORDS,
)
from guard.engine.symbols import EMPTY_TEXT, EXTRA_SHIFT, MISSING_SHIFT, SEP_TEXT
from guard.engine.windows import ENOUGH_LETTERS_READ

_MISSING = tl.constexpr(MISSING_SHIFT)
_EXTRA = tl.constexpr(EXTRA_SHIFT)
_BITS = tl.constexpr((1 << MISSING_SHIFT) - 1)
_BEYOND_UNICODE = tl.constexpr(0x110000)
_EMPTY_TEXT = tl.constexpr(EMPTY_TEXT)
_SEP_TEXT = tl.constexpr(SEP_TEXT)
_ENOUGH = tl.constexpr(ENOUGH_LETTERS_READ)
# Tokens loaded at a time.
_BLOCK = tl.constexpr(64)
# So many unread tokens are read one by one without asking how many of them can matter.
_FEW = tl.constexpr(16)


@triton.jit
def pieces(pending, token, asked, records, code_points):
    """``TextWindows.pieces``: two texts for each token after a pending code point.

    Args:
        pending: int64 scalar.
        token: int64.
        asked: bool, which tokens count.

    Returns:
        First and second text, int32.
    """
    pending += tl.zeros_like(token)
    record = records + token * RECORD
    plain = tl.load(record, mask=asked, other=_EMPTY_TEXT)
    rest = tl.load(record + 1, mask=asked, other=_EMPTY_TEXT)
    flags = tl.load(record + 2, mask=asked, other=IS_EMPTY)
    missing = (pending >> _MISSING) & 3
    extra = pending >> _EXTRA
    lead = (flags & LEAD_MASK).to(tl.int64)
    pends = pending > 0
    finishes = pends & (lead >= missing)
    all_lead = (flags & ALL_LEAD) != 0
    waits = ((flags & IS_EMPTY) != 0) | (pends & (finishes == 0) & all_lead)
    bits = tl.load(record + 4 + missing, mask=asked & pends, other=0).to(tl.int64)
    code = ((pending & _BITS) << (6 * missing)) | bits
    smallest = tl.where(extra == 1, 0x80, tl.where(extra == 2, 0x800, 0x10000))
    valid = finishes & (code >= smallest) & (code < _BEYOND_UNICODE)
    finished = tl.load(code_points + code, mask=asked & valid, other=_SEP_TEXT)
    broken = tl.where(pends & (waits == 0), _SEP_TEXT, _EMPTY_TEXT)
    first = tl.where(finishes, finished, broken)
    second = tl.where(finishes & (lead == missing), rest, plain)
    return first, tl.where(waits, _EMPTY_TEXT, second)


@triton.jit
def _pending_after(pending, token, records):
    """``TextWindows.pending_after`` of one token."""
    record = records + token * RECORD
    flags = tl.load(record + 2)
    tail = tl.load(record + 3).to(tl.int64)
    missing = (pending >> _MISSING) & 3
    lead = (flags & LEAD_MASK).to(tl.int64)
    extends = (pending > 0) & (lead < missing) & ((flags & ALL_LEAD) != 0)
    more = tl.load(record + 4 + tl.minimum(lead, 3)).to(tl.int64)
    bits = ((pending & _BITS) << (6 * lead)) | more
    longer = bits | ((missing - lead) << _MISSING) | ((pending >> _EXTRA) << _EXTRA)
    after = tl.where(extends, longer, tail)
    return tl.where((flags & IS_EMPTY) != 0, pending, after)


@triton.jit
def _push(window, lane, values, first, length):
    """A window moved on by ``length`` symbols that begin at ``first``."""
    back = lane - length
    added = tl.load(values + first - 1 - back, mask=back < 0, other=0)
    kept = tl.gather(window, tl.maximum(back, 0), 0)
    return tl.where(back >= 0, kept, added)


@triton.jit
def _push_text(letters, words, text, texts, letter_values, word_values):
    """Both windows after a text."""
    at = texts + text * 4
    letters = _push(
        letters, tl.arange(0, LETTER_LANES), letter_values, tl.load(at), tl.load(at + 1)
    )
    lane = tl.arange(0, WORD_LANES)
    latest = tl.sum(tl.where(lane == 0, words, 0))
    first, length = tl.load(at + 2), tl.load(at + 3)
    # Runs of separators count once.
    repeats = (((length & OPENS_WITH_SEP) != 0) & (latest == SEP)).to(tl.int32)
    length = length & (OPENS_WITH_SEP - 1)
    return letters, _push(words, lane, word_values, first + repeats, length - repeats)


@triton.jit
def _known(token, vocab_size):
    """Token ids, those beyond the vocabulary as the one record that stands for them all."""
    return tl.where(token < vocab_size, token, vocab_size + 1)


@triton.jit
def _begin_of_end(committed, inputs, read, last, letter_counts, vocab_size):
    """Where the end of a text begins that has letters enough, ``read`` if it has not."""
    lane = tl.arange(0, _BLOCK)
    end = last + 1
    total = tl.zeros([], tl.int32)
    begin = read
    while (end > read) & (total < _ENOUGH):
        place = end - 1 - lane
        inside = place >= read
        token = tl.load(committed + place, mask=inside & (place < last), other=0)
        token = tl.where(place == last, tl.load(inputs), token)
        letters = tl.load(letter_counts + _known(token, vocab_size), mask=inside, other=0)
        so_far = total + tl.cumsum(letters)
        reached = inside & (so_far >= _ENOUGH)
        total += tl.sum(letters)
        # The latest place from which on there are enough.
        begin = tl.max(tl.where(reached, place, read))
        end -= _BLOCK
    return begin


@triton.jit(
    do_not_specialize=["n_rows", "committed_stride", "vocab_size"],
    do_not_specialize_on_alignment=["slot_of_row", "local_of_row", "input_ids", "positions"],
)
def advance_kernel(
    state,
    read_until,
    owner,
    row_state,
    row_pending,
    slot_of_row,
    local_of_row,
    input_ids,
    positions,
    committed,
    committed_stride,
    records,
    texts,
    letter_values,
    word_values,
    letter_counts,
    code_points,
    vocab_size,
    n_rows,
):
    """States of all guarded rows; a program for each row, of which each request's first works.

    Args:
        state: [slots, STATE] int64 after the first ``read_until`` tokens; brought up to date.
        read_until: [slots] int64, 0 for a text of which nothing was read; brought up to date.
        owner: [slots] int32, negative where nothing is guarded.
        row_state: [rows, STATE] int64, written: the state that each row's token continues.
        row_pending: [rows] int64, written: its pending code point, 0 in rows that are not guarded.
        slot_of_row, local_of_row, input_ids, positions: [n_rows] as in vLLM's ``LogitsContext``.
        committed: [slots, committed_stride] int32 token ids.
        records, texts, …: see ``guard.engine.gpu.tables.TokenTables``.
        vocab_size: tokens; an id beyond, as of an image in a prompt, parts words.
    """
    row = tl.program_id(0)
    slot = tl.load(slot_of_row + row).to(tl.int64)
    if tl.load(owner + slot) < 0:
        tl.store(row_pending + row, tl.zeros([], tl.int64))
        return
    if tl.load(local_of_row + row) != 0:
        return
    committed += slot * committed_stride
    inputs = input_ids + row
    # The first row of a request is fed its last committed token, the next ones its drafts.
    last = tl.load(positions + row).to(tl.int64)
    read = tl.load(read_until + slot)
    # A text that became shorter is another one.
    read = tl.where(read > last + 1, 0, read)
    begin = read
    if last + 1 - read > _FEW:
        begin = _begin_of_end(committed, inputs, read, last, letter_counts, vocab_size)
    fresh = (read == 0) | (begin > read)

    letter_lane = tl.arange(0, LETTER_LANES)
    word_lane = tl.arange(0, WORD_LANES)
    at = state + slot * STATE
    letters = tl.load(at + letter_lane, mask=letter_lane < tl.where(fresh, 0, LETTERS), other=0)
    opening = tl.where(word_lane == 0, SEP, 0)
    carried = word_lane < tl.where(fresh, 0, WORDS)
    words = tl.load(at + LETTERS + word_lane, mask=carried, other=opening)
    pending = tl.where(fresh, 0, tl.load(at + STATE - 1))

    own_rows = 1
    while tl.load(local_of_row + row + own_rows, row + own_rows < n_rows, other=0) == own_rows:
        own_rows += 1
    n_tokens = last + own_rows - begin
    unread = last + 1 - begin
    if unread <= 0:
        # Nothing new was committed; the first row goes on from what is known.
        _keep(row_state, row_pending, row, letters, words, pending)
    lane = tl.arange(0, _BLOCK)
    for base in range(0, n_tokens, _BLOCK):
        place = begin + base + lane
        inside = base + lane < n_tokens
        fed = inside & (place >= last)
        tokens = tl.load(committed + place, mask=inside & (place < last), other=0).to(tl.int64)
        tokens = tl.where(fed, tl.load(inputs + place - last, mask=fed, other=0), tokens)
        tokens = _known(tokens, vocab_size)
        for step in range(0, tl.minimum(n_tokens - base, _BLOCK)):
            token = tl.sum(tl.where(lane == step, tokens, 0))
            if pending > 0:
                first, second = pieces(pending, token, True, records, code_points)
                letters, words = _push_text(
                    letters, words, first, texts, letter_values, word_values
                )
            else:
                second = tl.load(records + token * RECORD)
            letters, words = _push_text(letters, words, second, texts, letter_values, word_values)
            pending = _pending_after(pending, token, records)
            # The row whose token comes next, once the text up to it is read.
            read_row = base + step + 1 - unread
            if read_row >= 0:
                _keep(row_state, row_pending, row + read_row, letters, words, pending)
            if read_row == 0:
                tl.store(at + letter_lane, letters, mask=letter_lane < LETTERS)
                tl.store(at + LETTERS + word_lane, words, mask=word_lane < WORDS)
                tl.store(at + STATE - 1, pending)
                tl.store(read_until + slot, last + 1)


@triton.jit
def _keep(row_state, row_pending, row, letters, words, pending):
    letter_lane = tl.arange(0, LETTER_LANES)
    word_lane = tl.arange(0, WORD_LANES)
    at = row_state + row * STATE
    tl.store(at + letter_lane, letters, mask=letter_lane < LETTERS)
    tl.store(at + LETTERS + word_lane, words, mask=word_lane < WORDS)
    tl.store(at + STATE - 1, pending)
    tl.store(row_pending + row, pending)
