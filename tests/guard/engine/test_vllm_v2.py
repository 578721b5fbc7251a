"""The V2 adapter against vLLM's own interface classes, on CPU tensors."""

import random
import sys
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("vllm", reason="the engine extra is not installed")

from vllm import SamplingParams
from vllm.v1.worker.gpu.sample.logits_processor.interface import (
    LogitsContext,
    LogitsProcRequestState,
)
from vllm.v1.worker.gpu.sample.logits_processor.loader import _load_v2_logitsprocs_by_fqcns

from guard.bundle import CANARY_TARGET
from guard.engine import vllm_v2
from guard.engine.vllm_v2 import GuardLogitsProcessor
from guard.errors import EngineUnsupportedError
from tests.guard.engine.conftest import END, VOCABULARY, Engine
from tests.guard.engine.test_vllm_v1 import PAIRS, MakeEngine, bans, expected_bans, text_of

SLOTS, LENGTH = 6, 64


class Runner:
    """The parts of the V2 model runner that a logits processor sees."""

    def __init__(self, engine: Engine, drafts: int) -> None:
        engine.config.speculative_config = (
            SimpleNamespace(num_speculative_tokens=drafts, rejection_sample_method="standard")
            if drafts
            else None
        )
        self.tokens = torch.zeros(SLOTS, LENGTH, dtype=torch.int32)
        self.prompt_len = np.zeros(SLOTS, np.int32)
        self.prefill_len = np.zeros(SLOTS, np.int32)
        self.text: dict[int, list[int]] = {}
        self.processor = GuardLogitsProcessor(
            engine.config,
            LogitsProcRequestState(
                device=torch.device("cpu"),
                max_num_reqs=SLOTS,
                vocab_size=len(VOCABULARY),
                all_token_ids=SimpleNamespace(gpu=self.tokens),
                prompt_len=SimpleNamespace(np=self.prompt_len),
                prefill_len=SimpleNamespace(np=self.prefill_len),
                total_len=SimpleNamespace(),
            ),
        )

    def join(
        self,
        slot: int,
        args: dict[str, Any],
        text: Sequence[int],
        prompt_len: int,
        **fields: Any,
    ) -> bool:
        self.text[slot] = list(text)
        self.prompt_len[slot], self.prefill_len[slot] = prompt_len, len(text)
        self.tokens[slot, : len(text)] = torch.tensor(list(text), dtype=torch.int32)
        return self.processor.add_request(slot, SamplingParams(extra_args=args, **fields))

    def step(self, order: Sequence[int], drafts: dict[int, list[int]]) -> torch.Tensor:
        """One step over these slots; returns the processed logits, a row per draft and one more."""
        self.processor.apply_staged_writes()
        rows = sum(1 + len(drafts.get(slot, [])) for slot in order)
        return self.apply(order, drafts, torch.zeros(rows, len(VOCABULARY)))

    def apply(
        self, order: Sequence[int], drafts: dict[int, list[int]], logits: torch.Tensor
    ) -> torch.Tensor:
        """A step's logits processed, or those of some of its requests."""
        slots, local, inputs, places = [], [], [], []
        for slot in order:
            text = self.text[slot]
            for offset, token in enumerate([text[-1], *drafts.get(slot, [])]):
                slots.append(slot)
                local.append(offset)
                inputs.append(token)
                places.append(len(text) - 1 + offset)
        context = LogitsContext(
            expanded_idx_mapping=torch.tensor(slots, dtype=torch.int64),
            idx_mapping=torch.tensor(list(order), dtype=torch.int64),
            idx_mapping_np=np.array(order, np.intp),
            expanded_local_pos=torch.tensor(local, dtype=torch.int32),
            input_ids=torch.tensor(inputs, dtype=torch.int32),
            pos=torch.tensor(places, dtype=torch.int64),
            seq_lens_upper_bound_np=np.full(len(order), LENGTH, np.int32),
        )
        return self.processor.apply(logits, context)

    def commit(self, slot: int, tokens: Sequence[int]) -> None:
        for token in tokens:
            self.tokens[slot, len(self.text[slot])] = token
            self.text[slot].append(token)


@pytest.fixture
def engine(make_engine: MakeEngine, small_tokenizer: Callable[[Any], None]) -> Engine:
    small_tokenizer(vllm_v2)
    return make_engine(PAIRS)


def follow_a_schedule(engine: Engine, max_drafts: int, steps: int) -> int:
    """Requests come, go and move over so many steps; how many rows had anything banned."""
    draw = random.Random(max_drafts)
    runner = Runner(engine, max_drafts)
    wanted: dict[int, tuple[str, ...]] = {}
    likely = [
        token for token, data in enumerate(VOCABULARY) if data and data in b" red blue abcafe"
    ]
    rows_with_bans = 0
    for _ in range(steps):
        for slot in range(SLOTS):
            full = len(runner.text.get(slot, [])) > LENGTH - 8
            if slot in runner.text and (full or draw.random() < 0.05):
                del runner.text[slot]
            if slot not in runner.text and draw.random() < 0.4:
                text = [draw.choice(likely) for _ in range(draw.randrange(1, 6))]
                names = draw.sample(["accents", "colours", "letters"], draw.randrange(4))
                wanted[slot] = tuple(sorted(names))
                prompt_len = draw.randrange(1, len(text) + 1)
                guarded = runner.join(slot, engine.args(*wanted[slot]), text, prompt_len)
                assert guarded == bool(names)
        order = draw.sample(sorted(runner.text), draw.randrange(len(runner.text) + 1))
        if not order:
            continue
        drafts = {
            slot: [draw.choice(likely) for _ in range(draw.randrange(max_drafts + 1))]
            for slot in order
        }
        logits = runner.step(order, drafts)
        row = 0
        for slot in order:
            for offset in range(len(drafts[slot]) + 1):
                text = [*runner.text[slot], *drafts[slot][:offset]]
                expected = expected_bans(text, wanted[slot])
                rows_with_bans += bool(expected)
                assert bans(logits, row) == expected
                row += 1
            accepted = drafts[slot][: draw.randrange(len(drafts[slot]) + 1)]
            runner.commit(slot, [*accepted, draw.choice(likely)])
    return rows_with_bans


@pytest.mark.parametrize("max_drafts", [0, 3])
def test_any_schedule_of_slots_bans_what_each_row_demands(engine: Engine, max_drafts: int) -> None:
    assert follow_a_schedule(engine, max_drafts, steps=200) > 100


def test_a_prompt_still_being_prefilled_is_not_read_twice(engine: Engine) -> None:
    runner = Runner(engine, 0)
    text = [token for token, data in enumerate(VOCABULARY) if data in (b"a", b"b")]
    runner.join(0, engine.args("letters"), text, 2)
    whole = runner.text[0]
    runner.text[0] = whole[:1]
    runner.step([0], {})
    runner.text[0] = whole
    logits = runner.step([0], {})
    assert bans(logits, 0) == expected_bans(whole, ["letters"]) != set()


def test_a_reused_slot_keeps_nothing_of_its_last_occupant(engine: Engine) -> None:
    runner = Runner(engine, 0)
    runner.join(0, engine.args("colours"), [1], 1)
    runner.step([0], {})
    assert not runner.join(0, engine.args(), [1], 1)
    assert bans(runner.step([0], {}), 0) == set()
    assert runner.processor._rows._held == {}


def test_a_plan_that_cannot_be_kept_ends_the_answer_and_no_other(engine: Engine) -> None:
    runner = Runner(engine, 0)
    runner.join(0, engine.args("colours", digest="0" * 64), [1], 1)
    runner.join(1, engine.args("letters"), [27], 1)
    logits = runner.step([1, 0], {})
    assert bans(logits, 1) == set(range(len(VOCABULARY))) - {END}
    assert bans(logits, 0) == expected_bans([27], ["letters"])


def test_the_canary_says_its_nonce_and_not_the_phrase(engine: Engine) -> None:
    runner = Runner(engine, 0)
    runner.join(2, engine.args(CANARY_TARGET, mode="probe", nonce="qwxyz"), [1, 2], 2)
    for _ in range(60):
        token = int(runner.step([2], {})[0].argmax())
        if token == END:
            break
        runner.commit(2, [token])
    assert text_of(runner.text[2][2:]).decode() == " unlearn guard canar qwxyz"


def test_a_gpu_without_triton_is_told_what_to_install(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = Runner(engine, 0).processor
    monkeypatch.setitem(sys.modules, "guard.engine.gpu.rows", None)
    monkeypatch.setattr(processor._enforcer.tokens.windows, "device", torch.device("cuda"))
    with pytest.raises(EngineUnsupportedError, match="kernels") as raised:
        processor._guarded_rows(1, 0)
    assert "Triton" in raised.value.fix


def test_vllm_accepts_the_class_by_name() -> None:
    name = "guard.engine.vllm_v2:GuardLogitsProcessor"
    assert _load_v2_logitsprocs_by_fqcns([name]) == [GuardLogitsProcessor]
