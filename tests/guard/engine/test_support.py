"""Settings of vLLM that would pass the guard by are refused at start."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("vllm", reason="the engine extra is not installed")

from vllm.config import ModelConfig, SpeculativeConfig
from vllm.v1.sample.logits_processor import build_logitsprocs

from guard.engine.support import check_settings
from guard.errors import EngineUnsupportedError


def settings(method: str | None = None, **model: bool) -> Any:
    speculative = SimpleNamespace(rejection_sample_method=method) if method else None
    chosen = SimpleNamespace(**{"is_diffusion": False, "enable_trace_replay": False, **model})
    return SimpleNamespace(model_config=chosen, speculative_config=speculative)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (settings("synthetic"), "synthetic"),
        (settings(enable_trace_replay=True), "--enable-trace-replay"),
        (settings(is_diffusion=True), "any order"),
    ],
)
def test_what_accepts_tokens_that_the_sampler_never_saw_is_refused(config: Any, named: str) -> None:
    with pytest.raises(EngineUnsupportedError, match=named) as raised:
        check_settings(config)
    assert raised.value.fix


@pytest.mark.parametrize("config", [settings(), settings("standard"), settings("block")])
def test_ordinary_settings_pass(config: Any) -> None:
    check_settings(config)


def test_vllm_has_these_settings_by_these_names() -> None:
    assert isinstance(ModelConfig.enable_trace_replay, bool)
    assert hasattr(ModelConfig, "is_diffusion")
    assert SpeculativeConfig.rejection_sample_method == "standard"


def test_v1_itself_refuses_the_guard_beside_speculative_decoding() -> None:
    with pytest.raises(ValueError, match="speculative decoding"):
        build_logitsprocs(
            settings("standard"), torch.device("cpu"), False, False,
            ("guard.engine.vllm_v1:GuardLogitsProcessor",),
        )  # fmt: skip
