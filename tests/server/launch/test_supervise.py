"""``serve``: fast failures in one sentence, progress, and an end that leaves nothing behind.

The parts here are small programs that stand in for vLLM and the proxy; the real ones are started
together in tests/e2e.
"""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from guard.errors import GuardError, PlanError, PolicyError
from server.launch import machine, supervise
from server.launch.board import Board
from server.launch.engine import EngineProcess
from server.launch.machine import free_port
from server.launch.places import Places
from server.launch.process import child_environ
from server.launch.proxy import ProxyProcess
from server.launch.supervise import ServeOptions, Stopped, StopRequest, serve, signing_key, wait_for

POLICY = """
version: 1
targets:
  - id: harbor
    title: The Harbor novels
    reason: copyright
    owner: legal@example.com
    detect: {aliases: [Mirelle Quay]}
    forbid: {phrases: [Mirelle Quay]}
"""


def options(tmp_path: Path, **changes: Any) -> ServeOptions:
    policy = tmp_path / "policy.yaml"
    if not policy.exists():
        policy.write_text(POLICY)
    fields: dict[str, Any] = {
        "policies": policy,
        "places": Places(tmp_path / "cache", tmp_path / "run"),
        "port": free_port(),
        "environ": {},
    }
    return ServeOptions(**{**fields, **changes})


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something slow was started")

    monkeypatch.setattr(ProxyProcess, "start", refuse)
    monkeypatch.setattr(EngineProcess, "start", refuse)
    monkeypatch.setattr(supervise, "prepare_demo_model", refuse)


@pytest.mark.usefixtures("nothing_starts")
class TestFailsAtOnce:
    """Before anything slow, and in one sentence."""

    def test_a_port_in_use(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(GuardError, match=rf"port {port} on 127\.0\.0\.1 cannot be used"):
                serve(options(tmp_path, port=port), io.StringIO())

    def test_a_bad_policy(self, tmp_path: Path) -> None:
        (tmp_path / "policy.yaml").write_text(POLICY.replace("copyright", "whim"))
        with pytest.raises(PolicyError, match=r"policy\.yaml:6: .*targets\[0\]\.reason"):
            serve(options(tmp_path), io.StringIO())

    def test_a_missing_policy(self, tmp_path: Path) -> None:
        with pytest.raises(PolicyError, match=r"none: no such file or folder"):
            serve(options(tmp_path, policies=tmp_path / "none"), io.StringIO())

    def test_a_missing_model(self, tmp_path: Path) -> None:
        with pytest.raises(GuardError, match="there is no model folder `nowhere`"):
            serve(options(tmp_path, model="nowhere"), io.StringIO())

    def test_too_little_memory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "config.json").write_text("{}")
        real = machine.check_memory
        monkeypatch.setattr(machine, "check_memory", lambda *a: real(*a, read=lambda: 1 << 30))
        with pytest.raises(GuardError, match=r"too little memory: .* 1\.0 GiB are available"):
            serve(options(tmp_path, model=str(tmp_path / "model")), io.StringIO())

    def test_an_upstream_without_its_key(self, tmp_path: Path) -> None:
        with pytest.raises(PlanError, match="has a signing key that the proxy must share"):
            serve(options(tmp_path, upstream="http://127.0.0.1:9"), io.StringIO())


def test_each_run_has_a_key_of_its_own(tmp_path: Path) -> None:
    one, other = (signing_key(options(tmp_path)) for _ in range(2))
    assert one != other
    assert len(one) == 64


def test_a_given_key_is_used(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("g" * 40 + "\n")
    given: Mapping[str, str] = {"UNLEARN_GUARD_KEY_FILE": str(tmp_path / "key")}
    assert signing_key(options(tmp_path, environ=given)) == "g" * 40


def test_a_given_key_that_is_too_short_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="32 bytes"):
        signing_key(options(tmp_path, environ={"UNLEARN_GUARD_KEY": "short"}))


class Part:
    """A stand-in whose states are scripted; the last one stays."""

    def __init__(self, *states: tuple[bool, str] | GuardError) -> None:
        self._states = list(states)
        self.ended: list[str] = []

    def state(self) -> tuple[bool, str]:
        now = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        if isinstance(now, GuardError):
            raise now
        return now

    def check_alive(self) -> None:
        self.state()

    def stop(self) -> None:
        self.ended.append("stop")

    def kill(self) -> None:
        self.ended.append("kill")


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "_POLL_S", 0.01)


def test_waiting_shows_both_parts_until_both_are_ready() -> None:
    engine = Part((False, "loading the model"), (True, "ready"))
    proxy = Part(
        (False, "compiling the policy"), (False, "the engine cannot be asked"), (True, "ready")
    )
    out = io.StringIO()
    wait_for({"engine": engine, "proxy": proxy}, Board(out, clock=lambda: 0.0), StopRequest())
    assert [line.split("s  ", 1)[1] for line in out.getvalue().splitlines()] == [
        "engine: loading the model",
        "proxy: compiling the policy",
        "engine: ready",
        "proxy: the engine cannot be asked",
        "proxy: ready",
    ]


def test_an_engine_that_proves_nothing_is_given_up_with_the_proxys_reason() -> None:
    parts = {
        "engine": Part((True, "ready")),
        "proxy": Part((False, "the guard's logits processor is not loaded")),
    }
    with pytest.raises(GuardError, match="does not enforce the policy: the guard's logits"):
        wait_for(parts, Board(io.StringIO()), StopRequest(), proof_s=0.05)


def test_waiting_ends_when_a_part_ends() -> None:
    parts = {
        "engine": Part((False, "starting"), GuardError("the engine stopped: out of memory")),
        "proxy": Part((False, "compiling the policy")),
    }
    with pytest.raises(GuardError, match="out of memory"):
        wait_for(parts, Board(io.StringIO()), StopRequest())


def test_waiting_ends_when_asked_to() -> None:
    stop = StopRequest()
    parts = {"proxy": Part((False, "waiting"))}
    with stop.listening():
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        with pytest.raises(Stopped):
            wait_for(parts, Board(io.StringIO()), stop)


def test_a_second_signal_acts_at_once_and_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    acted: list[str] = []
    stop = StopRequest()
    with stop.listening():
        stop.on_second(lambda: acted.append("kill"))
        os.kill(os.getpid(), signal.SIGINT)
        assert acted == []
        os.kill(os.getpid(), signal.SIGINT)
        assert acted == ["kill"]
    assert signal.getsignal(signal.SIGINT) == before


# Stands in for both programs: an HTTP server that answers 200 to all, or ends as told.
STAND_IN = """
import http.server, json, os, sys, time
name, port, pids, fate = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
open(f"{pids}/{name}", "w").write(str(os.getpid()))
if fate == "dies":
    print("unlearn-guard: the thing is broken; mend it", flush=True)
    sys.exit(2)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"{}")
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", port), Handler)
if fate == "dies later":
    server.timeout = 0.1
    end = time.monotonic() + 1.5
    while time.monotonic() < end: server.handle_request()
    print("unlearn-guard: it fell over", flush=True)
    sys.exit(2)
server.serve_forever()
"""

# Runs the real `serve` with both programs replaced, as a process of its own that takes signals.
HARNESS = f"""
import sys
from pathlib import Path
from guard.errors import GuardError
from server.launch import engine, process, supervise
from server.launch.places import Places
tmp, port, engine_fate, proxy_fate = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
real = process.ChildProcess.spawn.__func__
def spawn(cls, command, *, environ, log):
    name = "proxy" if "proxy" in command else "engine"
    fate = proxy_fate if name == "proxy" else engine_fate
    at = command[len(command) - command[::-1].index("--port")]
    return real(cls, [sys.executable, "-c", {STAND_IN!r}, name, at, str(tmp / "pids"), fate],
                environ=environ, log=log)
process.ChildProcess.spawn = classmethod(spawn)
supervise.check_engine_installed = engine.check_engine_installed = lambda: None
supervise.prepare_demo_model = lambda cache, progress: tmp / "model"
try:
    sys.exit(supervise.serve(supervise.ServeOptions(
        policies=tmp / "policy.yaml", places=Places(tmp / "cache", tmp / "run"), port=port,
        environ={{}}), sys.stderr))
except GuardError as error:
    print(f"unlearn-guard: {{error}}", file=sys.stderr)
    sys.exit(2)
"""


class Run:
    """``serve`` with stand-ins, in a process of its own."""

    def __init__(self, tmp_path: Path, *, engine: str = "serves", proxy: str = "serves") -> None:
        (tmp_path / "policy.yaml").write_text(POLICY)
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "config.json").write_text("{}")
        (tmp_path / "pids").mkdir()
        self._pids = tmp_path / "pids"
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-c", HARNESS, str(tmp_path), str(self.port), engine, proxy],
            stderr=subprocess.PIPE,
            text=True,
            env=child_environ({}),
        )
        self.said = ""

    def until_said(self, text: str) -> None:
        assert self.process.stderr is not None
        while text not in self.said:
            line = self.process.stderr.readline()
            assert line, self.said
            self.said += line

    def finish(self) -> int:
        assert self.process.stderr is not None
        self.said += self.process.stderr.read()
        return self.process.wait()

    def children_left(self) -> list[str]:
        pids = [int(file.read_text()) for file in self._pids.iterdir()]
        return [str(pid) for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.fixture
def runs() -> Iterator[list[Run]]:
    started: list[Run] = []
    yield started
    for run in started:
        run.process.kill()
        run.finish()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_says_what_to_try_and_a_signal_ends_both(
    tmp_path: Path, runs: list[Run], number: signal.Signals
) -> None:
    runs.append(run := Run(tmp_path))
    run.until_said("Ctrl-C stops it.")
    tries = [line for line in run.said.splitlines() if line.startswith("  ")]
    assert [line.split()[0] for line in tries if not line.strip()[0].isdigit()] == [
        "guarded:", "as", "edit:",
    ]  # fmt: skip
    assert "What do you know about Mirelle Quay?" in run.said
    assert str(tmp_path / "policy.yaml") in run.said
    assert len(run.children_left()) == 2
    run.process.send_signal(number)
    assert run.finish() == 0
    assert run.said.endswith("Stopped.\n")
    assert run.children_left() == []


@pytest.mark.parametrize("fate", ["dies", "dies later"])
@pytest.mark.parametrize("part", ["engine", "proxy"])
def test_when_one_part_ends_the_other_is_stopped_and_the_reason_told(
    tmp_path: Path, runs: list[Run], part: str, fate: str
) -> None:
    runs.append(run := Run(tmp_path, **{part: fate}))
    assert run.finish() == 2
    last = run.said.splitlines()[-1]
    assert last.startswith("unlearn-guard: ")
    assert ("the thing is broken; mend it" if fate == "dies" else "it fell over") in last
    assert run.children_left() == []


def test_nothing_outlives_a_killed_supervisor(tmp_path: Path, runs: list[Run]) -> None:
    runs.append(run := Run(tmp_path))
    run.until_said("Ctrl-C stops it.")
    run.process.kill()
    run.finish()
    while run.children_left():
        time.sleep(0.02)
