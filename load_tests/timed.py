"""The guard's logits processor with a watch on it: what a step costs, whatever else is noise."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

import torch

from guard.engine.vllm_v1 import GuardLogitsProcessor
from load_tests.times import TIMES_VARIABLE, line_of

_STEPS_A_LINE: Final = 32


class TimedGuardLogitsProcessor(GuardLogitsProcessor):
    """The same, each ``_STEPS_A_LINE`` guarded steps written to a file: how many, and seconds."""

    _steps = 0
    _seconds = 0.0

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """As the guard's.

        Args:
            logits: [batch, V] float32.
        """
        started = time.perf_counter()
        guarded = super().apply(logits)
        if self._rows:
            self._seconds += time.perf_counter() - started
            self._steps += 1
        if self._steps == _STEPS_A_LINE:
            with Path(os.environ[TIMES_VARIABLE]).open("a") as lines:
                lines.write(line_of(self._steps, self._seconds))
            self._steps, self._seconds = 0, 0.0
        return guarded
