from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from server.cli import proxy
from server.errors import SettingsError
from tests.server.harness import KEY, POLICY

SCRIPT = """
import argparse, sys
from server.cli import proxy
parser = argparse.ArgumentParser()
proxy.register(parser.add_subparsers())
args = parser.parse_args()
sys.exit(args.run(args))
"""


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    proxy.register(parser.add_subparsers())
    return parser.parse_args(["proxy", *arguments])


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        args = parse("--port", str(port), "--policies", str(tmp_path / "none"))
        with pytest.raises(SettingsError) as error:
            args.run(args)
    assert str(port) in str(error.value)
    assert "--port" in str(error.value)


def test_a_host_that_is_none_is_one_sentence() -> None:
    args = parse("--host", "999.1.1.1", "--port", "0")
    with pytest.raises(SettingsError, match=r"999\.1\.1\.1"):
        args.run(args)


def test_it_serves_until_it_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    command = [
        sys.executable, "-c", SCRIPT, "proxy", "--port", "0", "--encoder", "none",
        "--policies", str(tmp_path / "policy.yaml"), "--bundles", str(tmp_path / "bundles"),
        "--upstream", "http://127.0.0.1:9", "--decision-log", str(tmp_path / "log"),
    ]  # fmt: skip
    environ = {**os.environ, "UNLEARN_GUARD_KEY": KEY, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stderr is not None
        try:
            url = ""
            for line in process.stderr:
                if "listening on " in line:
                    url = line.split("listening on ")[1].strip()
                    break
            with urllib.request.urlopen(f"{url}/healthz") as answer:
                assert answer.status == 200
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
    assert "Traceback" not in rest
