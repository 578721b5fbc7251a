"""The guard's logits processor in an engine that can take it out, and put it back, while it runs.

Two engines differ by more than the guard costs: by memory, by which other work the machine has
that minute. So one engine runs every arm, in turns, and for the arm ``none`` vLLM has no custom
processor left: none in the batch's list, and nothing asks for output tokens.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vllm.v1.sample.logits_processor import LogitsProcessors
from vllm.v1.worker.gpu_input_batch import InputBatch

from load_tests.idle import IdleLogitsProcessor
from load_tests.switch import SWITCH_VARIABLE, Arm, Switch
from load_tests.timed import TimedGuardLogitsProcessor

if TYPE_CHECKING:
    from vllm import SamplingParams

_refresh = InputBatch.refresh_metadata


@cache
def _switch() -> Switch:
    return Switch(Path(os.environ[SWITCH_VARIABLE]))


class SwitchedLogitsProcessor(TimedGuardLogitsProcessor):
    """The guard's with a watch on it, in the batch for as long as the switch says so."""

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """As the guard's where the guard is in the batch."""
        if _switch().arm == "guard":
            super().validate_params(sampling_params)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._idle = IdleLogitsProcessor(*arguments)
        self._arm: Arm = "guard"
        InputBatch.refresh_metadata = lambda batch: self._before_step(batch)

    def _before_step(self, batch: Any) -> None:
        """Follow the switch, which is turned only while no request is in flight."""
        arm = _switch().arm
        if arm != self._arm:
            self._put(arm, batch)
            self._arm = arm
        _refresh(batch)

    def _put(self, arm: Arm, batch: Any) -> None:
        own = (self, self._idle)
        chosen = {"guard": [self], "idle": [self._idle], "none": []}[arm]
        others = [each for each in batch.logitsprocs.all if each not in own]
        batch.logitsprocs = LogitsProcessors([*others, *chosen])
        batch.logitsprocs_need_output_token_ids = bool(chosen)
        # Of rows that left while it was out it was not told.
        self._rows.clear()
        self._batch = None
