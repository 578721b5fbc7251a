"""The guard's logits processor with a watch on it: what a step costs, whatever else is noise."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

import torch
from vllm.config import VllmConfig
from vllm.v1.sample.logits_processor.interface import BatchUpdate

from guard.engine.vllm_v1 import GuardLogitsProcessor
from load_tests.times import TIMES_VARIABLE, Kind, line_of

_STEPS_A_LINE: Final = 32


class TimedGuardLogitsProcessor(GuardLogitsProcessor):
    """The same; of each ``_STEPS_A_LINE`` steps of a kind a line is written: seconds in all.

    A step is what follows the batch and what then changes the logits.
    """

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        super().__init__(vllm_config, device, is_pin_memory)
        self._following = 0.0
        self._steps: dict[Kind, int] = {"flagged": 0, "unflagged": 0}
        self._seconds: dict[Kind, float] = {"flagged": 0.0, "unflagged": 0.0}

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """As the guard's."""
        started = time.perf_counter()
        super().update_state(batch_update)
        self._following += time.perf_counter() - started

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """As the guard's.

        Args:
            logits: [batch, V] float32.
        """
        started = time.perf_counter()
        guarded = super().apply(logits)
        kind: Kind = "flagged" if self._rows else "unflagged"
        self._seconds[kind] += time.perf_counter() - started + self._following
        self._following = 0.0
        self._steps[kind] += 1
        if self._steps[kind] == _STEPS_A_LINE:
            with Path(os.environ[TIMES_VARIABLE]).open("a") as lines:
                lines.write(line_of(kind, _STEPS_A_LINE, self._seconds[kind]))
            self._steps[kind], self._seconds[kind] = 0, 0.0
        return guarded
