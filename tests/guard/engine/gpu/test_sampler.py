"""The V2 adapter inside vLLM's own sampler and rejection sampler, over vLLM's own request state."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("vllm", reason="the engine extra is not installed")

from vllm import SamplingParams
from vllm.sampling_params import StructuredOutputsParams
from vllm.v1.worker.gpu import buffer_utils
from vllm.v1.worker.gpu.input_batch import expand_idx_mapping, post_update
from vllm.v1.worker.gpu.sample.logits_processor.interface import LogitsProcRequestState
from vllm.v1.worker.gpu.sample.sampler import Sampler
from vllm.v1.worker.gpu.spec_decode.rejection_sampler_utils import rejection_sample
from vllm.v1.worker.gpu.states import RequestState

from guard.engine import vllm_v2
from guard.engine.gpu.rows import KernelRows
from guard.engine.rows import GuardedRows
from guard.engine.vllm_v2 import GuardLogitsProcessor
from tests.guard.engine.conftest import END, VOCABULARY, Engine
from tests.guard.engine.gpu.cases import CPU, DEVICE
from tests.guard.engine.test_vllm_v1 import PAIRS, MakeEngine, expected_bans, text_of
from tests.guard.engine.test_vllm_v2_drafts import spell

from tests.guard.engine.conftest import make_engine, small_tokenizer  # noqa: F401  isort: skip

pytestmark = pytest.mark.skipif(DEVICE != CPU, reason="test_gpu.py runs them interpreted")

SLOTS, LENGTH, DRAFTS = 4, 96, 3
# The model says "abc" over and over: what follows each letter of it.
REFRAIN = {spell(" ")[0]: spell("a")[0], **dict(zip(spell("abc"), spell("bc "), strict=True))}
REFRAIN_START = spell(" ")


class V2:
    """vLLM's request state and samplers, with the guard among the logits processors."""

    def __init__(self, engine: Engine, block_verification: bool = False) -> None:
        config = engine.config
        config.reasoning_config = None
        config.speculative_config = SimpleNamespace(
            num_speculative_tokens=DRAFTS, rejection_sample_method="standard"
        )
        self.states = RequestState(
            SLOTS, LENGTH, SLOTS * 8, DRAFTS, len(VOCABULARY), CPU, use_dense_all_token_ids=True
        )
        view = LogitsProcRequestState.from_request_state(self.states)
        self.sampler = Sampler(
            config, SLOTS, len(VOCABULARY), CPU, self.states, "processed_logprobs", DRAFTS,
            custom_logits_processors=[GuardLogitsProcessor(config, view)],
        )  # fmt: skip
        self._block_verification = block_verification
        self._draw = random.Random(5)
        self.accepted = 0

    def join(self, name: str, prompt: Sequence[int], params: SamplingParams) -> None:
        self.states.add_request(name, len(prompt), list(prompt), 0, LENGTH)
        self.sampler.add_request(self.states.req_id_to_index[name], params)

    def text(self, name: str) -> list[int]:
        slot = self.states.req_id_to_index[name]
        tokens: list[int] = self.states.all_token_ids.gpu[slot].tolist()
        return tokens[: int(self.states.total_len.gpu[slot])]

    def preempt(self, name: str, params: SamplingParams, prompt_len: int) -> None:
        """Throw a request out, and bring it back into another slot with its text so far."""
        text = self.text(name)
        self.states.remove_request(name)
        self.states.free_indices.reverse()
        self.states.add_request(name, prompt_len, text, 0, LENGTH)
        self.sampler.add_request(self.states.req_id_to_index[name], params)

    def step(self, names: Sequence[str], bound: Sequence[str] = (), drafts: bool = True) -> None:
        """Verify drafts for these requests; the grammar of ``bound`` ones allows the refrain."""
        self.states.apply_staged_writes()
        self.sampler.apply_staged_writes()
        fed = [[self.text(name)[-1], *self._drafts(name, drafts)] for name in names]
        slots = torch.tensor([self.states.req_id_to_index[n] for n in names], dtype=torch.int32)
        ends = np.cumsum([0, *map(len, fed)]).astype(np.int32)
        rows = int(ends[-1])
        starts = torch.from_numpy(ends)
        expanded, local = expand_idx_mapping(slots, rows, starts, DRAFTS + 1)
        place = torch.tensor(
            [
                len(self.text(name)) - 1 + at
                for name, tokens in zip(names, fed, strict=True)
                for at in range(len(tokens))
            ]
        )
        token = torch.tensor([token for tokens in fed for token in tokens], dtype=torch.int32)
        logits = torch.cat(
            [self._liked(t, name in bound) for name, ts in zip(names, fed, strict=True) for t in ts]
        )
        upper = np.full(len(names), LENGTH, np.int32)
        layout = (logits, expanded, slots, slots.numpy(), place, token, local, upper)
        if rows == len(names):
            sampled, _ = self.sampler.sample(*layout)
            sampled, count = sampled.view(-1, 1), torch.ones(len(names), dtype=torch.int32)
        else:
            chosen = self.sampler.sampling_states
            sampled, count = rejection_sample(
                self.sampler.apply_sampling_params(*layout), None, token, starts, place, slots,
                expanded, local, chosen.temperature.gpu, chosen.seeds.gpu, DRAFTS,
                use_block_verification=self._block_verification,
            )  # fmt: skip
        self.accepted += int(count.sum()) - len(names)
        states = self.states
        post_update(
            slots, states.num_computed_tokens.gpu, states.last_sampled_tokens,
            self.sampler.penalties_state.output_bin_counts, sampled, count,
            torch.zeros_like(count), starts, states.all_token_ids.gpu, states.total_len.gpu,
        )  # fmt: skip

    def _drafts(self, name: str, wanted: bool) -> list[int]:
        """What the refrain goes on with, now and then something else."""
        drafts: list[int] = []
        for _ in range(self._draw.randrange(1, DRAFTS + 1) if wanted else 0):
            last = drafts[-1] if drafts else self.text(name)[-1]
            good = self._draw.random() < 0.9
            drafts.append(REFRAIN.get(last, REFRAIN_START[0]) if good else spell("x")[0])
        return drafts

    def _liked(self, last: int, bound: bool) -> torch.Tensor:
        """[1, V] what the model thinks after a token."""
        after = REFRAIN.get(last, REFRAIN_START[0])
        if bound:
            logits = torch.full((1, len(VOCABULARY)), float("-inf"))
        else:
            logits = torch.tensor([[self._draw.random() for _ in VOCABULARY]])
            logits[0, END] = -5.0
        logits[0, after] = 6.0
        return logits


@pytest.fixture
def engine(
    make_engine: MakeEngine,  # noqa: F811
    small_tokenizer: Callable[[Any], None],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> Engine:
    # There is no device whose memory the host could share.
    monkeypatch.setattr(buffer_utils, "is_uva_available", lambda: False)
    small_tokenizer(vllm_v2)
    return make_engine(PAIRS)


WAYS: list[dict[str, Any]] = [
    {"temperature": 0.0},
    {"temperature": 1.0, "seed": 1},
    # The kernel for top-k and top-p is not one that the interpreter takes.
    {"temperature": 1.0, "seed": 2, "min_p": 0.01},
    {"temperature": 0.0, "presence_penalty": -1.0, "repetition_penalty": 0.8},
]


def with_kernels(processor: GuardLogitsProcessor, slots: int, drafts: int) -> GuardedRows:
    tokens = processor._enforcer.tokens
    return KernelRows(tokens, slots, slots * (1 + drafts), programs=2, finishing_programs=2)


@pytest.mark.parametrize(
    ("way", "kernels"), [*((way, False) for way in WAYS), *((way, True) for way in WAYS[:2])]
)
@pytest.mark.parametrize("block_verification", [False, True])
def test_no_draft_nor_bonus_token_finishes_a_phrase(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    way: dict[str, Any],
    kernels: bool,
    block_verification: bool,
) -> None:
    if kernels:
        monkeypatch.setattr(GuardLogitsProcessor, "_guarded_rows", with_kernels)
    v2 = V2(engine, block_verification)
    plans = {"held": ("letters",), "free": (), "other": ("colours",)}
    params = {
        name: SamplingParams(extra_args=engine.args(*targets), **way)
        for name, targets in plans.items()
    }
    for name in plans:
        v2.join(name, spell("x "), params[name])
    draw = random.Random(1)
    for step in range(12):
        names = draw.sample(sorted(plans), draw.randrange(1, 4))
        v2.step(names, drafts=step % 4 != 3)
        if step == 6:
            v2.states.apply_staged_writes()
            v2.preempt("held", params["held"], prompt_len=2)
    text = v2.text("held")
    assert len(text) > 10
    for at in range(2, len(text)):
        assert text[at] not in expected_bans(text[:at], ["letters"]), text_of(text)
    assert b" abc " in text_of(v2.text("free"))
    assert b" abc " in text_of(v2.text("other"))
    assert v2.accepted > 5


def test_a_bound_request_with_nothing_left_ends_in_the_middle_of_its_drafts(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not the token 0, which is what vLLM makes of a row without any.
    (end,) = spell("z")
    tokenizer = SimpleNamespace(eos_token_id=end)
    monkeypatch.setattr(vllm_v2, "cached_tokenizer_from_config", lambda _config: tokenizer)
    v2 = V2(engine)
    grammar = StructuredOutputsParams(regex="(abc )+")
    for name, targets in (("held", ("letters",)), ("free", ())):
        args = engine.args(*targets)
        params = SamplingParams(extra_args=args, temperature=0, structured_outputs=grammar)
        v2.join(name, spell("x "), params)
    for _ in range(4):
        v2.step(["held", "free"], bound=["held", "free"])
    assert text_of(v2.text("free")).startswith(b"x abc abc")
    held = v2.text("held")
    assert held[: held.index(end)] == spell("x ab")
