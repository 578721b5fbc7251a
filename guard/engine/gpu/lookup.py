"""What the kernels share: hashes, key look-ups, and where a segment's arrays are.

All integers wrap around as in numpy and torch. Pointers to a bundle's segments come from a table on
the device, so that a kernel takes any number of segments and is compiled once.
"""

import triton
import triton.language as tl

from guard import hashing
from guard.engine.windows import LETTERS_WIDTH, SEP_VALUE, STATE_WIDTH, WORDS_WIDTH

MIX_1 = tl.constexpr(hashing.MIX_1)
MIX_2 = tl.constexpr(hashing.MIX_2)
BASE = tl.constexpr(hashing.BASE)
LOW_32 = tl.constexpr((1 << 32) - 1)
LOW_35 = tl.constexpr((1 << 35) - 1)
LOW_63 = tl.constexpr((1 << 63) - 1)

LETTERS = tl.constexpr(LETTERS_WIDTH)
WORDS = tl.constexpr(WORDS_WIDTH)
STATE = tl.constexpr(STATE_WIDTH)
SEP = tl.constexpr(SEP_VALUE)
# Lanes for the ends of letters and of words: the next powers of two.
LETTER_LANES = tl.constexpr(64)
WORD_LANES = tl.constexpr(16)
assert LETTERS_WIDTH < 64
assert WORDS_WIDTH < 16

# Columns of a segment's row in the table, see ``guard.engine.gpu.tables.BundleTables``.
SEGMENT_FIELDS = tl.constexpr(9)
# Columns of a token's record, see ``guard.engine.gpu.tables.TokenTables``.
RECORD = tl.constexpr(8)
LEAD_MASK = tl.constexpr(7)
ALL_LEAD = tl.constexpr(8)
IS_EMPTY = tl.constexpr(16)
OPENS_WITH_SEP = tl.constexpr(1 << 30)

LONGS = tl.constexpr(tl.pointer_type(tl.int64))
INTS = tl.constexpr(tl.pointer_type(tl.int32))
FLOATS = tl.constexpr(tl.pointer_type(tl.float32))


@triton.jit
def finish(value):
    """``guard.hashing.finish``."""
    value = (value ^ ((value >> 32) & LOW_32)) * MIX_1
    value = (value ^ ((value >> 29) & LOW_35)) * MIX_2
    return (value ^ ((value >> 32) & LOW_32)) & LOW_63


@triton.jit
def find(keys, asked, segment):
    """Entries of the keys of one segment.

    Args:
        keys: int64 of any shape.
        asked: bool, which of them count.
        segment: row of the table of segments.

    Returns:
        First entry and number of entries of each key, both 0 where it has none.
    """
    keys_at = tl.load(segment).to(LONGS)
    directory = tl.load(segment + 1).to(LONGS)
    offset = tl.load(segment + 2).to(LONGS)
    shift = tl.load(segment + 8)
    bucket = keys >> shift
    begin = tl.load(directory + bucket, mask=asked, other=0)
    size = tl.load(directory + bucket + 1, mask=asked, other=0) - begin
    place = tl.zeros_like(keys) - 1
    for step in range(0, tl.max(size)):
        here = (step < size) & (place < 0)
        known = tl.load(keys_at + begin + step, mask=here, other=-1)
        place = tl.where(here & (known == keys), begin + step, place)
    found = place >= 0
    first = tl.load(offset + place, mask=found, other=0)
    return first, tl.load(offset + place + 1, mask=found, other=0) - first


@triton.jit
def held(segment, entry, asked, active):
    """Which entries are of targets that hold for a row.

    Args:
        active: the row's [n_targets] bool.
    """
    target = tl.load(tl.load(segment + 5).to(INTS) + entry, mask=asked, other=0)
    slot = tl.load(tl.load(segment + 7).to(LONGS) + target, mask=asked, other=-1)
    known = asked & (slot >= 0)
    return known & (tl.load(active + slot, mask=known, other=0) != 0)
