"""The load scenario stays on this machine and fails what is wrong. Runs locust as users do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


class Handler(BaseHTTPRequestHandler):
    """A proxy that says the forbidden phrase, or leaves out what it must send, when told to."""

    protocol_version = "HTTP/1.1"
    text, decision, done = "All is well.", True, True

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if body["stream"]:
            events = [json.dumps({"choices": [{"delta": {"content": c}}]}) for c in self.text]
            out = "".join(f"data: {event}\n\n" for event in events + ["[DONE]"] * self.done)
        else:
            out = json.dumps({"choices": [{"message": {"content": self.text}}]})
        self.send_response(200)
        self.send_header("content-length", str(len(out)))
        if self.decision:
            self.send_header("x-guard-decision", "gd_1")
        self.end_headers()
        self.wfile.write(out.encode())


@pytest.fixture
def proxy(request: pytest.FixtureRequest) -> Iterator[str]:
    handler = type("Told", (Handler,), getattr(request, "param", {}))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def locust(folder: Path, host: str) -> subprocess.CompletedProcess[str]:
    scenario = folder / "scenario.json"
    scenario.write_text(
        json.dumps(
            {"model": "m", "flagged": ["f"], "unflagged": ["u"], "forbidden": ["mirelle quay"]}
        )
    )
    return subprocess.run(
        [
            sys.executable, "-m", "locust", "--locustfile", "load_tests/locustfile.py",
            "--headless", "--users", "4", "--spawn-rate", "4", "--run-time", "6s",
            "--host", host, "--json",
        ],
        cwd=ROOT, env={**os.environ, "UNLEARN_GUARD_LOAD_SCENARIO": str(scenario)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_a_proxy_that_answers_well_has_no_failures(proxy: str, tmp_path: Path) -> None:
    done = locust(tmp_path, proxy)
    stats = {row["name"]: row for row in json.loads(done.stdout)}
    assert set(stats) == {"flagged", "flagged, streamed", "unflagged", "unflagged, streamed"}
    assert sum(row["num_failures"] for row in stats.values()) == 0
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("proxy", "failing"),
    [
        ({"text": "By *Mirelle* QUAY."}, {"flagged", "flagged, streamed"}),
        ({"done": False}, {"flagged, streamed", "unflagged, streamed"}),
        (
            {"decision": False},
            {"flagged", "flagged, streamed", "unflagged", "unflagged, streamed"},
        ),
    ],
    ids=["phrase said", "stream not ended", "no decision id"],
    indirect=["proxy"],
)
def test_what_is_wrong_is_a_failure(proxy: str, failing: set[str], tmp_path: Path) -> None:
    done = locust(tmp_path, proxy)
    stats = json.loads(done.stdout)
    assert {row["name"] for row in stats if row["num_failures"]} == failing
    assert all(row["num_failures"] in (0, row["num_requests"]) for row in stats)
    assert done.returncode == 1


@pytest.mark.parametrize("host", ["http://example.com", "http://localhost.example.com:80"])
def test_another_machine_is_not_loaded(tmp_path: Path, host: str) -> None:
    done = locust(tmp_path, host)
    assert done.returncode != 0
    assert "127.0.0.1 only" in done.stderr
