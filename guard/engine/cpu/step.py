"""A guarded step with compiled loops: what ``LoadedBundle.penalise`` does, on a CPU."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from guard.engine.cpu.compiled import BoolArray, Float32Array, compiled, numbers, unsigned
from guard.engine.cpu.phrases import (
    Ends,
    Everywhere,
    Found,
    Phrases,
    Rows,
    Tops,
    keep_words,
    no_rows,
    no_tops,
    note,
    room,
    settle,
    waits,
)
from guard.engine.cpu.protected import Endings, Filters, nothing_protected, protect
from guard.engine.cpu.reader import compile_reading
from guard.engine.matcher import BoundSegment, PhraseMatcher, Tokens, flat
from guard.engine.reader import READER_WIDTH, parts
from guard.engine.segment import BEGINNING
from guard.engine.verbatim import VerbatimMatcher
from guard.engine.windows import LETTERS_WIDTH, STATE_WIDTH, WORDS_WIDTH
from guard.engine.wordends import WordEnds
from guard.hashing import Int64Array, powers, salts
from guard.verbatim import FORBIDDEN

# Rows of different targets whose lists are kept.
_KEPT: Final = 64
# Penalties of a step that there is room for at first.
_ROOM: Final = 1 << 14


@compiled
def _lower(
    rows: Rows,
    everywhere: Everywhere,
    found: Found,
    filled: int,
    filters: Filters,
    endings: Endings,
    goes_on: BoolArray,
) -> bool:
    """All that changes logits. Returns whether rows are left in which a code point is pending."""
    settle(rows, everywhere, found, filled)
    protect(rows, filters, endings)
    keep_words(rows, goes_on)
    left = 0
    for row in range(len(rows.place)):
        left += waits(rows, row)
    return left > 0


def compile_all() -> None:
    """Compile every loop, for no row at all; a matter of seconds, once a process."""
    compile_reading()
    longs, ints = np.zeros(1, np.int64), np.zeros(1, np.int32)
    some, floats, bools = np.zeros(1, np.uint64), np.zeros(1, np.float32), np.zeros(1, np.bool_)
    sieve = np.zeros(1, np.uint8)
    phrases = Phrases(sieve, some[0], some, longs, some[0], longs, ints, ints, ints, floats, longs)
    rows, found = no_rows(), room(1)
    note(rows, Ends(some, some, some), phrases, longs, found, 0, False)
    everywhere = Everywhere(longs[:0], longs[:0], floats[:0])
    _lower(rows, everywhere, found, 0, *nothing_protected(), bools)


@dataclass(frozen=True, slots=True, eq=False)
class _Latest:
    """What was made of the rows that were handed in last; mostly they come again."""

    rows: torch.Tensor
    active: torch.Tensor
    place: Int64Array
    held: BoolArray
    everywhere: Everywhere
    tops: Tops


class HostStep:
    """Penalises rows of one bundle, for requests that stay for many steps.

    Args:
        tokens: of the served tokenizer, on the host.
        matcher, verbatim: the readable forms, which do what is rare.
    """

    def __init__(
        self, tokens: Tokens, matcher: PhraseMatcher, verbatim: VerbatimMatcher | None
    ) -> None:
        self._matcher, self._verbatim = matcher, verbatim
        self._vocab_size = tokens.windows.vocab_size
        self._order = tokens.order.numpy()
        self._goes_on = tokens.boundaries.goes_on.numpy()
        self._ends = Ends(
            unsigned(powers(max(LETTERS_WIDTH, WORDS_WIDTH))),
            unsigned(salts(LETTERS_WIDTH + 1, BEGINNING[True])),
            unsigned(salts(WORDS_WIDTH + 1, BEGINNING[False])),
        )
        self._phrases = [_phrases_of(segment) for segment in matcher.segments]
        self._protected = nothing_protected() if verbatim is None else _protected_by(verbatim)
        self._found = room(_ROOM)
        self._lists: OrderedDict[bytes, tuple[Int64Array, Float32Array]] = OrderedDict()
        self._latest: _Latest | None = None

    def penalise(
        self, logits: torch.Tensor, rows: torch.Tensor, state: torch.Tensor, active: torch.Tensor
    ) -> None:
        """As ``LoadedBundle.penalise``.

        ``rows`` and ``active`` must not be changed afterwards: what they make necessary is found
        once for each that is handed in.
        """
        if not len(rows):
            return
        here = self._latest
        if here is None or here.rows is not rows or here.active is not active:
            here = self._latest = self._prepared(rows, active)
        step = Rows(
            flat(logits).numpy(), logits.stride(0), here.place, unsigned(state), here.held,
            here.tops,
        )  # fmt: skip
        # Penalties do not add up: what follows is worked out before anything is lowered.
        filled = self._note(step, with_empty=False)
        some_wait = _lower(
            step, here.everywhere, self._found, filled, *self._protected, self._goes_on
        )
        if some_wait:
            waiting = state[:, STATE_WIDTH - 1] > 0
            self._finish_code_points(logits, rows[waiting], state[waiting], active[waiting])

    def _finish_code_points(
        self, logits: torch.Tensor, rows: torch.Tensor, state: torch.Tensor, active: torch.Tensor
    ) -> None:
        """Rows whose texts end within a code point; there are no words to keep apart in them."""
        phrases, runs = parts(state)
        self._matcher.penalise(logits, rows, phrases, active)
        if self._verbatim is not None:
            self._verbatim.penalise(logits, rows, runs, active)

    def _prepared(self, rows: torch.Tensor, active: torch.Tensor) -> _Latest:
        each = [self._list_of(row) for row in active]
        row = np.repeat(np.arange(len(each)), [len(token) for token, _ in each])
        everywhere = Everywhere(
            row,
            np.concatenate([token for token, _ in each]),
            np.concatenate([penalty for _, penalty in each]),
        )
        tops = no_tops(len(rows))
        return _Latest(rows, active, numbers(rows), numbers(active), everywhere, tops)

    def _note(self, rows: Rows, *, with_empty: bool) -> int:
        """Write to ``_found`` what the ends of the texts forbid; how much it is."""
        filled = 0
        for phrases in self._phrases:
            while True:
                then = note(rows, self._ends, phrases, self._order, self._found, filled, with_empty)
                if then >= 0:
                    break
                more, old = room(2 * len(self._found.place)), self._found
                more.place[:filled], more.value[:filled] = old.place[:filled], old.value[:filled]
                self._found = more
            filled = then
        return filled

    def _list_of(self, active: torch.Tensor) -> tuple[Int64Array, Float32Array]:
        """Tokens and penalties of one row; kept for the rows to come, which mostly ask for both."""
        held = numbers(active)
        name = held.tobytes()
        found = self._lists.pop(name, None)
        if found is None:
            penalty, first = np.zeros(self._vocab_size, np.float32), np.zeros(1, np.int64)
            nothing = np.zeros((1, READER_WIDTH), np.uint64)
            row = Rows(penalty, 0, first, nothing, held[None], no_tops(1))
            filled = self._note(row, with_empty=True)
            nowhere = Everywhere(first[:0], first[:0], penalty[:0])
            settle(row, nowhere, self._found, filled)
            (token,) = np.nonzero(penalty)
            found = token, penalty[token]
        self._lists[name] = found
        while len(self._lists) > _KEPT:
            self._lists.popitem(last=False)
        return found


def _phrases_of(segment: BoundSegment) -> Phrases:
    here = segment.tensors
    sieve = here.keys.sieve
    return Phrases(
        sieve.bits, np.uint64(sieve.shift),
        unsigned(here.keys.keys), here.keys.directory.numpy(), np.uint64(here.keys.shift),
        here.offset.numpy(), here.low.numpy(), here.high.numpy(), here.target.numpy(),
        here.penalty.numpy(), segment.slots.numpy(),
    )  # fmt: skip


def _protected_by(verbatim: VerbatimMatcher) -> tuple[Filters, Endings]:
    filters, vocabulary, groups = verbatim.filters, verbatim.vocabulary, verbatim.by_place
    members = list(groups.values())

    def joined(parts_of: Callable[[WordEnds], torch.Tensor]) -> torch.Tensor:
        return torch.cat([parts_of(ends) for ends in members])

    lengths, alone_of = np.unique(verbatim.length[:, FORBIDDEN].numpy(), return_inverse=True)
    alone = [torch.cat([ends.alone[n] for ends in members]) for n in lengths.tolist()]
    return Filters(
        filters.bits.numpy(), filters.first.numpy(), unsigned(filters.size),
        filters.target.numpy(), verbatim.length.numpy(), unsigned(verbatim.salt),
    ), Endings(
        np.array([joins for joins, _ in groups], np.bool_),
        np.array([place for _, place in groups], np.int64),
        np.cumsum([0, *map(len, members)], dtype=np.int64),
        joined(lambda ends: ends.text).numpy(),
        unsigned(joined(lambda ends: ends.first)),
        unsigned(joined(lambda ends: ends.factor)),
        unsigned(joined(lambda ends: ends.whole)),
        unsigned(joined(lambda ends: ends.rest)),
        unsigned(torch.stack(alone)),
        alone_of.astype(np.int64),
        vocabulary.first_token.numpy(),
        vocabulary.tokens.numpy(),
        verbatim.told,
    )  # fmt: skip
