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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from guard.engine.enforcer import (
    Enforcer,
    Requirement,
    check_request,
    end_where_nothing_is_left,
    is_narrowed,
)
from guard.engine.probe import push
from guard.engine.reader import TextReader, reader_of
from guard.engine.support import check_settings
from guard.engine.versions import check_vllm_version
from guard.engine.vocabulary import token_bytes

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.config import VllmConfig

check_vllm_version(vllm.__version__)


class _Row:
    """One guarded request: what it must hold, and what the sampler remembers of its text.

    Args:
        prompt: token ids.
        output: vLLM's own list, which grows as tokens are sampled; those of a request that was
            preempted are in it.
        narrowed: whether something besides the guard takes tokens away.
    """

    __slots__ = ("_prompt", "narrowed", "needs", "output", "read", "state")

    def __init__(
        self,
        prompt: Sequence[int],
        output: list[int],
        needs: Requirement,
        narrowed: bool,
        reader: TextReader,
    ) -> None:
        self._prompt = prompt
        self.output = output
        self.needs = needs
        self.narrowed = narrowed
        self.state = self.start(reader)

    def start(self, reader: TextReader) -> torch.Tensor:
        """[READER_WIDTH] the state after all that is known of the text."""
        known = [token for token in self.output if token >= 0]
        self.read = len(known)  # how many output tokens the state includes
        return reader.read_texts([[*self._prompt, *known]])[0]

    def unread(self) -> list[int]:
        """Output tokens that are not in the state yet; a negative one is not known."""
        return self.output[self.read :]


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows of one bundle."""

    bundle: LoadedBundle
    indices: torch.Tensor  # [b] rows of the logits
    places: torch.Tensor  # [b] rows of the batch's state, in order
    active: torch.Tensor  # [b, n_slots]

    def penalise(self, logits: torch.Tensor, state: torch.Tensor) -> None:
        """Penalise these rows; ``state`` is the batch's."""
        own = state if len(state) == len(self.places) else state[self.places]
        self.bundle.penalise(logits, self.indices, own, self.active)


class _Batch:
    """The guarded rows while none joins, leaves or moves: their states as one tensor."""

    def __init__(self, rows: Mapping[int, _Row], reader: TextReader) -> None:
        device = reader.device
        self._reader = reader
        self.rows = list(rows.items())
        self.state = torch.stack([row.state for row in rows.values()]).to(device)
        by_bundle: dict[LoadedBundle, list[int]] = defaultdict(list)
        for place, (_, row) in enumerate(self.rows):
            if row.needs.bundle is not None:
                by_bundle[row.needs.bundle].append(place)
        self.groups = [
            self._group(bundle, torch.tensor(places, device=device))
            for bundle, places in by_bundle.items()
        ]
        self._narrowed = [index for index, row in self.rows if row.narrowed]

    def _group(self, bundle: LoadedBundle, places: torch.Tensor) -> _Group:
        members = [self.rows[place] for place in places.tolist()]
        indices = torch.tensor([index for index, _ in members], device=places.device)
        active = torch.stack([row.needs.active for _, row in members]).to(places.device)
        return _Group(bundle, indices, places, active)

    def narrowed(self, rows: int) -> torch.Tensor | None:
        """[rows] bool, those of the logits that something else binds too; None for none."""
        if not self._narrowed:
            return None
        found = torch.zeros(rows, dtype=torch.bool)
        found[self._narrowed] = True
        return found.to(self.state.device)

    def catch_up(self) -> list[int]:
        """Read what was sampled since; the rows of the logits whose text is not known."""
        unread, unknown = [], []
        for place, (index, row) in enumerate(self.rows):
            # vLLM takes tokens back that it could not load the KV cache for.
            if len(row.output) < row.read:
                self.state[place] = row.start(self._reader)
            tokens = row.unread()
            if row.needs.bundle is None or -1 in tokens:
                unknown.append(index)
                tokens = []
            else:
                row.read += len(tokens)
            unread.append(tokens)
        for step in range(max(map(len, unread))):
            tokens = [
                text[step] if step < len(text) else self._reader.empty_token for text in unread
            ]
            self.state = self._reader.advance(
                self.state, torch.tensor(tokens, device=self.state.device)
            )
        return unknown

    def put_back(self) -> None:
        """Leave each row its own state."""
        for (_, row), state in zip(self.rows, self.state, strict=True):
            row.state = state


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
        check_settings(vllm_config)
        model = vllm_config.model_config
        tokenizer = cached_tokenizer_from_config(model)
        vocabulary = token_bytes(tokenizer, model.get_vocab_size())
        self._enforcer = Enforcer(vocabulary, int(tokenizer.eos_token_id), device)
        self._reader = reader_of(self._enforcer.tokens)
        self._rows: dict[int, _Row] = {}
        self._batch: _Batch | None = None  # made of `_rows` when it is needed

    def is_argmax_invariant(self) -> bool:
        """A ban can take away the most likely token."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Follow the batch: rows removed, then added, then moved."""
        if batch_update is None:
            return
        if self._batch is not None:
            self._batch.put_back()
            self._batch = None
        for index in batch_update.removed:
            self._rows.pop(index, None)
        for index, params, prompt, output in batch_update.added:
            self._rows.pop(index, None)
            needs = self._enforcer.requirement(params.extra_args)
            if needs is not None:
                narrowed = is_narrowed(params)
                self._rows[index] = _Row(prompt or [], output, needs, narrowed, self._reader)
        for source, target, direction in batch_update.moved:
            moving, displaced = self._rows.pop(source, None), self._rows.pop(target, None)
            if moving is not None:
                self._rows[target] = moving
            if displaced is not None and direction == MoveDirectionality.SWAP:
                self._rows[source] = displaced

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Penalise the guarded rows.

        Args:
            logits: [batch, V] float32, changed in place and returned.
        """
        if not self._rows:
            return logits
        if self._batch is None:
            self._batch = _Batch(self._rows, self._reader)
        batch = self._batch
        unknown = batch.catch_up()
        for index, row in batch.rows:
            if row.needs.script is not None:
                push(logits, index, row.needs.script, len(row.output))
        for group in batch.groups:
            group.penalise(logits, batch.state)
        for index in unknown:
            # Unknown text cannot be guarded: end the answer here.
            logits[index] = float("-inf")
            logits[index, self._enforcer.end_token] = 0.0
        narrowed = batch.narrowed(len(logits))
        if narrowed is not None:
            end_where_nothing_is_left(logits, narrowed, self._enforcer.end_token)
        return logits
