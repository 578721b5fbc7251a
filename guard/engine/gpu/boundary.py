"""The kernels that keep words apart: ``guard.engine.boundary.WordBoundaries``.

The first finds what each guarded row would say, before anything is penalised: each program the best
of its share of the vocabulary. The second, when all is penalised, puts the shares together, and in
rows whose best token was taken lowers what would go on with a finished word.
"""

import triton
import triton.language as tl

from guard.engine import boundary
from guard.engine.gpu.lookup import LETTERS, SEP, STATE

REOPENING = tl.constexpr(boundary.REOPENING)
# Programs of a row at most.
SHARES = tl.constexpr(16)
_TOKENS = tl.constexpr(1024)
_NO_TOKEN = tl.constexpr((1 << 31) - 1)


@triton.jit(do_not_specialize=["logits_stride", "vocab_size", "parts"],
            do_not_specialize_on_alignment=["logits", "slot_of_row"])  # fmt: skip
def best_kernel(
    logits, logits_stride, slot_of_row, owner, best_logit, best_token, vocab_size, parts
):
    """Find the best token of each share of each guarded row; the grid is rows by ``parts``.

    Args:
        logits: [rows, logits_stride] float32.
        slot_of_row: [rows] int64 request slot.
        owner: [slots] int32; rows of slots where it is negative are left out.
        best_logit, best_token: [rows, SHARES] float32 and int32, changed; the first of several.
        vocab_size: tokens.
        parts: at most ``SHARES``.
    """
    row, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    slot = tl.load(slot_of_row + row).to(tl.int64)
    if tl.load(owner + slot) < 0:
        return
    logits += row * logits_stride
    lane = tl.arange(0, _TOKENS)
    best = tl.full([_TOKENS], float("-inf"), tl.float32)
    token = tl.zeros([_TOKENS], tl.int32)
    for base in range(part * _TOKENS, vocab_size, parts * _TOKENS):
        here = base + lane
        logit = tl.load(logits + here, mask=here < vocab_size, other=float("-inf"))
        token = tl.where(logit > best, here, token)
        best = tl.maximum(best, logit)
    top = tl.max(best)
    tl.store(best_logit + row * SHARES + part, top)
    tl.store(best_token + row * SHARES + part, tl.min(tl.where(best == top, token, _NO_TOKEN)))


@triton.jit(do_not_specialize=["logits_stride", "vocab_size", "parts"],
            do_not_specialize_on_alignment=["logits", "slot_of_row"])  # fmt: skip
def keep_kernel(
    logits, logits_stride, row_state, row_pending, slot_of_row, owner, goes_on,
    best_logit, best_token, vocab_size, parts,
):  # fmt: skip
    """Lower what would go on with a finished word; the grid is that of ``best_kernel``.

    Args:
        logits: [rows, logits_stride] float32, penalised, changed.
        row_state, row_pending: of ``guard.engine.gpu.advance``.
        goes_on: [V] bool, tokens that begin with a letter.
        best_logit, best_token: as ``best_kernel`` left them.
    """
    row, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    slot = tl.load(slot_of_row + row).to(tl.int64)
    if tl.load(owner + slot) < 0:
        return
    latest = tl.load(row_state + row * STATE + LETTERS)
    if (latest == SEP) | (latest == 0) | (tl.load(row_pending + row) > 0):
        return
    share = tl.arange(0, SHARES)
    logit = tl.load(best_logit + row * SHARES + share, mask=share < parts, other=float("-inf"))
    token = tl.load(best_token + row * SHARES + share, mask=share < parts, other=_NO_TOKEN)
    top = tl.max(logit)
    best = tl.min(tl.where(logit == top, token, _NO_TOKEN))
    logits += row * logits_stride
    # No program changes this logit: the token does not go on with a word.
    taken = tl.load(logits + best) < top
    if (taken == 0) | (tl.load(goes_on + best) != 0):
        return
    lane = tl.arange(0, _TOKENS)
    for base in range(part * _TOKENS, vocab_size, parts * _TOKENS):
        here = base + lane
        lowered = tl.load(goes_on + here, mask=here < vocab_size, other=0) != 0
        before = tl.load(logits + here, mask=lowered, other=0.0)
        tl.store(logits + here, before + REOPENING, mask=lowered)
