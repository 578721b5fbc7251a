"""The matching core: advances automaton states and penalises logits, on whole batches of tensors.

Both vLLM adapters use it, on whatever device the logits are on. Shapes are those of the rows that
are handed in (``B``), never of the whole batch; nothing here waits for the device, except where a
host-side check saves work and the tensors already live on the host.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from guard.engine.bodies import EMPTY_BODY, EXTRA_SHIFT, MISSING_SHIFT, SEP_BODY, SMALLEST
from guard.engine.tables import Completions, Tables, TokenLists
from guard.normalise import SEP
from guard.phrases import PhraseAutomaton

_BITS_MASK = (1 << MISSING_SHIFT) - 1


def _tensor(array: npt.NDArray[np.generic], device: torch.device) -> torch.Tensor:
    wide = array.astype(np.int64) if array.dtype == np.int32 else array
    return torch.from_numpy(np.ascontiguousarray(wide)).to(device)


class _CompletionTable:
    """Completions as tensors, searched by key."""

    def __init__(self, rows: Completions, device: torch.device) -> None:
        # A sentinel row keeps the search in range and lets an empty table need no special case.
        self.keys = _tensor(np.append(rows.keys, np.iinfo(np.int64).max), device)
        self.target = _tensor(np.append(rows.target, np.int32(0)), device)
        self.penalty = _tensor(np.append(rows.penalty, np.float32(0)), device)
        self.inside = _tensor(np.append(rows.inside, np.bool_(False)), device)
        self.multiplicity = rows.multiplicity


class _TokenTable:
    """Token lists as tensors; empty lists read the sentinel row."""

    def __init__(self, rows: TokenLists, device: torch.device) -> None:
        self.offsets = _tensor(rows.offsets, device)
        self.token = _tensor(np.append(rows.token, np.int32(0)), device)
        self.target = _tensor(np.append(rows.target, np.int32(0)), device)
        self.penalty = _tensor(np.append(rows.penalty, np.float32(0)), device)
        self.steps = torch.arange(rows.longest, device=device)


class PhraseMatcher:
    """Phrases of one bundle, ready for one tokenizer and one device.

    A row's state is two numbers: ``state`` (automaton state, int64) and ``pending`` (packed
    unfinished code point, int64, 0 for none). A fresh text starts at ``(START, 0)``.
    """

    def __init__(self, tables: Tables, device: torch.device) -> None:
        self.device = device
        self.n_targets = tables.n_targets
        self.vocab_size = len(tables.bodies.plain) - 1
        self.empty_token = self.vocab_size
        self._longest = tables.longest_phrase
        self._n_bodies = len(tables.bodies.texts)
        letters = np.array([len(text.replace(SEP, "")) for text in tables.bodies.texts])
        # [V + 1] on the host: how many letters a token writes, and whether it only separates
        self._letters = letters[tables.bodies.plain].tolist()
        only_separates = (tables.bodies.plain == SEP_BODY) & (tables.bodies.tail == 0)
        # A continuation byte separates only if it finishes nothing.
        self._only_separates = (only_separates & (tables.bodies.lead == 0)).tolist()

        bodies = tables.bodies
        self._plain = _tensor(bodies.plain, device)
        self._rest = _tensor(bodies.rest, device)
        self._lead = _tensor(bodies.lead, device)
        self._lead_bits = _tensor(bodies.lead_bits, device)
        self._all_lead = _tensor(bodies.all_lead, device).bool()
        self._tail = _tensor(bodies.tail, device)
        self._is_empty = _tensor(bodies.is_empty, device).bool()
        self._code_point = _tensor(bodies.code_point, device)
        self._smallest = torch.tensor(SMALLEST, device=device)
        # [L] tokens that can finish or extend a pending code point
        self._lead_tokens = torch.nonzero(self._lead[:-1]).flatten()
        # [n_bodies] what follows a completed code point decides whether a word has ended
        opens_word = [not text or text[0] == SEP for text in bodies.texts]
        self._opens_with_sep = torch.tensor(opens_word, device=device)

        self._next_after_letter = _tensor(tables.next_after_letter, device)
        self._next_after_sep = _tensor(tables.next_after_sep, device)
        self._ends_in_sep = _tensor(tables.ends_in_sep, device)
        no_key = np.int64(np.iinfo(np.int64).max)
        self._exception_keys = _tensor(np.append(tables.exception_keys, no_key), device)
        self._exception_states = _tensor(np.append(tables.exception_states, np.int32(0)), device)
        self._chain = _CompletionTable(tables.chain, device)
        self._start = _CompletionTable(tables.start, device)
        self._inside = _CompletionTable(tables.inside, device)
        self._chain_tokens = _TokenTable(tables.chain_tokens, device)
        self._start_tokens = _TokenTable(tables.start_tokens, device)
        self._inside_tokens = _TokenTable(tables.inside_tokens, device)

    # -- advancing ---------------------------------------------------------------------------

    def advance(
        self, state: torch.Tensor, pending: torch.Tensor, token: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """States after one more token each.

        Args:
            state, pending: [B] int64.
            token: [B] int64 token ids; ``empty_token`` leaves its row unchanged.
        """
        if self.device.type == "cpu" and not bool(pending.any()):
            return self._read_body(state, self._plain[token]), self._tail[token]
        first, second = self._split_by_pending(pending, token)
        state = self._read_body(self._read_body(state, first), second)
        return state, self._pending_after(pending, token)

    def starting_states(self, texts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """States after whole token sequences, reading only as much of their ends as can matter.

        Args:
            texts: ``B`` sequences of token ids.

        Returns:
            state, pending: [B] int64.
        """
        windows = [self._window(text) for text in texts]
        length = max((len(window) for window, _ in windows), default=0)
        # [length, B], right-aligned: padding in front leaves the starting state alone
        padded = torch.full((length, len(texts)), self.empty_token, dtype=torch.int64)
        for row, (window, _) in enumerate(windows):
            if window:
                padded[length - len(window) :, row] = torch.tensor(window, dtype=torch.int64)
        tokens = padded.to(self.device)
        start = [PhraseAutomaton.START if whole else PhraseAutomaton.ROOT for _, whole in windows]
        state = torch.tensor(start, dtype=torch.int64, device=self.device)
        pending = torch.zeros_like(state)
        for step in range(length):
            state, pending = self.advance(state, pending, tokens[step])
        return state, pending

    def _window(self, text: Sequence[int]) -> tuple[list[int], bool]:
        """The last tokens that can still be part of a phrase, and whether that is all of them."""
        window: list[int] = []
        letters = 0
        first = len(text)
        while first > 0 and letters < self._longest:
            first -= 1
            token = text[first]
            # Runs of separators count once, so that a page of blank lines stays one step.
            if self._only_separates[token] and window and self._only_separates[window[-1]]:
                continue
            window.append(token)
            letters += self._letters[token]
        return window[::-1], first == 0

    def _read_body(self, state: torch.Tensor, body: torch.Tensor) -> torch.Tensor:
        key = state * self._n_bodies + body
        place = torch.searchsorted(self._exception_keys, key)
        listed = self._exception_keys[place] == key
        default = torch.where(
            self._ends_in_sep[state], self._next_after_sep[body], self._next_after_letter[body]
        )
        following = torch.where(listed, self._exception_states[place], default)
        return torch.where(body == EMPTY_BODY, state, following)

    def _split_by_pending(
        self, pending: torch.Tensor, token: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """A token as two bodies: what it makes of the pending code point, then the rest of it."""
        missing = pending >> MISSING_SHIFT & 3
        extra = pending >> EXTRA_SHIFT
        lead = self._lead[token]
        waits = pending > 0
        completes = waits & (lead >= missing)
        extends = waits & ~completes & self._all_lead[token]
        untouched = self._is_empty[token] | extends
        broken = waits & ~completes & ~untouched

        code = (pending & _BITS_MASK) << 6 * missing | self._lead_bits[token, missing]
        # The table holds a separator for surrogates; beyond Unicode and overlong forms are ours.
        valid = (code >= self._smallest[extra]) & (code < len(self._code_point))
        finished = torch.where(
            valid, self._code_point[code.clamp(max=len(self._code_point) - 1)], SEP_BODY
        )
        first = torch.where(completes, finished, torch.where(broken, SEP_BODY, EMPTY_BODY))
        # `plain` begins with a separator where stray bytes are left over.
        used_up = completes & (lead == missing)
        second = torch.where(used_up, self._rest[token], self._plain[token])
        return first, torch.where(untouched, EMPTY_BODY, second)

    def _pending_after(self, pending: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        missing = pending >> MISSING_SHIFT & 3
        lead = self._lead[token]
        extends = (pending > 0) & (lead < missing) & self._all_lead[token]
        bits = (pending & _BITS_MASK) << 6 * lead | self._lead_bits[token, lead.clamp(max=3)]
        longer = bits | (missing - lead) << MISSING_SHIFT | pending >> EXTRA_SHIFT << EXTRA_SHIFT
        after = torch.where(extends, longer, self._tail[token])
        return torch.where(self._is_empty[token], pending, after)

    # -- penalising --------------------------------------------------------------------------

    def penalise(
        self,
        logits: torch.Tensor,
        rows: torch.Tensor,
        state: torch.Tensor,
        pending: torch.Tensor,
        active: torch.Tensor,
    ) -> None:
        """Lower the logits of every token that would complete a phrase of an active target.

        Args:
            logits: [N, V] float32, changed in place.
            rows: [B] int64, the rows of ``logits`` to guard, each at most once.
            state, pending: [B] int64, after the text so far.
            active: [B, n_targets] bool.
        """
        waits = pending > 0
        some_wait = self.device.type != "cpu" or bool(waits.any())
        ahead = state
        if some_wait:
            broken = self._read_body(state, torch.full_like(state, SEP_BODY))
            ahead = torch.where(waits, broken, state)
        at_word = self._ends_in_sep[ahead]
        zero = torch.zeros_like(ahead)
        every = torch.ones_like(at_word)
        for table, key, applies in (
            (self._chain_tokens, ahead, every),
            (self._start_tokens, zero, at_word),
            (self._inside_tokens, zero, every),
        ):
            self._penalise_listed(logits, rows, table, key, applies, waits, active)
        if some_wait:
            self._penalise_finishing(logits, rows, state, pending, active)

    def _penalise_listed(
        self,
        logits: torch.Tensor,
        rows: torch.Tensor,
        table: _TokenTable,
        key: torch.Tensor,
        applies: torch.Tensor,
        waits: torch.Tensor,
        active: torch.Tensor,
    ) -> None:
        if not len(table.steps):
            return
        first = table.offsets[key]
        count = torch.where(applies, table.offsets[key + 1] - first, 0)
        steps = table.steps
        if self.device.type == "cpu":
            # Asking costs nothing here, and most states have short lists or none.
            steps = steps[: int(count.max())]
            if not len(steps):
                return
        # [B, longest] place in the table, the sentinel where a list is shorter
        listed = steps < count[:, None]
        place = torch.where(listed, first[:, None] + steps, len(table.token) - 1)
        token = table.token[place]
        holds = listed & active.gather(1, table.target[place])
        # While a code point is pending, tokens that may finish it are judged one by one.
        holds &= ~(waits[:, None] & (self._lead[token] > 0))
        penalty = torch.where(holds, table.penalty[place], 0.0)
        logits.index_put_((rows[:, None], token), penalty, accumulate=True)

    def _penalise_finishing(
        self,
        logits: torch.Tensor,
        rows: torch.Tensor,
        state: torch.Tensor,
        pending: torch.Tensor,
        active: torch.Tensor,
    ) -> None:
        n_rows, n_tokens = len(rows), len(self._lead_tokens)
        if not n_tokens:
            return
        token = self._lead_tokens.expand(n_rows, n_tokens)
        waits = pending[:, None].expand(n_rows, n_tokens)
        before = state[:, None].expand(n_rows, n_tokens)
        first, second = self._split_by_pending(waits, token)
        between = self._read_body(before, first)
        closes = self._opens_with_sep[second]
        penalty = self._completing(before, first, closes, active)
        penalty += self._completing(between, second, torch.ones_like(closes), active)
        penalty = torch.where(waits > 0, penalty, 0.0)
        logits.index_put_((rows[:, None], token), penalty, accumulate=True)

    def _completing(
        self,
        state: torch.Tensor,
        body: torch.Tensor,
        closed: torch.Tensor,
        active: torch.Tensor,
    ) -> torch.Tensor:
        """[B, L] penalty of reading a body from a state; ``closed``: the word ends with it."""
        penalty = torch.zeros(body.shape, device=self.device)
        for table, key, applies in (
            (self._chain, state * self._n_bodies + body, torch.ones_like(closed)),
            (self._start, body, self._ends_in_sep[state]),
            (self._inside, body, torch.ones_like(closed)),
        ):
            place = torch.searchsorted(table.keys, key)
            for _ in range(table.multiplicity):
                holds = (table.keys[place] == key) & applies & (closed | table.inside[place])
                holds &= active.gather(1, table.target[place])
                penalty += torch.where(holds, table.penalty[place], 0.0)
                place = (place + 1).clamp(max=len(table.keys) - 1)
        return penalty
