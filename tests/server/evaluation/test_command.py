"""``unlearn-guard eval`` from the command line to its report, against scripted endpoints."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from guard.errors import GuardError
from server.__main__ import main
from server.cli import eval as command
from server.evaluation import choosing
from server.evaluation.estimates import Estimate
from server.evaluation.findings import Finding, Section
from server.evaluation.thresholds import judge, read_thresholds
from tests.server.evaluation.endpoints import Scripted, serving
from tests.server.evaluation.test_suites import FORGET, RETAIN, hides, knows, never_knew


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A set in TOFU's layout, one answer of which tries to be part of the page."""
    folder = tmp_path / "tofu"
    folder.mkdir()
    for name, rows in (("forget", FORGET), ("retain", RETAIN)):
        (folder / f"{name}.jsonl").write_text(
            "".join(
                json.dumps(
                    {
                        "id": row.id, "author": row.author, "question": row.question,
                        "answer": row.answer, "paraphrased_question": row.paraphrased_question,
                        "paraphrased_answer": row.paraphrased_answer,
                    }
                )
                + "\n"
                for row in rows
            )
        )  # fmt: skip
    return folder


def hostile(asked: str, fields: dict[str, Any]) -> str:
    return f"<script>alert(1)</script> {hides(asked, fields)}"


def evaluated(data: Path, out: Path, *more: str, **arms: Scripted) -> int:
    flags = [f"--{arm.replace('_', '-')}={endpoint.url}" for arm, endpoint in arms.items()]
    return main(["eval", f"--tofu={data}", f"--out={out}", *flags, *more])


def report(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "report.json").read_text())
    return found


def figures(out: Path) -> dict[str, dict[str, Any]]:
    return {f["id"]: f for section in report(out)["sections"] for f in section["findings"]}


def test_a_report_is_written_for_machines_and_for_people(data: Path, tmp_path: Path) -> None:
    guarded = Scripted(hostile, bundle="abc123")
    arms = {
        "guarded": guarded,
        "unguarded": Scripted(knows),
        "retain_only": Scripted(never_knew),
    }
    with serving(*arms.values()):
        assert evaluated(data, tmp_path / "out", **arms) == 0
    found = report(tmp_path / "out")
    assert "Suppression, not removal" in found["intention"]
    assert found["arms"]["guarded"] == {"model": "scripted", "bundle": "abc123", "guard": "1"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found["settings"]["date"])
    assert set(found["settings"]["data"]) == {"forget.jsonl", "retain.jsonl"}
    own = figures(tmp_path / "out")
    assert own["tofu.forget.facts.unguarded"]["value"] == 100
    assert own["tofu.forget.facts.guarded"]["value"] == 0
    assert all({"n", "low", "high", "entities"} <= set(figure) for figure in own.values())
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Suppression, not removal" in page
    leaks = page[page.index("What leaks, unguarded and guarded") : page.index("TOFU: what")]
    assert "key facts said, forget" in leaks
    assert "seconds a request" not in leaks
    assert "seconds a request" in page
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"""(?:src|href)\s*=|url\(|@import""", page)
    for drawing in re.findall(r"<svg.*?</svg>", page, re.S):
        ElementTree.fromstring(drawing)


def test_a_run_goes_on_where_it_was_and_takes_one_endpoint_at_a_time(
    data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    guarded, unguarded, twin = (Scripted(say) for say in (hides, knows, never_knew))
    with serving(guarded, unguarded):
        evaluated(data, out, guarded=guarded, unguarded=unguarded)
        asked = len(guarded.bodies)
        first = figures(out)
        evaluated(data, out, guarded=guarded, unguarded=unguarded)
        assert len(guarded.bodies) == asked
        assert figures(out) == first
    with serving(twin):
        evaluated(data, out, retain_only=twin)
    assert len(guarded.bodies) == asked
    assert "tofu.forget_quality.ks.guarded" in figures(out)


def test_what_was_answered_first_can_be_read_out_later(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    guarded, unguarded, twin = (Scripted(say) for say in (hides, knows, never_knew))
    more = ["--suites=tofu,fluency"]
    with serving(twin):
        assert evaluated(data, out, *more, retain_only=twin) == 2
    with serving(guarded, unguarded):
        assert evaluated(data, out, *more, guarded=guarded, unguarded=unguarded) == 0
    (own,) = (each for each in report(out)["sections"] if each["id"] == "fluency")
    assert own["findings"] == []
    assert "give `--retain-only` again" in own["not_applicable"][0]["why"]
    with serving(twin):
        assert evaluated(data, out, *more, retain_only=twin) == 0
    assert "fluency.perplexity.guarded" in figures(out)


def test_a_bound_is_not_kept_by_requests_that_nobody_answered(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "t.yaml"
    file.write_text("version: 1\nthresholds: [{figure: tofu.forget.facts.guarded, at_most: 0}]")
    guarded, unguarded = Scripted(hides), Scripted(knows)
    guarded.statuses = [400] * 1000
    with serving(guarded, unguarded):
        more = [f"--thresholds={file}", "--suites=tofu"]
        assert evaluated(data, tmp_path, *more, guarded=guarded, unguarded=unguarded) == 2
    assert "the guarded endpoint rejected 100 % of the requests" in capsys.readouterr().err
    guarded.statuses = [400] * 1000
    out = tmp_path / "told"
    with serving(guarded, unguarded):
        evaluated(data, out, "--suites=tofu", guarded=guarded, unguarded=unguarded)
    (own, *_) = report(out)["sections"]
    assert "were rejected" in own["not_applicable"][-1]["why"]
    assert own["rejected"] == {"guarded": 1.0}


def test_without_answers_of_both_there_is_no_report(data: Path, tmp_path: Path) -> None:
    guarded = Scripted(hides)
    with serving(guarded):
        assert evaluated(data, tmp_path / "out", guarded=guarded) == 2
    assert not (tmp_path / "out" / "report.json").exists()


@pytest.mark.parametrize(("bound", "status"), [("at_most: 0", 0), ("at_least: 1", 1)])
def test_thresholds_decide_the_exit_status(
    data: Path, tmp_path: Path, bound: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "t.yaml"
    file.write_text(f"version: 1\nthresholds: [{{figure: tofu.forget.facts.guarded, {bound}}}]")
    guarded, unguarded = Scripted(hides), Scripted(knows)
    with serving(guarded, unguarded):
        more = [f"--thresholds={file}", "--suites=tofu"]
        assert evaluated(data, tmp_path, *more, guarded=guarded, unguarded=unguarded) == status
    assert ("MISSED" if status else "met") in capsys.readouterr().out
    assert report(tmp_path)["thresholds"][0]["met"] is (status == 0)


def test_a_quick_run_asks_fewer(data: Path, tmp_path: Path) -> None:
    guarded, unguarded = Scripted(hides), Scripted(knows)
    with serving(guarded, unguarded):
        more = ["--limit=2", "--suites=tofu"]
        evaluated(data, tmp_path, *more, guarded=guarded, unguarded=unguarded)
    assert figures(tmp_path)["tofu.forget.rouge_l.guarded"]["n"] == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--suites=tofu", "--prompt-format={question}"], "`--prompt-format`"),
        (["--suites=muse"], "no data for any of the suites muse"),
        (["--thresholds=/none.yaml"], "`--thresholds`"),
        (["--steps=/none.yaml"], "cannot be read as YAML"),
    ],
)
def test_what_cannot_be_used_is_named(
    data: Path, tmp_path: Path, more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", f"--tofu={data}", f"--out={tmp_path}", *more]) == 2
    assert said in capsys.readouterr().err


def test_the_command_knows_every_suite() -> None:
    assert (*choosing.SUITES, "steps") == command.SUITES


def section(**more: Any) -> Section:
    estimate = Estimate(**{"value": 2.0, "low": 1.0, "high": 3.0, "n": 9, "entities": 3, **more})
    return Section("s", "S", "", [Finding("s.x", "x", "%", "lower", estimate)])


@pytest.mark.parametrize(
    ("bound", "met"),
    [
        ("at_most: 2", True), ("at_most: 1.9", False), ("at_least: 2", True),
        ("at_most: 2, edge: interval", False), ("at_most: 3, edge: interval", True),
        ("at_least: 1, edge: interval", True), ("at_least: 2, edge: interval", False),
    ],
)  # fmt: skip
def test_a_bound_is_on_the_figure_or_on_its_intervals_worse_edge(
    tmp_path: Path, bound: str, met: bool
) -> None:
    file = tmp_path / "t.yaml"
    file.write_text(f"version: 1\nthresholds: [{{figure: s.x, {bound}}}]")
    (verdict,) = judge(read_thresholds(file), [section()])
    assert verdict.met is met


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 1\nthresholds: []", "thresholds"),
        ("version: 2\nthresholds: [{figure: a, at_most: 1}]", "version"),
        ("version: 1\nthresholds: [{figure: a}]", "either `at_most` or `at_least`"),
        ("version: 1\nthresholds: [{figure: a, at_most: 1, at_least: 0}]", "either"),
        ("version: 1\nthresholds: [{figure: a, most: 1}]", "most"),
        ("[", "YAML"),
    ],
)
def test_bounds_that_cannot_be_used_are_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "t.yaml"
    file.write_text(text)
    with pytest.raises(GuardError, match=said):
        read_thresholds(file)


def test_a_bound_on_nothing_is_no_bound_that_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text("version: 1\nthresholds: [{figure: s.y, at_most: 1}]")
    with pytest.raises(GuardError, match=r"`s.y`, which this run has not measured"):
        judge(read_thresholds(file), [section()])
    file.write_text("version: 1\nthresholds: [{figure: s.x, at_most: 1, edge: interval}]")
    with pytest.raises(GuardError, match="no interval"):
        judge(read_thresholds(file), [section(low=None, high=None, entities=1)])
