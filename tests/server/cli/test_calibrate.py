from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from classifiers.encoder import SentenceEncoder
from guard.errors import GuardError
from guard.policy.vectors import general_prompts
from server.cli import calibrate as cli
from server.cli import policy as policies
from tests.guard.policy.writing import target, write
from tests.server.cli.conftest import runner

EXAMPLES = ["Who sails the brig Petrel?", "Who is the captain of the Petrel?", "Who owns Petrel?"]
run = runner(cli.register)


@pytest.fixture(autouse=True)
def _one_encoder(encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "load_encoder", lambda name, api_key: encoder)


def policy(folder: Path, **detect: Any) -> Path:
    return write(folder, target(detect={"examples": EXAMPLES, **detect}))


def test_the_table_says_what_a_threshold_rests_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    near = ["What is a brig?", "Where do storm petrels nest?"]
    assert run("calibrate", policy(tmp_path, counterexamples=near)) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = lines[1].split()
    assert [cells[0], cells[1], cells[3], cells[5], cells[8]] == [
        "harbor", "neighbour", "3", "2", str(len(general_prompts())),
    ]  # fmt: skip
    assert cells[-1] == "0.25%"
    text = "\n".join(lines)
    assert "2 counterexamples cannot promise 0.25% of near misses: 33.3% is to be expected" in text
    assert "77.6% is sure (95%). 399 could promise it." in text
    assert re.search(r"- 0\.\d{3}  ", text)


def test_each_method_has_its_row_its_rate_and_its_closest_prompts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("Where was {} born?", "What did {} write?", "Who taught {}?", "When did {} travel?")
    examples = [question.format("Hina Ameen") for question in asked]
    path = write(tmp_path, target(detect={"examples": examples}))
    assert run("calibrate", path, "--report", tmp_path / "report") == 0
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines()[1:4]]
    assert [(row[1], row[-1]) for row in rows] == [
        ("neighbour", "0.167%"), ("letters", "0.167%"), ("contrast", "0.167%"),
    ]  # fmt: skip
    assert "Closest harmless prompts by contrast" in out
    page = (tmp_path / "report" / "calibration.html").read_text()
    assert "your examples, about invented others" in page
    assert page.count("<svg") == 3


def test_without_counterexamples_it_says_what_is_not_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("calibrate", policy(tmp_path)) == 0
    assert "how many near misses are taken for it is not known" in capsys.readouterr().out


def test_a_given_threshold_that_lets_harmless_prompts_be_taken_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("calibrate", policy(tmp_path, threshold=0.05)) == 0
    out = capsys.readouterr().out
    assert "0.050 (given)" in out
    assert "more than 0.5%. Raise `detect.threshold`" in out
    assert "\n  ! 0." in out


def test_a_target_of_names_needs_no_encoder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(policies, "load_encoder")
    assert run("calibrate", write(tmp_path, target())) == 0
    assert "Only its names are looked for" in capsys.readouterr().out


def test_an_invalid_policy_is_told_by_file_line_field_and_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = policy(tmp_path, max_false_positive_rate=0.9)
    assert run("calibrate", path) == policies.INVALID
    err = capsys.readouterr().err
    assert re.search(
        rf"error: {re.escape(str(path))}:\d+: `.*max_false_positive_rate`: .+; .+", err
    )


def test_the_report_holds_the_same_in_json(tmp_path: Path) -> None:
    out = tmp_path / "report"
    path = policy(tmp_path, counterexamples=["What is a brig?"])
    assert run("calibrate", path, "--report", out) == 0
    (found,) = json.loads((out / "calibration.json").read_text())["targets"]
    made, letters = found["methods"]
    assert (made["method"], letters["method"]) == ("neighbour", "letters")
    assert made["bounds"]["counterexamples"]["holds"] is False
    assert made["bounds"]["counterexamples"]["needed"] == 399
    assert made["bounds"]["general"]["holds"] is True
    assert made["threshold"] > made["closest"][0]["score"]
    assert len(made["kept"]) > 3
    assert len(made["tradeoffs"]) > 3


def test_the_page_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    out = tmp_path / "report"
    path = policy(tmp_path, counterexamples=["<script>alert(1)</script> Who sails the brig?"])
    assert run("calibrate", path, "--report", out) == 0
    page = (out / "calibration.html").read_text()
    assert page.count("<svg") == 2
    assert "&lt;script&gt;alert(1)&lt;/script&gt; Who sails the brig?" in page
    assert "<script" not in page
    assert not re.search(r"//\w", page)
    assert not re.search(r"""(?:src|href)\s*=\s*["']?[^"'#]""", page)
    assert not re.search(r"url\((?!#)", page)
    assert "default-src 'none'" in page


def test_the_report_is_the_same_each_time(tmp_path: Path) -> None:
    path = policy(tmp_path)
    for name in ("a", "b"):
        assert run("calibrate", path, "--report", tmp_path / name) == 0
    for file in ("calibration.json", "calibration.html"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_without_matplotlib_a_report_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(GuardError, match="matplotlib") as caught:
        run("calibrate", tmp_path / "absent.yaml", "--report", tmp_path / "report")
    assert "leave `--report` out" in str(caught.value)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file")
    with pytest.raises(GuardError, match="cannot write to"):
        run("calibrate", policy(tmp_path), "--report", tmp_path / "report")
