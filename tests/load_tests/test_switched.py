"""An engine whose guard is taken out has no custom processor; put back, it follows new rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("vllm", reason="the engine extra is not installed")

from vllm import SamplingParams
from vllm.v1.sample.logits_processor import LogitsProcessors
from vllm.v1.sample.logits_processor.interface import BatchUpdate
from vllm.v1.worker.gpu_input_batch import InputBatch

from guard.engine import vllm_v1
from load_tests import switched
from load_tests.idle import IdleLogitsProcessor
from load_tests.switch import SWITCH_VARIABLE, Arm, Switch
from load_tests.switched import SwitchedLogitsProcessor
from tests.guard.engine.conftest import (  # noqa: F401 (fixtures)
    VOCABULARY,
    Engine,
    make_engine,
    small_tokenizer,
)

_ARMS: tuple[Arm, ...] = ("guard", "none", "idle", "guard")
_OUT_AND_IN: tuple[Arm, ...] = ("none", "guard")


@pytest.fixture
def engine(
    make_engine: Callable[[Any], Engine],  # noqa: F811
    small_tokenizer: Callable[[Any], None],  # noqa: F811
) -> Engine:
    small_tokenizer(vllm_v1)
    return make_engine([("colours", "red")])


@pytest.fixture
def switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Switch:
    monkeypatch.setenv(SWITCH_VARIABLE, str(tmp_path / "switch"))
    monkeypatch.setattr(InputBatch, "refresh_metadata", InputBatch.refresh_metadata)
    switched._switch.cache_clear()
    return Switch.create(tmp_path / "switch")


class Batch:
    """The parts of vLLM's batch that the switch touches."""

    def __init__(self, processor: SwitchedLogitsProcessor) -> None:
        self.builtin = IdleLogitsProcessor(SimpleNamespace(), torch.device("cpu"), False)
        self.logitsprocs = LogitsProcessors([self.builtin, processor])
        self.logitsprocs_need_output_token_ids = True

    def custom(self) -> list[Any]:
        return [each for each in self.logitsprocs.all if each is not self.builtin]


def test_a_step_follows_the_switch(
    engine: Engine, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    refreshed: list[Any] = []
    monkeypatch.setattr(switched, "_refresh", refreshed.append)
    processor = SwitchedLogitsProcessor(engine.config, torch.device("cpu"), False)
    batch: Any = Batch(processor)
    kinds = []
    for arm in _ARMS:
        switch.arm = arm
        InputBatch.refresh_metadata(batch)
        kinds.append([type(each).__name__ for each in batch.custom()])
        assert batch.builtin in list(batch.logitsprocs.all)
        assert batch.logitsprocs_need_output_token_ids == (arm != "none")
    assert kinds == [
        ["SwitchedLogitsProcessor"], [], ["IdleLogitsProcessor"], ["SwitchedLogitsProcessor"],
    ]  # fmt: skip
    assert refreshed == [batch] * 4


def test_rows_that_left_meanwhile_are_not_guarded_again(
    engine: Engine, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switched, "_refresh", lambda batch: None)
    processor = SwitchedLogitsProcessor(engine.config, torch.device("cpu"), False)
    batch: Any = Batch(processor)
    row: Any = (0, SamplingParams(extra_args=engine.args("colours")), [], [])
    processor.update_state(BatchUpdate(batch_size=1, removed=(), added=[row], moved=()))
    logits = torch.zeros(1, len(VOCABULARY))
    assert processor.apply(logits.clone()).isinf().any()
    for arm in _OUT_AND_IN:
        switch.arm = arm
        InputBatch.refresh_metadata(batch)
    processor.update_state(BatchUpdate(batch_size=1, removed=(), added=(), moved=()))
    assert torch.equal(processor.apply(logits.clone()), logits)


@pytest.mark.usefixtures("engine")
def test_a_request_needs_a_plan_only_while_the_guard_is_in(switch: Switch) -> None:
    with pytest.raises(ValueError, match="plan"):
        SwitchedLogitsProcessor.validate_params(SamplingParams())
    switch.arm = "none"
    SwitchedLogitsProcessor.validate_params(SamplingParams())
