"""The guard as a logits processor of vLLM's Model Runner V1 (CPU, and vLLM before 0.32).

Load it by name, not by entry point, so that vLLM hands over real output tokens under
asynchronous scheduling (vLLM issue 52461)::

    --logits-processors guard.engine.vllm_v1:GuardLogitsProcessor

Interface: ``vllm/v1/sample/logits_processor/interface.py`` of vLLM 0.32. Rows of a batch come, go
and move between steps; ``update_state`` follows that, and ``apply`` catches up with the tokens
sampled since and penalises. Requests with nothing active are forgotten at once.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import torch
import vllm
from vllm.tokenizers import cached_tokenizer_from_config
from vllm.v1.sample.logits_processor.interface import (
    BatchUpdate,
    LogitsProcessor,
    MoveDirectionality,
)

from guard.engine.bundles import LoadedBundle
from guard.engine.enforcer import Enforcer, Requirement, check_request
from guard.engine.matcher import PhraseMatcher
from guard.engine.probe import push
from guard.engine.versions import check_vllm_version
from guard.engine.vocabulary import token_bytes

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.config import VllmConfig

check_vllm_version(vllm.__version__)


class _Row:
    """One guarded request: what it must hold, and where its text stands in the automaton."""

    __slots__ = ("needs", "output", "read", "state")

    def __init__(self, output: list[int], needs: Requirement) -> None:
        self.output = output  # vLLM's own list, which grows as tokens are sampled
        self.needs = needs
        self.state: list[int] = []  # see guard/engine/matcher.py; set when the prompt is read
        self.read = 0  # how many output tokens `state` includes


class GuardLogitsProcessor(LogitsProcessor):
    """Enforces the guard plan that each request carries in ``extra_args``."""

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Refuse a request without a plan that can be kept; vLLM answers 400.

        Raises:
            ValueError: with the reason.
        """
        check_request(sampling_params.extra_args)

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        model = vllm_config.model_config
        tokenizer = cached_tokenizer_from_config(model)
        vocabulary = token_bytes(tokenizer, model.get_vocab_size())
        self._enforcer = Enforcer(vocabulary, int(tokenizer.eos_token_id), device)
        self._rows: dict[int, _Row] = {}

    def is_argmax_invariant(self) -> bool:
        """A ban can take away the most likely token."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Follow the batch: rows removed, then added, then moved."""
        if batch_update is None:
            return
        for index in batch_update.removed:
            self._rows.pop(index, None)
        fresh: list[tuple[_Row, list[int]]] = []
        for index, params, prompt, output in batch_update.added:
            self._rows.pop(index, None)
            needs = self._enforcer.requirement(params.extra_args)
            if needs is not None:
                self._rows[index] = row = _Row(output, needs)
                fresh.append((row, prompt or []))
        self._read_prompts(fresh)
        for source, target, direction in batch_update.moved:
            moving, displaced = self._rows.pop(source, None), self._rows.pop(target, None)
            if moving is not None:
                self._rows[target] = moving
            if displaced is not None and direction == MoveDirectionality.SWAP:
                self._rows[source] = displaced

    def _read_prompts(self, fresh: list[tuple[_Row, list[int]]]) -> None:
        """Read prompts, and the output so far of requests that were preempted."""
        by_bundle: dict[LoadedBundle, list[tuple[_Row, list[int]]]] = defaultdict(list)
        for row, prompt in fresh:
            if row.needs.bundle is not None:
                by_bundle[row.needs.bundle].append((row, prompt))
        for bundle, rows in by_bundle.items():
            known = [
                [*prompt, *(token for token in row.output if token >= 0)] for row, prompt in rows
            ]
            states = bundle.matcher.read_texts(known).tolist()
            for (row, prompt), text, state in zip(rows, known, states, strict=True):
                row.state, row.read = state, len(text) - len(prompt)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Penalise the guarded rows.

        Args:
            logits: [batch, V] float32, changed in place and returned.
        """
        if not self._rows:
            return logits
        by_bundle: dict[LoadedBundle, list[tuple[int, _Row]]] = defaultdict(list)
        for index, row in self._rows.items():
            if row.needs.bundle is None or -1 in row.output[row.read :]:
                # Unknown text cannot be guarded: end the answer here.
                logits[index] = float("-inf")
                logits[index, self._enforcer.end_token] = 0.0
                continue
            if row.needs.script is not None:
                push(logits, index, row.needs.script, len(row.output))
            by_bundle[row.needs.bundle].append((index, row))
        for bundle, rows in by_bundle.items():
            self._guard(logits, bundle.matcher, rows)
        return logits

    def _guard(
        self, logits: torch.Tensor, matcher: PhraseMatcher, rows: list[tuple[int, _Row]]
    ) -> None:
        device = logits.device
        state = torch.tensor([row.state for _, row in rows], device=device)
        unread = [row.output[row.read :] for _, row in rows]
        if any(unread):
            for step in range(max(map(len, unread))):
                tokens = [
                    text[step] if step < len(text) else matcher.empty_token for text in unread
                ]
                state = matcher.advance(state, torch.tensor(tokens, device=device))
            for (_, row), known in zip(rows, state.tolist(), strict=True):
                row.state, row.read = known, len(row.output)
        active = torch.stack([row.needs.active for _, row in rows]).to(device)
        indices = torch.tensor([index for index, _ in rows], device=device)
        matcher.penalise(logits, indices, state, active)
