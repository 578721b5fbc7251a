"""One automaton on tensors: reading bodies, and the logits that a state must lower.

The phrase matcher (guard/engine/matcher.py) has two of these, for phrases that match as words and
for those that match on letters alone, and tells them what each token consists of.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from guard.engine.bodies import EMPTY_BODY, SEP_BODY
from guard.engine.tables import Completions, Tables, TokenLists
from guard.normalise import SEP


def to_tensor(array: npt.NDArray[np.generic], device: torch.device) -> torch.Tensor:
    """An array on a device, its integers as int64 (what torch indexes with)."""
    wide = array.astype(np.int64) if array.dtype == np.int32 else array
    return torch.from_numpy(np.ascontiguousarray(wide)).to(device)


@dataclass(frozen=True, slots=True)
class Pieces:
    """Tokens read while code points may be pending: what each makes of it, and the rest.

    Attributes:
        token: [...] token ids.
        code: [...] code point that the token finishes; beyond Unicode where it is invalid.
        finishes: [...] the token finishes one.
        breaks: [...] the token leaves one unfinished for good, which reads as a separator.
        uses_up: [...] it finishes one, and no stray byte is left over.
        waits: [...] it only adds to one, or to nothing at all.
    """

    token: torch.Tensor
    code: torch.Tensor
    finishes: torch.Tensor
    breaks: torch.Tensor
    uses_up: torch.Tensor
    waits: torch.Tensor


class _CompletionTable:
    """Completions as tensors, searched by key."""

    def __init__(self, rows: Completions, device: torch.device) -> None:
        # A sentinel row keeps the search in range and lets an empty table need no special case.
        self.keys = to_tensor(np.append(rows.keys, np.iinfo(np.int64).max), device)
        self.target = to_tensor(np.append(rows.target, np.int32(0)), device)
        self.penalty = to_tensor(np.append(rows.penalty, np.float32(0)), device)
        self.inside = to_tensor(np.append(rows.inside, np.bool_(False)), device)
        self.multiplicity = rows.multiplicity


class _TokenTable:
    """Token lists as tensors; what lies beyond a list reads the sentinel row."""

    def __init__(self, rows: TokenLists, device: torch.device) -> None:
        self.offsets = to_tensor(rows.offsets, device)
        self.token = to_tensor(np.append(rows.token, np.int32(0)), device)
        self.target = to_tensor(np.append(rows.target, np.int32(0)), device)
        self.penalty = to_tensor(np.append(rows.penalty, np.float32(0)), device)
        self.steps = torch.arange(rows.longest, device=device)


class BodyReader:
    """An automaton ready for one tokenizer and one device."""

    def __init__(self, tables: Tables, device: torch.device) -> None:
        self._on_host = device.type == "cpu"
        self.start_state = tables.start_state
        self.n_bodies = len(tables.bodies.texts)
        self.plain = to_tensor(tables.bodies.plain, device)
        self._rest = to_tensor(tables.bodies.rest, device)
        self._code_point = to_tensor(tables.bodies.code_point, device)
        # Bodies up to this one leave any state as it is.
        self._inert = SEP_BODY if tables.letters_alone else EMPTY_BODY
        # [n_bodies] what follows a finished code point decides whether a word has ended
        opens = [not text or text[0] == SEP for text in tables.bodies.texts]
        self._opens_with_sep = torch.tensor(opens, device=device)
        self._next_after_letter = to_tensor(tables.next_after_letter, device)
        self._next_after_sep = to_tensor(tables.next_after_sep, device)
        self._ends_in_sep = to_tensor(tables.ends_in_sep, device)
        no_key = np.iinfo(np.int64).max
        self._exception_keys = to_tensor(np.append(tables.exception_keys, no_key), device)
        self._exception_states = to_tensor(np.append(tables.exception_states, np.int32(0)), device)
        self._chain = _CompletionTable(tables.chain, device)
        self._start = _CompletionTable(tables.start, device)
        self._inside = _CompletionTable(tables.inside, device)
        self._chain_tokens = _TokenTable(tables.chain_tokens, device)
        self._start_tokens = _TokenTable(tables.start_tokens, device)
        self._inside_tokens = _TokenTable(tables.inside_tokens, device)

    def read(self, state: torch.Tensor, body: torch.Tensor) -> torch.Tensor:
        """[...] states after one more body each."""
        key = state * self.n_bodies + body
        place = torch.searchsorted(self._exception_keys, key)
        listed = self._exception_keys[place] == key
        default = torch.where(
            self._ends_in_sep[state], self._next_after_sep[body], self._next_after_letter[body]
        )
        following = torch.where(listed, self._exception_states[place], default)
        return torch.where(body <= self._inert, state, following)

    def bodies_of(self, pieces: Pieces) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens as two bodies: what they make of a pending code point, then the rest of them."""
        known = pieces.code < len(self._code_point)
        code = pieces.code.clamp(max=len(self._code_point) - 1)
        finished = torch.where(known, self._code_point[code], SEP_BODY)
        broken = torch.where(pieces.breaks, SEP_BODY, EMPTY_BODY)
        first = torch.where(pieces.finishes, finished, broken)
        # `plain` begins with a separator where stray bytes are left over.
        second = torch.where(pieces.uses_up, self._rest[pieces.token], self.plain[pieces.token])
        return first, torch.where(pieces.waits, EMPTY_BODY, second)

    def penalise_listed(
        self,
        logits: torch.Tensor,
        rows: torch.Tensor,
        state: torch.Tensor,
        active: torch.Tensor,
        skipped: torch.Tensor | None = None,
    ) -> None:
        """Lower the logits of the tokens listed for each row's state.

        Args:
            logits: [N, V] float32, changed in place.
            rows, state: [B] int64.
            active: [B, n_targets] bool.
            skipped: [B, V + 1] bool, tokens that are judged elsewhere.
        """
        zero = torch.zeros_like(state)
        at_word = self._ends_in_sep[state]
        every = torch.ones_like(at_word)
        for table, key, applies in (
            (self._chain_tokens, state, every),
            (self._start_tokens, zero, at_word),
            (self._inside_tokens, zero, every),
        ):
            self._penalise_table(logits, rows, table, key, applies, active, skipped)

    def _penalise_table(
        self,
        logits: torch.Tensor,
        rows: torch.Tensor,
        table: _TokenTable,
        key: torch.Tensor,
        applies: torch.Tensor,
        active: torch.Tensor,
        skipped: torch.Tensor | None,
    ) -> None:
        steps = table.steps
        if not len(steps):
            return
        first = table.offsets[key]
        count = torch.where(applies, table.offsets[key + 1] - first, 0)
        if self._on_host:
            # Asking costs nothing here, and most states have short lists or none.
            steps = steps[: int(count.max())]
            if not len(steps):
                return
        # [B, longest] place in the table, the sentinel where a list is shorter
        listed = steps < count[:, None]
        place = torch.where(listed, first[:, None] + steps, len(table.token) - 1)
        token = table.token[place]
        holds = listed & active.gather(1, table.target[place])
        if skipped is not None:
            holds &= ~skipped.gather(1, token)
        penalty = torch.where(holds, table.penalty[place], 0.0)
        logits.index_put_((rows[:, None], token), penalty, accumulate=True)

    def completing(self, state: torch.Tensor, pieces: Pieces, active: torch.Tensor) -> torch.Tensor:
        """[B, L] penalty of reading these tokens from [B, L] states, code points pending."""
        first, second = self.bodies_of(pieces)
        penalty = self._completing(state, first, self._opens_with_sep[second], active)
        at_end = torch.ones_like(pieces.waits)
        return penalty + self._completing(self.read(state, first), second, at_end, active)

    def _completing(
        self,
        state: torch.Tensor,
        body: torch.Tensor,
        ends_word: torch.Tensor,
        active: torch.Tensor,
    ) -> torch.Tensor:
        """[B, L] penalty of reading a body from a state."""
        penalty = torch.zeros(body.shape, device=body.device)
        every = torch.ones_like(ends_word)
        for table, key, applies in (
            (self._chain, state * self.n_bodies + body, every),
            (self._start, body, self._ends_in_sep[state]),
            (self._inside, body, every),
        ):
            place = torch.searchsorted(table.keys, key)
            for _ in range(table.multiplicity):
                holds = (table.keys[place] == key) & applies & (ends_word | table.inside[place])
                holds &= active.gather(1, table.target[place])
                penalty += torch.where(holds, table.penalty[place], 0.0)
                place = (place + 1).clamp(max=len(table.keys) - 1)
        return penalty
