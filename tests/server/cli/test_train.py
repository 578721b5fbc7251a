from __future__ import annotations

import json
from pathlib import Path

import pytest

from guard.errors import GuardError
from guard.policy.trained import read_trained, trained_path
from server.cli import policy as policies
from server.cli import train as cli
from tests.guard.policy.test_trained import lives
from tests.guard.policy.writing import target, write
from tests.server.cli.conftest import runner

run = runner(cli.register)


def test_what_is_learnt_is_written_beside_the_policy_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = lives(tmp_path)
    assert run("train", path) == 0
    shown = capsys.readouterr()
    rows = [line.split() for line in shown.out.splitlines()[1:4]]
    assert [row[0] for row in rows] == ["quay", "marr", "vance"]
    assert all(row[-1] == "0.125%" for row in rows)
    assert f"written: {trained_path(path)}" in shown.err
    assert read_trained(trained_path(path)) is not None


def test_too_few_near_misses_are_told_with_the_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", write(tmp_path, target(detect={"examples": ["Who sails?"]}))) == 0
    out = capsys.readouterr().out
    assert "Nothing is learnt of harbor (0 of 199): there are too few near misses" in out


def test_json_is_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", lives(tmp_path), "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["quay"]["near_misses"] == 206
    assert made["quay"]["in_use"] is True
    assert made["quay"]["calibration"]["bounds"]["targets"]["n"] == 16


def test_a_file_of_another_version_does_not_keep_from_training(tmp_path: Path) -> None:
    path = lives(tmp_path)
    trained_path(path).write_bytes(b"old")
    assert run("train", path) == 0
    assert read_trained(trained_path(path)) is not None


def test_an_invalid_policy_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", write(tmp_path, target(id="No good"))) == policies.INVALID
    assert "targets[0].id" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    path = lives(tmp_path)
    trained_path(path).mkdir()
    with pytest.raises(GuardError, match="train where the policy's folder can be written"):
        run("train", path)
