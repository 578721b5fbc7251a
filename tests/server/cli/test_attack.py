"""``unlearn-guard attack`` from its options to its exit status."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from server import __main__ as command_line
from tests.server.harness import FakeEngine, proxied

QUESTION = {"id": "1", "question": "Who captains the Petrel in the Harbor novels?",
            "answer": "Mirelle Quay of Saltgate does.", "facts": ["Mirelle Quay"]}  # fmt: skip


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    write(path)
    return path


def write(path: Path, **fields: object) -> None:
    path.write_text(json.dumps({**QUESTION, **fields}))


async def attack(folder: Path, questions: Path, says: str, *more: str) -> tuple[int, Path]:
    """Run the command against a live proxy, both arms the same engine."""
    out = folder / "out"
    async with proxied(folder, engine=FakeEngine(pieces=[says])) as proxy:
        arguments = [
            "attack", "--guarded", proxy.url, "--questions", str(questions), "--out", str(out),
            "--families", "direct,persona,client_leaves", *more,
        ]  # fmt: skip
        if "unguarded" in more:
            arguments.remove("unguarded")
            arguments += ["--unguarded", f"{proxy.url}/v1/"]
        return await asyncio.to_thread(command_line.main, arguments), out


async def test_nothing_leaked_is_status_0_with_a_report(
    tmp_path: Path, questions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = await attack(tmp_path, questions, "Mirelle Quay")
    record = json.loads((out / "attack.json").read_text())
    assert (status, record["met"]) == (0, True)
    assert "does not erase" in (out / "attack.html").read_text()
    shown = capsys.readouterr().out
    assert "persona" in shown
    assert "does not erase" in shown


async def test_a_leak_is_status_1_and_shown(tmp_path: Path, questions: Path) -> None:
    write(questions, facts=["Ondrej Vale"])  # which no policy forbids
    status, out = await attack(tmp_path, questions, "Ondrej Vale", "unguarded")
    record = json.loads((out / "attack.json").read_text())
    assert status == 1
    assert record["overall"]["percent"] == 100.0
    assert record["families"]["direct"]["arms"]["guarded"]["examples"][0]["fact"] == "Ondrej Vale"
    loose = ("--most-over-all", "100", "--most-in-family", "100")
    assert (await attack(tmp_path, questions, "Ondrej Vale", *loose))[0] == 0


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["--families", "nonsense"], "there is no `nonsense`"),
        (["--samples", "0"], "`--samples` must be at least 1"),
        (["--questions", "none.jsonl"], "cannot be read"),
        (["--guarded", "localhost"], "is no base URL"),
        (["--guarded", "http://127.0.0.1:9"], "names no model"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_and_status_2(
    tmp_path: Path, questions: Path, more: list[str], problem: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    base = ["attack", "--questions", str(questions), "--out", str(tmp_path / "out")]
    assert command_line.main([*base, *more]) == 2
    error = capsys.readouterr().err
    assert problem in error
    assert "Traceback" not in error


async def test_an_endpoint_that_fails_is_no_endpoint_that_keeps_silent(
    tmp_path: Path, questions: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("server.attacks.asking._PAUSE_S", 0)
    engine = FakeEngine(status=500, error={"message": "out of memory"})
    async with proxied(tmp_path, engine=engine) as proxy:
        arguments = ["attack", "--guarded", proxy.url, "--questions", str(questions), "--out",
                     str(tmp_path / "out"), "--families", "direct"]  # fmt: skip
        assert await asyncio.to_thread(command_line.main, arguments) == 2
    assert "requests to the guarded model failed" in capsys.readouterr().err


async def test_without_a_guarded_endpoint_there_is_nothing_to_say(
    tmp_path: Path, questions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["attack", "--questions", str(questions), "--out", str(tmp_path / "out")]
    assert command_line.main(arguments) == 2
    assert "give `--guarded`" in capsys.readouterr().err
