"""The command line lists figures, and its last line is the figure as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest

import load_tests.__main__ as command
from load_tests.figure import Figure, Measured, NotMeasurableError, Options


def fake(run: Callable[[Options], Measured]) -> Figure:
    return Figure("identity", "what", "%", "100", run)


def test_without_a_name_every_figure_is_listed_with_its_goal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [*command.FIGURES, "load"]
    assert all("goal: " in line for line in lines[:-1])


@pytest.mark.parametrize("name", command.FIGURES)
def test_a_figure_goes_by_its_own_name(name: str) -> None:
    assert command.figure(name).name == name


def test_the_last_line_is_one_json_object(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Options] = []

    def run(options: Options) -> Measured:
        seen.append(options)
        sys.stdout.write("something on the way\n")
        return Measured(99.5, 200, {"differ": ["a\nb"]})

    monkeypatch.setattr(command, "figure", lambda name: fake(run))
    assert command.main(["identity"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(last) == {
        "name": "identity",
        "value": 99.5,
        "unit": "%",
        "goal": "100",
        "n": 200,
        "details": {"differ": ["a\nb"]},
    }
    assert seen == [Options()]


def test_a_run_of_less_than_everything_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "figure", lambda name: fake(lambda options: Measured(1.0, 1)))
    assert command.main(["identity", "--limit", "5"]) == 0
    details = json.loads(capsys.readouterr().out)["details"]
    assert details["not_the_recorded_setting"]["limit"] == 5


def test_what_is_missing_is_told_in_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(options: Options) -> Measured:
        raise NotMeasurableError("needs the TOFU data")

    monkeypatch.setattr(command, "figure", lambda name: fake(run))
    assert command.main(["tofu-leak"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "tofu-leak needs the TOFU data\n"
    assert captured.out == ""
