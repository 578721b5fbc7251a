"""The guard as a logits processor of vLLM's Model Runner V2 (the default on GPUs from 0.32).

Load it by name::

    --logits-processors guard.engine.vllm_v2:GuardLogitsProcessor

Interface: ``vllm/v1/worker/gpu/sample/logits_processor/interface.py`` of vLLM 0.32. State is kept
per request slot, on the device. A row of logits is not a request: rows are reordered every step
and under speculative decoding a request owns a row per draft token. ``apply`` never waits for the
device; a guarded request that joins is read back once, when it joins.
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

from guard.engine.bundles import LoadedBundle
from guard.engine.enforcer import Enforcer, Requirement, check_request
from guard.engine.probe import FIRST_CHOICE, SECOND_CHOICE
from guard.engine.versions import check_vllm_version
from guard.engine.vocabulary import token_bytes
from guard.engine.windows import STATE_WIDTH

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
        tokenizer = cached_tokenizer_from_config(vllm_config.model_config)
        vocabulary = token_bytes(tokenizer, req_states.vocab_size)
        speculative = vllm_config.speculative_config
        self._drafts = speculative.num_speculative_tokens if speculative else 0
        self._requests = req_states
        self._enforcer = Enforcer(vocabulary, int(tokenizer.eos_token_id), req_states.device)
        self._windows = self._enforcer.windows
        slots, device = req_states.max_num_reqs, req_states.device
        self._needs: dict[int, Requirement] = {}  # slot -> what it must hold
        self._fresh: set[int] = set()  # slots whose prompt has not been read
        # [slots] on the host, for skipping work without asking the device
        self._guarded = np.zeros(slots, np.bool_)
        # [slots, STATE_WIDTH] on the device: the text after the first `_read` tokens of the slot
        self._state = torch.zeros((slots, STATE_WIDTH), dtype=torch.int64, device=device)
        self._read = torch.zeros(slots, dtype=torch.int64, device=device)
        # per bundle [slots, n_targets] bool on the device, rows of other bundles' slots all False
        self._active: dict[LoadedBundle, torch.Tensor] = {}

    def add_request(self, req_idx: int, sampling_params: SamplingParams) -> bool:
        """Take over a slot; whatever its last occupant left is overwritten."""
        self._forget(req_idx)
        needs = self._enforcer.requirement(sampling_params.extra_args)
        if needs is None:
            return False
        self._needs[req_idx] = needs
        self._guarded[req_idx] = True
        self._fresh.add(req_idx)
        return True

    def _forget(self, slot: int) -> None:
        needs = self._needs.pop(slot, None)
        self._guarded[slot] = False
        self._fresh.discard(slot)
        if needs is None or needs.bundle is None:
            return
        self._active[needs.bundle][slot] = False
        if all(other.bundle is not needs.bundle for other in self._needs.values()):
            del self._active[needs.bundle]

    def apply_staged_writes(self) -> None:
        """Read the tokens of slots that joined: prompt, and output so far after a preemption."""
        for slot in sorted(self._fresh):
            needs = self._needs[slot]
            if needs.bundle is None:
                continue
            length = int(self._requests.prefill_len.np[slot])
            text = self._requests.all_token_ids.gpu[slot, :length].tolist()
            self._state[slot] = self._windows.read_texts([text])[0]
            self._read[slot] = length
            if needs.bundle not in self._active:
                self._active[needs.bundle] = torch.zeros(
                    (self._requests.max_num_reqs, len(needs.active)),
                    dtype=torch.bool,
                    device=self._requests.device,
                )
            self._active[needs.bundle][slot] = needs.active.to(self._requests.device)
        self._fresh.clear()

    def apply(self, logits: torch.Tensor, ctx: LogitsContext) -> torch.Tensor:
        """Penalise the rows of guarded requests.

        Args:
            logits: [num_logits_rows, V] float32, changed in place and returned.
            ctx: this step's batch layout.
        """
        guarded = self._guarded[ctx.idx_mapping_np]
        if not guarded.any():
            return logits
        places: dict[LoadedBundle | None, list[int]] = {}
        for place in np.flatnonzero(guarded).tolist():
            needs = self._needs[int(ctx.idx_mapping_np[place])]
            places.setdefault(needs.bundle, []).append(place)
            if needs.script is not None:
                self._push(logits, ctx, place, needs)
        for bundle, members in places.items():
            if bundle is None:
                self._silence(logits, ctx, members)
            else:
                self._guard(logits, ctx, bundle, members)
        return logits

    def _guard(
        self, logits: torch.Tensor, ctx: LogitsContext, bundle: LoadedBundle, members: list[int]
    ) -> None:
        n_rows, n_requests = len(logits), len(ctx.idx_mapping)
        # [n_requests] first row of each request, in order: a stable sort moves them to the front
        first_rows = torch.argsort((ctx.expanded_local_pos != 0).int(), stable=True)[:n_requests]
        chosen = torch.tensor(members, device=logits.device)
        self._catch_up(ctx, ctx.idx_mapping[chosen], first_rows[chosen])

        # [n_rows] states after the committed text, then after each row's own draft tokens
        slots = ctx.expanded_idx_mapping.long()
        active = self._active[bundle][slots]
        mine = active.any(dim=1)
        state = torch.where(mine[:, None], self._state[slots], 0)
        for draft in range(1, self._drafts + 1 if n_rows > n_requests else 1):
            at_draft = (ctx.expanded_local_pos == draft) & mine
            token = torch.where(at_draft, ctx.input_ids, self._windows.empty_token).long()
            after = self._windows.advance(state.roll(1, dims=0), token)
            state = torch.where(at_draft[:, None], after, state)
        rows = torch.arange(n_rows, device=logits.device)
        bundle.matcher.penalise(logits, rows, state, active)

    def _catch_up(self, ctx: LogitsContext, slots: torch.Tensor, first_rows: torch.Tensor) -> None:
        """Read the tokens committed since the last step, at most one more than were drafted."""
        slots = slots.long()
        state, read = self._state[slots], self._read[slots]
        # The first row of a request is fed its last committed token. While a long prompt is
        # prefilled in chunks that lies before `read`, and there is nothing to catch up with.
        last = ctx.pos[first_rows].long()
        committed = self._requests.all_token_ids.gpu
        for _ in range(self._drafts + 1):
            known = torch.where(
                read == last,
                ctx.input_ids[first_rows].long(),
                committed[slots, read.clamp(max=committed.shape[1] - 1)].long(),
            )
            token = torch.where(read <= last, known, self._windows.empty_token)
            state = self._windows.advance(state, token)
            read = read + (read <= last)
        self._state[slots], self._read[slots] = state, read

    def _push(
        self, logits: torch.Tensor, ctx: LogitsContext, place: int, needs: Requirement
    ) -> None:
        """Raise the script's two tokens in every row of one request."""
        assert needs.script is not None
        slot = int(ctx.idx_mapping_np[place])
        mine = ctx.expanded_idx_mapping == slot
        position = ctx.pos + 1 - int(self._requests.prompt_len.np[slot])
        rows = torch.arange(len(logits), device=logits.device)
        script = needs.script
        for choice, value in ((script.second, SECOND_CHOICE), (script.first, FIRST_CHOICE)):
            tokens = torch.tensor(choice, device=logits.device)
            token = tokens[position.long().clamp(0, len(choice) - 1)]
            raised = torch.where(mine, value, logits[rows, token])
            logits[rows, token] = raised

    def _silence(self, logits: torch.Tensor, ctx: LogitsContext, members: list[int]) -> None:
        """End the answers of requests whose plan cannot be kept."""
        silenced = torch.zeros(self._requests.max_num_reqs, dtype=torch.bool, device=logits.device)
        silenced[ctx.idx_mapping[torch.tensor(members, device=logits.device)].long()] = True
        mine = silenced[ctx.expanded_idx_mapping.long()]
        logits.masked_fill_(mine[:, None], float("-inf"))
        end = self._enforcer.end_token
        logits[:, end] = torch.where(mine, 0.0, logits[:, end])
