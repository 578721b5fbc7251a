"""An engine with hardly any room: preemption, chunked prefill and LoRA, all at once.

Its KV cache holds a few answers, so that vLLM throws running requests out and brings them back; its
steps are so short that prompts are fed in pieces; and half of the requests use an adapter.
"""

from __future__ import annotations

import importlib.util
import json
import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest
import torch
from safetensors.torch import save_file

from server.launch.engine import EngineOptions, EngineProcess
from tests.e2e.asking import RUN, WORDS, Asking, chant, longest_run, refrain, run_of, says, together
from tests.e2e.conftest import MODEL, free_port

ADAPTER: Final = "adapted"
STEP_TOKENS: Final = 48
BLOCK, BLOCKS, LONGEST = 32, 24, 512


def write_adapter(model: Path, folder: Path) -> Path:
    """A small random LoRA adapter, strong enough to be seen in the model's answers."""
    config = json.loads((model / "config.json").read_text())
    width, rank = config["hidden_size"], 4
    draw = torch.Generator().manual_seed(0)
    tensors = {}
    for layer in range(config["num_hidden_layers"]):
        name = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        tensors[f"{name}.lora_A.weight"] = torch.randn(rank, width, generator=draw) * 0.05
        tensors[f"{name}.lora_B.weight"] = torch.randn(width, rank, generator=draw) * 0.3
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    described = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": 2 * rank,
        "target_modules": ["q_proj"], "lora_dropout": 0.0, "bias": "none",
        "base_model_name_or_path": MODEL,
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(described))
    return folder


@pytest.fixture(scope="module")
def pressed(demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vllm, the engine extra, is not installed")
    folder = tmp_path_factory.mktemp("pressed")
    adapter = write_adapter(demo_model, folder / "adapter")
    key, bundles = secrets.token_hex(32), folder / "bundles"
    engine = EngineProcess.start(
        EngineOptions(
            model=str(demo_model), served_name=MODEL, port=free_port(), bundles=bundles, key=key,
            log=folder / "engine.log",
            extra=(
                "--max-model-len", str(LONGEST), "--max-num-seqs", "16",
                "--block-size", str(BLOCK), "--num-gpu-blocks-override", str(BLOCKS),
                "--enable-chunked-prefill", "--max-num-batched-tokens", str(STEP_TOKENS),
                "--enable-lora", "--max-lora-rank", "8", "--lora-modules", f"{ADAPTER}={adapter}",
            ),
        )
    )  # fmt: skip
    try:
        engine.wait_ready(print)
        yield Asking.of(engine.url, key, bundles, MODEL)
    finally:
        engine.stop()


def test_preempted_requests_come_back_guarded(pressed: Asking) -> None:
    before = pressed.metric("vllm:num_preemptions_total")
    calls, wanted = [], []
    for number, word in enumerate(WORDS):
        other = WORDS[number - 1]
        plans: list[tuple[str, ...]] = [(), (word,), (other,)]
        for times, forbidden in enumerate(plans, start=4 + number):
            prompt = chant(word, times)
            calls.append(partial(pressed.ask, prompt, forbidden, max_tokens=160, ignore_eos=True))
            wanted.append((word, word not in forbidden))
    answers = together(calls)
    assert pressed.metric("vllm:num_preemptions_total") > before + 5
    for (word, may_say), (said,) in zip(wanted, answers, strict=True):
        assert said.finish == "length"
        assert says(said.text, word) == may_say, (word, said.text)
    # Each of them at its end, too, long after it came back.
    for (word, may_say), (said,) in zip(wanted, answers, strict=True):
        assert says(said.text[-80:], word) == may_say, (word, said.text)


def test_a_run_half_said_when_its_request_was_thrown_out_goes_no_further(pressed: Asking) -> None:
    before = pressed.metric("vllm:num_preemptions_total")
    cases = [(word, forbidden) for word in WORDS for forbidden in ((), (run_of(word),)) * 2]
    calls = [
        partial(pressed.ask, refrain(word), forbidden, max_tokens=200, ignore_eos=True)
        for word, forbidden in cases
    ]
    answers = together(calls)
    assert pressed.metric("vllm:num_preemptions_total") > before + 5
    longest: dict[bool, list[int]] = {False: [], True: []}
    for (word, forbidden), (said,) in zip(cases, answers, strict=True):
        longest[bool(forbidden)].append(longest_run(said.text, word))
    assert min(longest[False]) > RUN
    # Most of them are in the middle of a run at any time, also when they are thrown out.
    assert longest[True] == [RUN] * len(longest[True])


def test_a_prompt_fed_in_pieces_is_read_whole(pressed: Asking) -> None:
    # The phrase begins at the end of a prompt that takes several steps.
    begun = chant("Madrid", 90) + " Mad"
    free, guarded, other = together(
        [partial(pressed.ask, begun, words) for words in ((), ("Madrid",), ("Paris",))]
    )
    for (said,) in (free, other):
        assert said.text.startswith("rid")
    assert not says("Mad" + guarded[0].text, "Madrid")


def test_an_adapter_is_guarded_like_its_base(pressed: Asking) -> None:
    plain = [pressed.ask("Once upon a time", model=model)[0].text for model in (MODEL, ADAPTER)]
    assert plain[0] != plain[1]
    calls = [
        partial(pressed.ask, chant(word), forbidden, model=model)
        for word in WORDS
        for model in (MODEL, ADAPTER)
        for forbidden in ((), (word,))
    ]
    answers = together(calls)
    assert sum(says(said.text, WORDS[at // 4]) for at, (said,) in enumerate(answers)) >= 8
    for at, (said,) in enumerate(answers):
        if calls[at].args[1]:
            assert not says(said.text, WORDS[at // 4])
