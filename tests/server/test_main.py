"""The command line as a whole."""

from __future__ import annotations

import json
import os
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


def test_help_needs_nothing_that_only_measuring_needs() -> None:
    missing = "import sys; sys.modules.update(dict.fromkeys(sys.argv.pop().split(',')))"
    run = f"{missing}; from server.__main__ import main; sys.exit(main(['--help']))"
    needs = "rouge_score,rapidfuzz,datasketch,scipy,sklearn"
    done = subprocess.run([sys.executable, "-c", run, needs], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


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


def test_a_package_that_is_not_installed_is_one_sentence() -> None:
    # As in vLLM's own environment, where the guard is installed without its dependencies.
    code = (
        "import sys; sys.modules['spellchecker'] = None\n"
        "from server.__main__ import main; sys.exit(main(['check', 'policies']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    told = done.stderr.decode()
    assert done.returncode == 2
    assert told.startswith("unlearn-guard: the Python package `spellchecker` is not installed")
    assert told.count("\n") == 1


def test_an_output_that_nobody_reads_ends_quietly() -> None:
    command = [sys.executable, "-m", "server", "schema"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as done:
        assert done.stdout is not None
        assert done.stderr is not None
        done.stdout.close()
        assert done.stderr.read() == b""
    assert done.returncode == 141


def test_letters_that_the_terminal_cannot_show_end_nothing(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "version: 1\ntargets:\n- {id: a, title: A, reason: secret, owner: o, respond: refuse,"
        " detect: {aliases: [Zoë Ångström]}, tests: [{prompt: Wer ist Żaneta?, expect: detected}]}",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "server", "check", str(file)],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 1, done.stderr.decode()
    assert b"\\u017baneta" in done.stdout


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
