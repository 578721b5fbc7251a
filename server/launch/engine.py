"""vLLM as a child process, with the guard's logits processor loaded."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import httpx

from guard.engine.versions import check_vllm_version
from guard.errors import GuardError
from guard.plan import BUNDLES_VARIABLE, KEY_FILE_VARIABLE, KEY_VARIABLE
from server.launch.engine_log import death_reason, phase
from server.launch.machine import GIB
from server.launch.precision import cpu_dtype
from server.launch.process import ChildProcess, child_environ

HOST: Final = "127.0.0.1"
# vLLM's loader takes only the interface of the model runner that it uses.
PROCESSOR_V1: Final = "guard.engine.vllm_v1:GuardLogitsProcessor"
PROCESSOR_V2: Final = "guard.engine.vllm_v2:GuardLogitsProcessor"
KV_CACHE_VARIABLE: Final = "VLLM_CPU_KVCACHE_SPACE"
# GiB; enough for 46,000 tokens of the demo model, half as many where it computes in float32.
KV_CACHE_GIB: Final = 1
_CPU_ARGUMENTS: Final = (
    # Compiling takes a minute at each start and gains little on a CPU.
    "--enforce-eager",
    # vLLM winds a seeded request's generator back after each chunk of its prompt, which torch's
    # generator for CPUs cannot do: the engine would end, for everyone (gpu_model_runner.py,
    # `_bookkeeping_sync`, vLLM 0.32).
    "--no-enable-chunked-prefill",
)
_POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How to start vLLM.

    Attributes:
        model: a folder, or a hub id.
        served_name: the name that clients use.
        bundles: folder of compiled policies, shared with the proxy.
        key: signing key, shared with the proxy.
        log: file for what vLLM prints.
        guard: whether to load the guard; without it nothing is enforced (for comparisons).
        extra: more arguments for vLLM. They cannot undo what the guard needs.
        environ: more environment variables.
    """

    model: str
    served_name: str
    port: int
    bundles: Path
    key: str
    log: Path
    guard: bool = True
    extra: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)


def check_engine_installed() -> None:
    """Refuse at once where vLLM is missing or not one that the guard is verified on.

    Raises:
        GuardError: not installed.
        EngineUnsupportedError: of another version.
    """
    if importlib.util.find_spec("vllm") is None:
        raise GuardError(
            "vllm is not installed",
            fix="run `make setup`, install `unlearn-guard[cpu]` or `unlearn-guard[gpu]`, or point"
            " `--upstream` at a guarded vllm",
        )
    for name in ("vllm", "vllm-cpu"):
        try:
            check_vllm_version(importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            continue
        return


def on_cpu(version: Callable[[str], str] = importlib.metadata.version) -> bool:
    """Whether the installed vLLM computes on the CPU, told without importing it."""
    for name in ("vllm-cpu", "torch"):
        try:
            found = version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if name == "vllm-cpu" or found.endswith("+cpu"):
            return True
    return False


def kv_cache() -> int:
    """Bytes set aside for vLLM's KV cache on a CPU.

    Raises:
        GuardError: the environment gives something that is no number of GiB.
    """
    given = os.environ.get(KV_CACHE_VARIABLE) or str(KV_CACHE_GIB)
    if not given.strip().isdecimal() or not int(given):
        raise GuardError(
            f"`{KV_CACHE_VARIABLE}` is `{given}`, which is no whole number of GiB",
            fix=f"set it to a whole number of at least 1, or unset it for {KV_CACHE_GIB}",
        )
    return int(given) * GIB


def _dtype_arguments(model: Path) -> tuple[str, ...]:
    dtype = cpu_dtype(model, kv_cache())
    return ("--dtype", dtype) if dtype else ()


def engine_command(options: EngineOptions) -> list[str]:
    """The command line of vLLM."""
    cpu = on_cpu()
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server",
        "--model", options.model,
        # The longest that fits the KV cache, so that a small machine serves a long-context model.
        "--max-model-len", "auto",
        *(_CPU_ARGUMENTS if cpu else ()),
        *(_dtype_arguments(Path(options.model)) if cpu else ()),
        "--enable-auto-tool-choice", "--tool-call-parser", "hermes",
        *options.extra,
        # Last, and so stronger than `extra`.
        "--served-model-name", options.served_name,
        "--host", HOST, "--port", str(options.port),
    ]  # fmt: skip
    if options.guard:
        processor = PROCESSOR_V1 if cpu else PROCESSOR_V2
        command += ["--logits-processors", processor, "--logprobs-mode", "processed_logprobs"]
    return command


def engine_environ(options: EngineOptions) -> dict[str, str]:
    """The environment of vLLM."""
    environ = {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        KV_CACHE_VARIABLE: str(kv_cache() // GIB),
    }
    if Path(options.model).is_dir():
        environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    environ |= {**options.environ, BUNDLES_VARIABLE: str(options.bundles.resolve())}
    made = child_environ({**environ, KEY_VARIABLE: options.key})
    made.pop(KEY_FILE_VARIABLE, None)
    return made


class EngineProcess:
    """A vLLM that was started here.

    Attributes:
        url: its address, without ``/v1``.
        pid: of the process that keeps it; gone only when all of vLLM's processes are.
    """

    def __init__(self, child: ChildProcess, options: EngineOptions) -> None:
        self._child = child
        self._state = "starting"
        self.url = f"http://{HOST}:{options.port}"
        self.pid = child.pid
        self.log = options.log

    @classmethod
    def start(cls, options: EngineOptions) -> Self:
        """Start it; ``wait_ready`` waits until it serves.

        Raises:
            GuardError: vLLM is missing or unsupported, or the log cannot be written.
        """
        check_engine_installed()
        options.bundles.mkdir(parents=True, exist_ok=True, mode=0o750)
        child = ChildProcess.spawn(
            engine_command(options), environ=engine_environ(options), log=options.log
        )
        return cls(child, options)

    def state(self) -> tuple[bool, str]:
        """Whether it serves, and what it is doing.

        Raises:
            GuardError: it ended; the reason, and where its log is.
        """
        self.check_alive()
        for line in self._child.new_lines():
            self._state = phase(line) or self._state
        try:
            ready = httpx.get(f"{self.url}/health", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            ready = False
        return ready, "ready" if ready else self._state

    def check_alive(self) -> None:
        """Raise if it has ended.

        Raises:
            GuardError: the reason, and where its log is.
        """
        code = self._child.exit_code
        if code is not None:
            reason = death_reason(self._child.text(), code)
            raise GuardError(f"the engine stopped: {reason} (log: `{self.log}`)")

    def wait_ready(self, progress: Callable[[str], None]) -> None:
        """Wait until it serves; stop it if it cannot.

        Raises:
            GuardError: it ended; the reason, and where its log is.
        """
        told = ""
        while True:
            try:
                ready, state = self.state()
            except BaseException:
                self.stop()
                raise
            if state != told:
                told = state
                progress(f"engine: {state}")
            if ready:
                return
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """End vLLM and all its processes."""
        self._child.stop()

    def kill(self) -> None:
        """End them at once."""
        self._child.kill()
