"""The guard as a logits processor of vLLM's Model Runner V2 (the default on GPUs from 0.32).

Load it by name::

    --logits-processors guard.engine.vllm_v2:GuardLogitsProcessor

Interface: ``vllm/v1/worker/gpu/sample/logits_processor/interface.py`` of vLLM 0.32. State is kept
per request slot, on the device (``guard.engine.rows``). A row of logits is not a request: rows are
reordered every step and under speculative decoding a request owns a row per draft token. On a GPU
nothing here waits for the device, neither in a step nor when a request joins: the kernels read its
prompt where it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import vllm
from vllm.tokenizers import cached_tokenizer_from_config
from vllm.v1.worker.gpu.sample.logits_processor.interface import (
    LogitsContext,
    LogitsProcessor,
    LogitsProcRequestState,
)

from guard.engine.enforcer import (
    Enforcer,
    Requirement,
    check_request,
    end_where_nothing_is_left,
    is_narrowed,
)
from guard.engine.probe import FIRST_CHOICE, SECOND_CHOICE, ProbeScript
from guard.engine.rows import SILENCED, UNGUARDED, GuardedRows, StepRows, TorchRows, to_device
from guard.engine.support import check_settings
from guard.engine.versions import check_vllm_version
from guard.engine.vocabulary import token_bytes
from guard.errors import EngineUnsupportedError

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.config import VllmConfig

check_vllm_version(vllm.__version__)


class GuardLogitsProcessor(LogitsProcessor):
    """Enforces the guard plan that each request carries in ``extra_args``."""

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Refuse a request without a plan that can be kept; vLLM answers 400.

        Raises:
            ValueError: with the reason.
        """
        check_request(sampling_params.extra_args)

    def __init__(self, vllm_config: VllmConfig, req_states: LogitsProcRequestState) -> None:
        check_settings(vllm_config)
        tokenizer = cached_tokenizer_from_config(vllm_config.model_config)
        vocabulary = token_bytes(tokenizer, req_states.vocab_size)
        speculative = vllm_config.speculative_config
        drafts = speculative.num_speculative_tokens if speculative else 0
        self._requests = req_states
        self._enforcer = Enforcer(vocabulary, int(tokenizer.eos_token_id), req_states.device)
        self._rows = self._guarded_rows(req_states.max_num_reqs, drafts)
        self._scripts: dict[int, _Script] = {}  # by slot
        # [slots] whether there is a script; whether something else takes tokens away, too
        self._scripted = np.zeros(req_states.max_num_reqs, np.bool_)
        self._narrowed = np.zeros(req_states.max_num_reqs, np.bool_)

    def _guarded_rows(self, slots: int, drafts: int) -> GuardedRows:
        tokens = self._enforcer.tokens
        if tokens.windows.device.type != "cuda":
            return TorchRows(tokens, slots)
        try:
            # Imported here, since it needs Triton.
            from guard.engine.gpu.rows import KernelRows
        except ImportError as error:
            raise EngineUnsupportedError(
                f"the guard's kernels cannot be loaded: {error}",
                fix="install the Triton that your torch asks for; vLLM for GPUs brings it",
            ) from error
        return KernelRows(tokens, slots, slots * (1 + drafts))

    def add_request(self, req_idx: int, sampling_params: SamplingParams) -> bool:
        """Take over a slot; whatever its last occupant left is overwritten."""
        self._scripts.pop(req_idx, None)
        self._scripted[req_idx] = False
        self._narrowed[req_idx] = is_narrowed(sampling_params)
        needs = self._enforcer.requirement(sampling_params.extra_args)
        if needs is None:
            self._rows.leave(req_idx)
            return False
        self._take(req_idx, needs)
        return True

    def _take(self, slot: int, needs: Requirement) -> None:
        if needs.bundle is None:
            self._rows.silence(slot)
            return
        self._rows.join(slot, needs.bundle, needs.active)
        if needs.script is not None:
            self._scripts[slot] = _Script(needs.script, self._requests.device)
            self._scripted[slot] = True

    def apply_staged_writes(self) -> None:
        """Tell the device which requests joined since the last step."""
        self._rows.flush()

    def apply(self, logits: torch.Tensor, ctx: LogitsContext) -> torch.Tensor:
        """Penalise the rows of guarded requests.

        Args:
            logits: [num_logits_rows, V] float32, changed in place and returned.
            ctx: this step's batch layout.
        """
        held = self._rows.among(ctx.idx_mapping_np)
        if not held:
            return logits
        for slot in ctx.idx_mapping_np[self._scripted[ctx.idx_mapping_np]].tolist():
            self._push(logits, ctx, slot)
        token = ctx.input_ids
        if len(logits) != len(ctx.idx_mapping_np):
            # Drafts that stand for nothing are -1; vLLM rejects them, and what follows.
            token = token.clamp(min=0)
        step = StepRows(
            slot=ctx.expanded_idx_mapping,
            local=ctx.expanded_local_pos,
            token=token,
            position=ctx.pos,
            committed=self._requests.all_token_ids.gpu,
        )
        self._rows.penalise(logits, step, ctx.idx_mapping_np)
        if SILENCED in held:
            self._silence(logits, ctx)
        if self._narrowed[ctx.idx_mapping_np].any():
            guarded = self._rows.owner[ctx.expanded_idx_mapping.long()] != UNGUARDED
            end_where_nothing_is_left(logits, guarded, self._enforcer.end_token)
        return logits

    def _push(self, logits: torch.Tensor, ctx: LogitsContext, slot: int) -> None:
        """Raise a script's two tokens in every row of one request."""
        script = self._scripts[slot]
        mine = ctx.expanded_idx_mapping == slot
        position = ctx.pos + 1 - int(self._requests.prompt_len.np[slot])
        rows = torch.arange(len(logits), device=logits.device)
        place = position.long().clamp(0, script.choices.shape[1] - 1)
        for tokens, value in zip(script.choices, (SECOND_CHOICE, FIRST_CHOICE), strict=True):
            token = tokens[place]
            logits[rows, token] = torch.where(mine, value, logits[rows, token])

    def _silence(self, logits: torch.Tensor, ctx: LogitsContext) -> None:
        """End the answers of requests whose plan cannot be kept."""
        mine = self._rows.owner[ctx.expanded_idx_mapping.long()] == SILENCED
        logits.masked_fill_(mine[:, None], float("-inf"))
        end = self._enforcer.end_token
        logits[:, end] = torch.where(mine, 0.0, logits[:, end])


class _Script:
    """A canary's script on the device.

    Attributes:
        choices: [2, positions] int64, the second choice at each output position, then the first.
    """

    def __init__(self, script: ProbeScript, device: torch.device) -> None:
        self.choices = to_device(np.array([script.second, script.first], np.int64), device)
