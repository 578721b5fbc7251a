"""A logits processor that does nothing: what vLLM itself pays for any custom processor."""

from __future__ import annotations

import torch
from vllm import SamplingParams
from vllm.config import VllmConfig
from vllm.v1.sample.logits_processor.interface import BatchUpdate, LogitsProcessor


class IdleLogitsProcessor(LogitsProcessor):
    """Follows no batch and changes no logits."""

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Accept every request."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        """Keep nothing."""

    def is_argmax_invariant(self) -> bool:
        """As the guard says, so that vLLM calls it at the same place."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Ignore the batch."""

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """The logits as they are.

        Args:
            logits: [batch, V] float32.
        """
        return logits
