"""``serve``: checks first, starts engine and proxy side by side, waits, watches, ends both."""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, TextIO

import httpx

from guard.errors import GuardError, PlanError
from guard.plan import KEY_FILE_VARIABLE, KEY_VARIABLE, load_key
from guard.policy.load import load_policy
from guard.policy.model import Policy
from server.launch import machine
from server.launch.board import Board
from server.launch.engine import (
    EngineOptions,
    EngineProcess,
    check_engine_installed,
    kv_cache,
    on_cpu,
)
from server.launch.hints import to_try
from server.launch.models import Model, prepare_demo_model, resolve_model
from server.launch.places import Places
from server.launch.proxy import ProxyOptions, ProxyProcess

_POLL_S: Final = 0.25
# From the engine's first sign of health to its first kept plan; the proxy asks every two seconds.
PROOF_S: Final = 60.0
_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What ``serve`` is told.

    Attributes:
        model: folder or hub id; empty for the demo model.
        upstream: address of a guarded vLLM that runs already; empty to start one.
        bundles: folder of compiled policies, where it is not the run's own.
        engine_arguments: more arguments for vLLM.
    """

    policies: Path
    places: Places
    model: str = ""
    upstream: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    bundles: Path | None = None
    engine_arguments: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)


class Part(Protocol):
    """A child process as the supervisor sees it."""

    def state(self) -> tuple[bool, str]:
        """Whether it is ready, and what it is doing; raises GuardError once it has ended."""
        ...

    def check_alive(self) -> None:
        """Raise GuardError if it has ended."""
        ...

    def stop(self) -> None:
        """End it."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...


class Stopped(Exception):  # noqa: N818 - asked for, not an error
    """The user asked to stop."""


class StopRequest:
    """Remembers that a signal asked to stop; a second one is for the parts to be killed."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._again: Callable[[], None] = lambda: None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals that stop a program, until the end of the block."""
        before = {number: signal.signal(number, self._receive) for number in _STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def on_second(self, act: Callable[[], None]) -> None:
        """What a further signal does."""
        self._again = act

    def check(self, wait_s: float = 0.0) -> None:
        """Sleep unless, and until, a stop is asked for.

        Raises:
            Stopped: it is.
        """
        if self._event.wait(wait_s):
            raise Stopped

    def _receive(self, number: int, frame: object) -> None:
        if self._event.is_set():
            self._again()
        self._event.set()


def serve(options: ServeOptions, out: TextIO) -> int:
    """Run the stack until it is asked to stop; 0 then.

    Raises:
        GuardError: it cannot start, or a part ended; one sentence says why.
    """
    stop = StopRequest()
    board = Board(out)
    parts: dict[str, Part] = {}

    def kill() -> None:
        for part in parts.values():
            part.kill()

    with stop.listening():
        try:
            try:
                _run(options, board, stop, parts)
            except Stopped:
                board.line("Stopping the proxy, then the engine.")
        finally:
            stop.on_second(kill)
            for name in ("proxy", "engine"):
                if name in parts:
                    parts[name].stop()
        board.line("Stopped.")
    return 0


def _run(options: ServeOptions, board: Board, stop: StopRequest, parts: dict[str, Part]) -> None:
    machine.check_port(options.host, options.port)
    policy = load_policy(options.policies)
    bundles = options.bundles or options.places.bundles
    key = signing_key(options)
    if options.upstream:
        upstream, name = options.upstream.rstrip("/").removesuffix("/v1"), ""
    else:
        model = _model(options, board, stop)
        engine = EngineProcess.start(
            EngineOptions(
                model=model.source,
                served_name=model.served_name,
                port=machine.free_port(),
                bundles=bundles,
                key=key,
                log=options.places.engine_log,
                extra=options.engine_arguments,
            )
        )
        parts["engine"] = engine
        upstream, name = engine.url, model.served_name
    # Compiles the policy while the engine starts.
    proxy = ProxyProcess.start(
        ProxyOptions(
            upstream=upstream,
            policies=options.policies,
            bundles=bundles,
            host=options.host,
            port=options.port,
            key=key,
            log=options.places.proxy_log,
            environ={"UNLEARN_GUARD_DECISION_LOG": str(options.places.decisions)},
        )
    )
    parts["proxy"] = proxy
    wait_for(parts, board, stop)
    _announce(options, board, policy, proxy.url, name or _served_name(upstream))
    watch(parts, stop)


def signing_key(options: ServeOptions) -> str:
    """The key that the environment gives, or a fresh one for an engine started here.

    Raises:
        PlanError: it is too short or unreadable, or an engine that runs already needs one.
    """
    given = any(options.environ.get(name) for name in (KEY_VARIABLE, KEY_FILE_VARIABLE))
    if given:
        return load_key(options.environ).decode()
    if options.upstream:
        raise PlanError(
            f"the engine at `{options.upstream}` has a signing key that the proxy must share",
            fix=f"set `{KEY_FILE_VARIABLE}` (or `{KEY_VARIABLE}`) to the engine's",
        )
    return secrets.token_hex(32)


def _model(options: ServeOptions, board: Board, stop: StopRequest) -> Model:
    """The model to serve, made ready, on a machine that can hold it."""
    machine.check_system()
    check_engine_installed()

    def progress(text: str) -> None:
        board.told(text)
        stop.check()

    name = options.model or str(prepare_demo_model(options.places.cache, progress))
    model = resolve_model(name)
    if model.folder is not None and on_cpu():
        machine.check_memory(model.folder, kv_cache())
    return model


def wait_for(
    parts: Mapping[str, Part], board: Board, stop: StopRequest, *, proof_s: float = PROOF_S
) -> None:
    """Wait until every part is ready.

    Args:
        proof_s: how long an engine that is up may take to prove that it enforces plans.

    Raises:
        GuardError: a part ended, or the engine does not prove itself.
        Stopped: asked to stop.
    """
    engine_since: float | None = None
    while True:
        states = {name: part.state() for name, part in parts.items()}
        engine_up = states.get("engine", (False, ""))[0]
        shown = {name: text for name, (_, text) in states.items()}
        if "engine" in parts and not engine_up and shown["proxy"] != "compiling the policy":
            # What the proxy says of an engine that is still starting is no news.
            shown["proxy"] = "waiting for the engine"
        board.show(**shown)
        if all(ready for ready, _ in states.values()):
            return
        if engine_up:
            engine_since = engine_since or time.monotonic()
            if time.monotonic() - engine_since > proof_s:
                raise GuardError(f"the engine does not enforce the policy: {shown['proxy']}")
        stop.check(_POLL_S)


def watch(parts: Mapping[str, Part], stop: StopRequest) -> None:
    """Return never: until a part ends or a stop is asked for.

    Raises:
        GuardError: a part ended.
        Stopped: asked to stop.
    """
    while True:
        for part in parts.values():
            part.check_alive()
        stop.check(_POLL_S)


def _served_name(upstream: str) -> str:
    """The name of a model that the upstream serves; the proxy has just talked to it."""
    try:
        rows = httpx.get(f"{upstream}/v1/models", timeout=5, trust_env=False).json()["data"]
        return str(rows[0]["id"])
    except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError):
        return "MODEL"


def _announce(options: ServeOptions, board: Board, policy: Policy, url: str, model: str) -> None:
    targets = len(policy.targets)
    board.line(
        f"Ready after {board.elapsed_s:.0f} s: {url}/v1 serves `{model}`, guarded for"
        f" {targets} target{'' if targets == 1 else 's'}. Logs: {options.places.run}"
    )
    board.line("Try:")
    for line in to_try(url, model, policy, options.policies):
        board.line(f"  {line}")
    board.line("Ctrl-C stops it.")
