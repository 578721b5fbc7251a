"""Answers are kept so that they can be counted again as they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from load_tests.chat import Answer
from load_tests.figure import NotMeasurableError
from load_tests.transcripts import Transcript, Transcripts, same_questions
from server.evaluation.rows import Row

ROWS = [Row("f-0", "f00", "Who?", 'Quay, "née" Lund.', "Whom?"), Row("f-1", "f00", "Where?", "")]
ANSWERS = [
    Answer(("Quay\n", "海"), ("stop", "length"), "gd_1", 7),
    Answer(("", "x"), ("stop",) * 2, "", 0),
]


def test_what_is_kept_is_read_back_as_it_was(tmp_path: Path) -> None:
    kept = Transcripts(tmp_path)
    kept.write("guard", "forget", Transcript(ROWS, ANSWERS))
    kept.write("guard", "retain", Transcript(ROWS[:1], ANSWERS[:1]))
    assert kept.read("guard", "forget") == Transcript(ROWS, ANSWERS)
    assert kept.read("guard", "retain") == Transcript(ROWS[:1], ANSWERS[:1])
    assert kept.read("bad_words", "forget") is None


def test_a_later_run_replaces_an_earlier(tmp_path: Path) -> None:
    kept = Transcripts(tmp_path)
    kept.write("guard", "forget", Transcript(ROWS, ANSWERS))
    kept.write("guard", "forget", Transcript(ROWS[1:], ANSWERS[1:]))
    assert kept.read("guard", "forget") == Transcript(ROWS[1:], ANSWERS[1:])


def test_lines_of_another_version_are_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "guard-forget.jsonl").write_text('{"id": "f-0"}\n')
    with pytest.raises(NotMeasurableError, match="ask arm guard again"):
        Transcripts(tmp_path).read("guard", "forget")


def test_how_an_arm_was_asked_is_kept_with_its_commit(tmp_path: Path) -> None:
    kept = Transcripts(tmp_path)
    assert kept.told("guard") == {}
    kept.tell("guard", {"samples": 8})
    assert kept.told("guard")["samples"] == 8
    assert "commit" in kept.told("guard")


def test_transcripts_compare_only_where_the_questions_are_the_same() -> None:
    other = [Row("f-0", "f00", "Who?", "other answer"), Row("f-1", "f00", "Where?", "")]
    assert same_questions(ROWS, other)
    assert not same_questions(ROWS, other[:1])
    assert not same_questions(ROWS, other[::-1])
