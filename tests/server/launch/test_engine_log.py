"""vLLM's log told in the user's terms; the lines are vLLM 0.32's own."""

from __future__ import annotations

import pytest

from server.launch.engine_log import death_reason, phase

API = "(APIServer pid=11491) "
WORKER = "(Worker pid=11526) "


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"{API}INFO 11-21 13:09:16 [model.py:733] Resolved architecture: LlamaForCausalLM",
         "reading the model's configuration"),
        ("(EngineCore pid=11513) INFO 11-21 13:09:24 [core.py:133] Initializing a V1 LLM engine"
         " (v0.32.0) with config: model='m'", "starting its worker"),
        (f"{WORKER}INFO 11-21 13:09:35 [cpu_model_runner.py:68] Starting to load model m...",
         "loading the model"),
        (f"{WORKER}INFO 11-21 13:09:36 [default_loader.py:501] Loading weights took 1.37 seconds",
         "model loaded"),
        ("INFO:     Application startup complete.", "opening its port"),
        # Eager runs speak of compiling only to say that there is none.
        (f"{API}WARNING 11-21 13:09:17 [vllm.py:1703] Enforce eager set, disabling torch.compile,"
         " CUDAGraphs, and JIT kernel warmup.", ""),
        (f"{API}INFO 11-21 13:09:16 [api_utils.py:347]  version 0.32.0", ""),
    ],
)  # fmt: skip
def test_phases_of_a_start(line: str, expected: str) -> None:
    assert phase(line) == expected


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("OSError: [Errno 98] Address already in use", "its port was taken; start again"),
        ("RuntimeError: [enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate"
         " memory: you tried to allocate 9 bytes.", "out of memory; close other programs"),
        ("ValueError: To serve at least one request with the models's max seq len (8192), 1.2 GiB"
         " KV cache is needed, which is larger than the available KV cache memory (0.1 GiB).",
         "too little memory for the KV cache; set VLLM_CPU_KVCACHE_SPACE"),
        ("OSError: /nowhere is not a local folder and is not a valid model identifier listed on",
         "/nowhere is not a local folder and is not a valid model identifier; check `--model`"),
        ("ModuleNotFoundError: No module named 'guard'", "its Python cannot import `guard`"),
        ("/usr/bin/python: Error while finding module specification for 'vllm.x'"
         " (ModuleNotFoundError: No module named 'vllm')", "vllm is not installed"),
        ("RuntimeError: operator torchvision::nms does not exist", "a torchvision made for"),
        ("guard.errors.EngineUnsupportedError: vllm 0.40.0 is not supported, the guard is verified"
         " on 0.32.x; install vllm 0.32.x, or run an unlearn-guard release made for yours",
         "vllm 0.40.0 is not supported, the guard is verified on 0.32.x; install vllm 0.32.x"),
        ("guard.errors.PlanError: no signing key of at least 32 bytes in `UNLEARN_GUARD_KEY`",
         "no signing key of at least 32 bytes"),
        (f"{API}Value error, Model architectures ['FooForCausalLM'] are not supported for now.",
         "vllm does not support the model's architecture ['FooForCausalLM']"),
        ("safetensors_rust.SafetensorError: Error while deserializing header: header too large",
         "the model's weight files are damaged"),
    ],
)  # fmt: skip
def test_reasons_people_can_act_on(log: str, expected: str) -> None:
    noise = f"{API}INFO 11-21 13:09:16 [x.py:1] non-default args: {{'model': 'm'}}\n"
    end = "\nRuntimeError: Engine core initialization failed. See root cause above."
    reason = death_reason(f"{noise}Traceback (most recent call last):\n{log}{end}", 1)
    assert expected in reason
    assert "\n" not in reason


def test_a_quoted_path_in_an_information_line_is_no_reason() -> None:
    log = f"{API}INFO 11-21 13:09:16 [x.py:1] non-default args: model='/out of memory'\n"
    assert death_reason(log, 7) == "it ended with status 7"


def test_an_unknown_error_is_quoted_rather_than_its_consequence() -> None:
    log = "ValueError: rope_scaling is odd\nRuntimeError: Engine core initialization failed.\n"
    assert death_reason(log, 1) == "rope_scaling is odd"


def test_a_bad_argument_is_quoted() -> None:
    log = "usage: api_server.py [-h]\napi_server.py: error: unrecognized arguments: --nope\n"
    assert death_reason(log, 2) == "error: unrecognized arguments: --nope"


def test_a_kill_without_a_word_is_put_down_to_memory() -> None:
    assert "killed, most likely by the system for lack of memory" in death_reason("", 137)
