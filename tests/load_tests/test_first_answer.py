"""The clock of ``first-answer`` stops at a guarded answer, and its ``make serve`` is ended."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from load_tests.figures import first_answer

SERVER = """
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    asked = 0

    def log_message(self, *_):
        pass

    def reply(self, status, body, headers=()):
        out = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(out)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(out)

    def do_GET(self):
        if self.path == "/readyz":
            Handler.asked += 1
            self.reply(503 if Handler.asked < 3 else 200, {})
        else:
            self.reply(200, {"data": [{"id": "m"}]})

    def do_POST(self):
        headers = [("x-guard-decision", "gd_1")] if os.environ.get("GUARDED", "1") == "1" else []
        self.reply(200, {"choices": [{"message": {"content": "Light."}}]}, headers)

open("pid", "w").write(str(os.getpid()))
print("starting", flush=True)
try:
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
except KeyboardInterrupt:
    open("stopped", "w").write("by Ctrl-C")
"""


def clone(folder: Path, recipe: str = "python3 serve.py $(PORT)") -> Path:
    (folder / "serve.py").write_text(SERVER)
    (folder / "Makefile").write_text(f"serve:\n\t@{recipe}\n")
    return folder


def test_the_clock_stops_at_the_first_guarded_answer(tmp_path: Path) -> None:
    log = tmp_path / "log"
    seconds = first_answer._serve(clone(tmp_path), log, time.monotonic() - 100)
    assert seconds >= 101  # two refusals of `/readyz` come first
    assert log.read_text().startswith("starting")
    assert (tmp_path / "stopped").read_text() == "by Ctrl-C"
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_serve_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)`make serve` ended with 2:.*no room"):
        first_answer._serve(
            clone(tmp_path, "echo no room; exit 3"), tmp_path / "log", time.monotonic()
        )


def test_an_answer_without_a_decision_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUARDED", "0")
    monkeypatch.setattr(first_answer, "LIMIT_S", 4)
    with pytest.raises(RuntimeError, match="no answer after 4 s"):
        first_answer._serve(clone(tmp_path), tmp_path / "log", time.monotonic())
    assert (tmp_path / "stopped").exists()
