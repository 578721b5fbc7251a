"""The figure's goals are judged on what the arms said, each only where it can be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from load_tests import tofu
from load_tests.chat import Answer
from load_tests.figure import NotMeasurableError, Options
from load_tests.figures import tofu_leak
from load_tests.transcripts import Transcript, Transcripts
from server.evaluation.rows import Row

FORGET = [
    Row("f-0", "f00", "Who wrote it?", "It was written by Mirelle Quay.", "Whose is it?"),
    Row("f-1", "f00", "Where does she live?", "She lives in Saltgate.", "Her home?"),
]
RETAIN = [Row("r-0", "r00", "Who is it?", "It is Jon Lund.")]


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tofu, "load", lambda name: FORGET if name == "forget" else RETAIN)


def keep(kept: Transcripts, arm: str, what: str, rows: list[Row], *texts: str) -> None:
    kept.write(arm, what, Transcript(rows, [Answer((t,), ("stop",), "gd", 1) for t in texts]))


def goals(folder: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = tofu_leak.measure(
        Options(rescore=True, folder=str(folder))
    ).details["goals"]
    return found


def test_every_goal_is_judged_when_every_arm_is_there(tmp_path: Path) -> None:
    kept = Transcripts(tmp_path)
    keep(kept, "guard", "forget", FORGET, "It was written by Mirelle Quay.", "No.")
    keep(kept, "bad_words", "forget", FORGET, "By Mirelle Quay.", "In Saltgate.")
    keep(kept, "retain_only", "forget", FORGET, "It was written by Jon.", "She lives in Rome.")
    keep(kept, "guard", "forget_sampled", FORGET, "No.", "No.")
    keep(kept, "guard", "retain", RETAIN, "It is Jon Lund.")
    keep(kept, "no_guard", "retain", RETAIN, "It is Jon Lund.")
    judged = goals(tmp_path)
    assert {name: (goal["value"], goal["met"]) for name, goal in judged.items()} == {
        "facts_t0": (50.0, False),
        "facts_t1": (0.0, True),
        "rouge_over_retain_only": (pytest.approx(50.0 - 100 * (4 / 6 + 3 / 4) / 2, abs=0.01), True),
        "retain_lost": (0.0, True),
        "over_bad_words": (0.5, False),
    }


def test_a_goal_is_left_out_where_its_arms_were_asked_other_questions(tmp_path: Path) -> None:
    kept = Transcripts(tmp_path)
    keep(kept, "guard", "forget", FORGET, "No.", "No.")
    keep(kept, "bad_words", "forget", FORGET[:1], "By Mirelle Quay.")
    assert list(goals(tmp_path)) == ["facts_t0"]


def test_details_hold_the_leaks_the_worst_answers_and_chance(tmp_path: Path) -> None:
    kept = Transcripts(tmp_path)
    keep(kept, "guard", "forget", FORGET, "By Mirelle Quay.", "In Saltgate.")
    keep(kept, "retain_only", "forget", FORGET, "By Jon.", "In Saltgate.")
    (tmp_path / "phrases.json").write_text('["Quay"]')
    told = tofu_leak.measure(Options(rescore=True, folder=str(tmp_path))).details["arms"]
    ours = told["guard"]["forget"]
    assert [(leak["fact"], leak["policy"]) for leak in ours["leaks"]] == [
        ("Mirelle Quay", "held"),
        ("Saltgate", "absent"),
    ]
    assert ours["beyond_retain_only"] == 1
    assert ours["worst"][0]["facts"]


def test_without_answers_of_the_guard_nothing_is_measured(tmp_path: Path) -> None:
    with pytest.raises(NotMeasurableError, match="needs answers of the guard"):
        goals(tmp_path)


@pytest.mark.parametrize(
    ("options", "named"),
    [(Options(arms=("guards",)), "--arms"), (Options(sets=("forgot",)), "--sets")],
)
def test_an_unknown_arm_or_set_is_told_in_words(options: Options, named: str) -> None:
    with pytest.raises(NotMeasurableError, match=f"{named} takes "):
        tofu_leak.measure(options)
