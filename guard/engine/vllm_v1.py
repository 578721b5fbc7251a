"""The guard as a logits processor of vLLM's Model Runner V1 (CPU, and vLLM before 0.32).

Load it by name, not by entry point, so that vLLM hands over real output tokens under
asynchronous scheduling (vLLM issue 52461)::

    --logits-processors guard.engine.vllm_v1:GuardLogitsProcessor

Interface: ``vllm/v1/sample/logits_processor/interface.py`` of vLLM 0.32. Rows of a batch come, go
and move between steps; ``update_state`` follows that, and ``apply`` catches up with the tokens
sampled since and penalises. Requests with nothing active are forgotten at once.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import vllm
from vllm.v1.sample.logits_processor.interface import (
    BatchUpdate,
    LogitsProcessor,
    MoveDirectionality,
)

from guard.engine.bundles import BundleCache, LoadedBundle, admit, bundles_root
from guard.engine.matcher import PhraseMatcher
from guard.engine.probe import ProbeScribe, ProbeScript, push
from guard.engine.versions import check_vllm_version
from guard.engine.vocabulary import token_bytes
from guard.errors import GuardError
from guard.phrases import PhraseAutomaton
from guard.plan import XARG, admitted_plan, load_key

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.config import VllmConfig

check_vllm_version(vllm.__version__)

_log = logging.getLogger("vllm.unlearn_guard")


@lru_cache(maxsize=1)
def _trust() -> tuple[bytes, Path]:
    return load_key(), bundles_root()


class _Row:
    """One guarded request: where its text stands in the automaton, and what it must not say.

    ``bundle`` is None for a request whose plan could not be kept; it may say nothing.
    """

    __slots__ = ("active", "bundle", "output", "pending", "read", "script", "state")

    def __init__(
        self,
        output: list[int],
        bundle: LoadedBundle | None,
        active: torch.Tensor,
        script: ProbeScript | None,
    ) -> None:
        self.output = output
        self.bundle = bundle
        self.active = active
        self.script = script
        self.state = PhraseAutomaton.START
        self.pending = 0
        self.read = 0  # how many output tokens `state` includes


class GuardLogitsProcessor(LogitsProcessor):
    """Enforces the guard plan that each request carries in ``extra_args``."""

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Refuse a request without a plan that can be kept; vLLM answers 400.

        Raises:
            ValueError: with the reason.
        """
        try:
            admit((sampling_params.extra_args or {}).get(XARG), *_trust())
        except GuardError as error:
            raise ValueError(f"unlearn-guard: {error}") from error

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        from vllm.tokenizers import cached_tokenizer_from_config

        self._key, root = _trust()
        model = vllm_config.model_config
        tokenizer = cached_tokenizer_from_config(model)
        vocabulary = token_bytes(tokenizer, model.get_vocab_size())
        self._end_token = int(tokenizer.eos_token_id)
        self._bundles = BundleCache(root, vocabulary, device)
        self._scribe = ProbeScribe(vocabulary, self._end_token)
        self._rows: dict[int, _Row] = {}
        _log.info("unlearn-guard: enforcing plans, bundles in %s", root)

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
            row = self._admitted(params, output)
            if row is not None:
                self._rows[index] = row
                fresh.append((row, prompt or []))
        self._read_prompts(fresh)
        for source, target, direction in batch_update.moved:
            moving, displaced = self._rows.pop(source, None), self._rows.pop(target, None)
            if moving is not None:
                self._rows[target] = moving
            if displaced is not None and direction == MoveDirectionality.SWAP:
                self._rows[source] = displaced

    def _admitted(self, params: SamplingParams, output: list[int]) -> _Row | None:
        try:
            plan = admitted_plan((params.extra_args or {}).get(XARG), self._key)
            if not plan.targets:
                return None
            bundle = self._bundles.get(plan.bundle)
            active = bundle.active_row(plan.targets)
        except (GuardError, KeyError) as error:
            # Admission checked all of this in the API process. Raising here would stop the engine
            # for everyone, so this request alone ends, without a word.
            _log.error("unlearn-guard: a request was silenced: %s", error)
            return _Row(output, None, torch.zeros(0, dtype=torch.bool), None)
        script = self._scribe.write(plan.nonce) if plan.mode == "probe" else None
        return _Row(output, bundle, active, script)

    def _read_prompts(self, fresh: list[tuple[_Row, list[int]]]) -> None:
        """Read prompts, and the output so far of requests that were preempted."""
        by_bundle: dict[LoadedBundle, list[tuple[_Row, list[int]]]] = defaultdict(list)
        for row, prompt in fresh:
            if row.bundle is not None:
                by_bundle[row.bundle].append((row, prompt))
        for bundle, rows in by_bundle.items():
            known = [
                [*prompt, *(token for token in row.output if token >= 0)] for row, prompt in rows
            ]
            states, pendings = bundle.matcher.starting_states(known)
            for (row, prompt), text, state, pending in zip(
                rows, known, states.tolist(), pendings.tolist(), strict=True
            ):
                row.state, row.pending, row.read = state, pending, len(text) - len(prompt)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Penalise the guarded rows.

        Args:
            logits: [batch, V] float32, changed in place and returned.
        """
        if not self._rows:
            return logits
        by_bundle: dict[LoadedBundle, list[tuple[int, _Row]]] = defaultdict(list)
        for index, row in self._rows.items():
            if row.bundle is None or -1 in row.output[row.read :]:
                # Unknown text cannot be guarded: end the answer here.
                logits[index] = float("-inf")
                logits[index, self._end_token] = 0.0
                continue
            if row.script is not None:
                push(logits, index, row.script, len(row.output))
            by_bundle[row.bundle].append((index, row))
        for bundle, rows in by_bundle.items():
            self._guard(logits, bundle.matcher, rows)
        return logits

    def _guard(
        self, logits: torch.Tensor, matcher: PhraseMatcher, rows: list[tuple[int, _Row]]
    ) -> None:
        device = logits.device
        state = torch.tensor([row.state for _, row in rows], device=device)
        pending = torch.tensor([row.pending for _, row in rows], device=device)
        unread = [row.output[row.read :] for _, row in rows]
        if any(unread):
            for step in range(max(map(len, unread))):
                tokens = [
                    text[step] if step < len(text) else matcher.empty_token for text in unread
                ]
                state, pending = matcher.advance(
                    state, pending, torch.tensor(tokens, device=device)
                )
            for (_, row), known_state, known_pending in zip(
                rows, state.tolist(), pending.tolist(), strict=True
            ):
                row.state, row.pending, row.read = known_state, known_pending, len(row.output)
        active = torch.stack([row.active for _, row in rows]).to(device)
        indices = torch.tensor([index for index, _ in rows], device=device)
        matcher.penalise(logits, indices, state, pending, active)
