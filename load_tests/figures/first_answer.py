"""``first-answer``: from a fresh clone to the first guarded answer, as a stranger would see it.

Clones the committed HEAD, runs ``make serve`` in the clone without pip's cache, and asks until an
answer comes that carries a decision id. Then stops it as Ctrl-C would, and starts it again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import httpx

from load_tests.chat import DECISION_HEADER
from load_tests.figure import ROOT, Figure, Measured, Options, progress, work_folder
from load_tests.ports import free_port

LIMIT_S = 45 * 60
STOP_S = 60
QUESTION = "In one sentence, what is a lighthouse for?"


def measure(options: Options) -> Measured:
    """Time both starts."""
    folder = work_folder("first-answer")
    with tempfile.TemporaryDirectory(prefix="unlearn-guard-") as place:
        clone = Path(place) / "unlearn-guard"
        started = time.monotonic()
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        first = _serve(clone, folder / "first.log", started)
        second = _serve(clone, folder / "second.log", time.monotonic())
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=clone, check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
    return Measured(
        value=round(first / 60, 2),
        n=1,
        details={
            "first_s": round(first, 1),
            "second_s": round(second, 1),
            "second_min": round(second / 60, 2),
            "commit": commit,
        },
    )


def _serve(clone: Path, log: Path, started: float) -> float:
    """Seconds from ``started`` to the first guarded answer of ``make serve`` in ``clone``."""
    port = free_port()
    environ = {
        name: value
        for name, value in os.environ.items()
        if name not in {"VIRTUAL_ENV", "PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
        and not name.startswith("UNLEARN_GUARD_")
    }
    with log.open("wb") as output:
        serve = subprocess.Popen(
            ["make", "serve", f"PORT={port}"],
            cwd=clone,
            env={**environ, "PIP_NO_CACHE_DIR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A shell that runs this in the background has it ignore what Ctrl-C sends.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            start_new_session=True,
        )
        try:
            return _first_answer(serve, f"http://127.0.0.1:{port}", log, started)
        finally:
            _interrupt(serve)


def _first_answer(serve: subprocess.Popen[bytes], url: str, log: Path, started: float) -> float:
    told = 0.0
    while (elapsed := time.monotonic() - started) < LIMIT_S:
        if serve.poll() is not None:
            raise RuntimeError(f"`make serve` ended with {serve.returncode}:\n{_tail(log)}")
        if _answered(url):
            progress(f"answered after {time.monotonic() - started:.0f} s")
            return time.monotonic() - started
        if elapsed - told > 30:
            told = elapsed
            progress(f"{elapsed:.0f} s: {_tail(log, 1)}")
        time.sleep(0.5)
    raise RuntimeError(f"no answer after {LIMIT_S} s:\n{_tail(log)}")


def _answered(url: str) -> bool:
    """Whether the proxy is ready and answers a chat with text and a decision id."""
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        try:
            if client.get("/readyz").status_code != 200:
                return False
            model = client.get("/v1/models").json()["data"][0]["id"]
            answer = client.post(
                "/v1/chat/completions",
                json={
                    "model": model,
                    "messages": [{"role": "user", "content": QUESTION}],
                    "max_tokens": 32,
                },
            )
        except (httpx.TransportError, KeyError, ValueError):
            return False
    return (
        answer.status_code == 200
        and DECISION_HEADER in answer.headers
        and bool(answer.json()["choices"][0]["message"]["content"])
    )


def _interrupt(serve: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C in a terminal: to the whole foreground group."""
    try:
        os.killpg(serve.pid, signal.SIGINT)
        serve.wait(STOP_S)
    except ProcessLookupError:
        pass
    except subprocess.TimeoutExpired:
        os.killpg(serve.pid, signal.SIGKILL)
        serve.wait()
        raise RuntimeError(f"`make serve` did not stop within {STOP_S} s of Ctrl-C") from None


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


FIGURE = Figure(
    name="first-answer",
    what="from a fresh clone, nothing cached, through `make serve` to the first guarded answer",
    unit="min",
    goal="recorded; the second start in well under 3",
    run=measure,
)
