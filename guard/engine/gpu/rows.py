"""Rows of logits guarded by kernels: for phrases the host only launches, and never waits.

A step takes one launch that reads tokens and two that keep words apart, and two for each bundle
that its requests hold, three where that has finite penalties; of bundles there is one, but for the
time after a policy changed.
Grids depend on the number of rows alone. Buffers are made at the start, where vLLM's memory profile
sees them, and grow only if there are more rows than were promised; the largest has an int32 for
each token of 256 rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from guard.engine.gpu.advance import advance_kernel
from guard.engine.gpu.boundary import SHARES, best_kernel, keep_kernel
from guard.engine.gpu.finishing import finishing_kernel
from guard.engine.gpu.penalise import penalise_kernel
from guard.engine.gpu.tables import BundleTables, TokenTables
from guard.engine.matcher import Tokens
from guard.engine.rows import GuardedRows, Held, StepRows
from guard.engine.windows import STATE_WIDTH

if TYPE_CHECKING:
    from guard.engine.bundles import LoadedBundle

# A few for each multiprocessor of a large GPU; of the finishing kernel as many as run at a time.
_PROGRAMS: Final = 512
_FINISHING_PROGRAMS: Final = 384
# Of one row at most.
_MOST_PARTS: Final = 16
# Rows penalised at a time, to bound the buffer that has a number for each of their logits.
_MOST_ROWS: Final = 256


class HeldTables(Held):
    """The same, with the bundle's tables for the kernels."""

    def __init__(
        self, bundle: LoadedBundle, number: int, slots: int, targets: int, device: torch.device
    ) -> None:
        super().__init__(bundle, number, slots, targets, device)
        self.tables = BundleTables(bundle.matcher.segments, device)


class KernelRows(GuardedRows):
    """With Triton kernels.

    Args:
        rows: of logits at most, by what is known at the start.
        programs: of a step in all, to keep the device busy with few rows.
        finishing_programs: how many share the tokens that can finish pending code points.
    """

    def __init__(
        self,
        tokens: Tokens,
        slots: int,
        rows: int,
        *,
        programs: int = _PROGRAMS,
        finishing_programs: int = _FINISHING_PROGRAMS,
    ) -> None:
        super().__init__(tokens, slots)
        self._tokens = TokenTables(tokens)
        self._goes_on = tokens.boundaries.goes_on
        self._vocab_size = tokens.windows.vocab_size
        self._programs = programs
        self._finishing_programs = finishing_programs
        self._reserve(rows)
        self._compile()

    def _compile(self) -> None:
        """Launch each kernel once, for a row that nobody guards: no request is to wait for this."""
        none = torch.zeros(1, dtype=torch.int32, device=self.device)
        step = StepRows(none.long(), none, none, none.long(), none[None])
        nothing = torch.zeros((1, 1), dtype=torch.bool, device=self.device)
        logits = torch.zeros((1, self._vocab_size), device=self.device)
        self._read(logits, step)
        self._keep_words(logits, step)
        tables = BundleTables((), self.device)
        tables.lowers = True
        self._penalise_ends(logits, step, 0, nothing, tables)
        self._penalise_finishing(logits, step, 0, nothing, tables)

    def _reserve(self, rows: int) -> None:
        self.row_state = torch.zeros((rows, STATE_WIDTH), dtype=torch.int64, device=self.device)
        self.row_pending = torch.zeros(rows, dtype=torch.int64, device=self.device)
        shares = (rows, SHARES.value)
        self._best_logit = torch.zeros(shares, dtype=torch.float32, device=self.device)
        self._best_token = torch.zeros(shares, dtype=torch.int32, device=self.device)
        noted_rows = min(rows, _MOST_ROWS)
        self._noted = torch.zeros(
            (noted_rows, self._vocab_size), dtype=torch.int32, device=self.device
        )

    def _hold(self, bundle: LoadedBundle, number: int, targets: int) -> Held:
        return HeldTables(bundle, number, self._slots, targets, self.device)

    def _read(self, logits: torch.Tensor, step: StepRows) -> None:
        if len(logits) > len(self.row_state):
            self._reserve(len(logits))
        self.advance(step)
        rows, parts = self._grid(len(logits))
        best_kernel[(rows, parts)](
            logits, logits.stride(0), step.slot, self.owner, self._best_logit, self._best_token,
            self._vocab_size, parts, num_warps=4,
        )  # fmt: skip

    def _keep_words(self, logits: torch.Tensor, step: StepRows) -> None:
        rows, parts = self._grid(len(logits))
        keep_kernel[(rows, parts)](
            logits, logits.stride(0), self.row_state, self.row_pending, step.slot, self.owner,
            self._goes_on, self._best_logit, self._best_token, self._vocab_size, parts, num_warps=4,
        )  # fmt: skip

    def _grid(self, rows: int) -> tuple[int, int]:
        """Rows, and programs for each."""
        return rows, max(1, min(_MOST_PARTS, self._programs // rows))

    def _penalise(self, logits: torch.Tensor, step: StepRows, held: list[Held]) -> None:
        for each in held:
            assert isinstance(each, HeldTables)
            at = (each.number, each.active, each.tables)
            self._penalise_ends(logits, step, *at)
            if len(self._tokens.lead_tokens):
                self._penalise_finishing(logits, step, *at)

    def advance(self, step: StepRows) -> None:
        """Bring the slots' states up to date, and write each guarded row's to ``row_state``."""
        rows, tokens = len(step.slot), self._tokens
        advance_kernel[(rows,)](
            self.state, self.read, self.owner, self.row_state, self.row_pending,
            step.slot, step.local, step.token, step.position,
            step.committed, step.committed.stride(0),
            tokens.records, tokens.texts, tokens.letter_values, tokens.word_values,
            tokens.letter_counts, tokens.code_points, self._vocab_size, rows, num_warps=1,
        )  # fmt: skip

    def _penalise_ends(
        self,
        logits: torch.Tensor,
        step: StepRows,
        number: int,
        active: torch.Tensor,
        tables: BundleTables,
    ) -> None:
        """Penalise what ends forbid, in the rows of the bundle that ``owner`` has as ``number``."""
        tokens, most = self._tokens, len(self._noted)
        for first_row in range(0, len(logits), most):
            rows = min(most, len(logits) - first_row)
            _, parts = self._grid(rows)
            for settles in (False, True)[: 1 + tables.lowers]:
                penalise_kernel[(rows, parts)](
                    logits, logits.stride(0), first_row, self.row_state, self.row_pending,
                    step.slot, self.owner, number, active, active.stride(0), tokens.order,
                    tokens.records, tokens.factors, tokens.end_salts, tables.segments,
                    tables.count, self._noted, self._noted.stride(0), parts,
                    SETTLES=settles, num_warps=4,
                )  # fmt: skip

    def _penalise_finishing(
        self,
        logits: torch.Tensor,
        step: StepRows,
        number: int,
        active: torch.Tensor,
        tables: BundleTables,
    ) -> None:
        """Penalise the tokens that finish pending code points, in the same rows."""
        tokens = self._tokens
        finishing_kernel[(self._finishing_programs,)](
            logits, logits.stride(0), self.row_state, self.row_pending, step.slot, self.owner,
            number, active, active.stride(0), tokens.lead_tokens, len(tokens.lead_tokens),
            tokens.records, tokens.texts, tokens.letter_values, tokens.word_values,
            tokens.code_points, tokens.factors, tokens.whole_salts, tables.segments, tables.count,
            len(logits), num_warps=4,
        )  # fmt: skip
