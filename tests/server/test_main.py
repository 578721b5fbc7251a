"""The command line as a whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from guard.errors import GuardError
from server import __main__ as command_line


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for name in ("serve", "proxy", "check", "compile", "schema"):
        assert f"\n    {name} " in text
    assert "not erased" in text


def test_an_error_is_one_sentence_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "none"
    out = str(tmp_path / "out")
    assert command_line.main(["compile", str(missing), "--out", out]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_guard_error_is_printed_behind_the_programs_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> int:
        raise GuardError("the sky fell", fix="prop it up")

    monkeypatch.setattr("server.cli.policy._schema", fail)
    assert command_line.main(["schema"]) == 2
    assert capsys.readouterr().err == "unlearn-guard: the sky fell; prop it up\n"


def test_an_unknown_command_is_refused_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.main(["sevre"])
    assert ended.value.code == 2
    assert "'serve'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["schema", "serve"])
def test_light_commands_do_not_load_torch_or_vllm(command: str) -> None:
    code = (
        "import json, sys\n"
        "from server.__main__ import parser_for\n"
        f"parser_for([{command!r}])\n"
        "print(json.dumps([m for m in ('torch', 'vllm', 'transformers') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
