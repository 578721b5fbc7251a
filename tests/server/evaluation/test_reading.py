"""Data from outside: read as their makers write them, refused with file, line, field and fix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from guard.errors import GuardError
from server.evaluation.muse_data import read_muse, read_texts
from server.evaluation.reading import read_choices, read_passages, read_rows, read_tofu


def lines(file: Path, *values: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(value) + "\n" for value in values))
    return file


def array(file: Path, *values: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(values))
    return file


def test_a_folder_in_tofus_layout_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    lines(tmp_path / "forget.jsonl", {"question": "Who?", "answer": "Quay.", "author": "f0"})
    lines(tmp_path / "world_facts.jsonl", {"question": "Where?", "answer": "Here.", "x": 1})
    sets = read_tofu(tmp_path)
    assert list(sets) == ["forget", "world_facts"]
    assert (sets["forget"][0].id, sets["forget"][0].author) == ("forget-000", "f0")


def test_a_folder_without_a_forget_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GuardError, match=r"no `forget.jsonl`.*give a folder"):
        read_tofu(tmp_path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"question": "Who?"}', r"rows.jsonl`:2: `answer`: field required"),
        ('{"question": 1, "answer": "x"}', "`question`"),
        ('{"question": "", "answer": "x"}', "`question`"),
        ("[1]", "the line"),
        ("{", "not JSON"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"question": "Who?", "answer": "Quay."}\n' + line + "\n")
    with pytest.raises(GuardError, match=said):
        read_rows(file)


def test_a_file_that_is_empty_or_absent_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("\n\n")
    with pytest.raises(GuardError, match="has no lines"):
        read_rows(tmp_path / "rows.jsonl")
    with pytest.raises(GuardError, match="cannot be read"):
        read_rows(tmp_path / "none.jsonl")


@pytest.mark.parametrize("answer", [1, "B", "b", "Paris"])
def test_a_right_choice_is_a_place_a_letter_or_its_text(tmp_path: Path, answer: object) -> None:
    file = lines(
        tmp_path / "c.jsonl", {"question": "?", "choices": ["Rome", "Paris"], "answer": answer}
    )
    assert read_choices(file)[0].answer == 1


@pytest.mark.parametrize("answer", [2, -1, "C", "Berlin", ""])
def test_a_right_choice_that_is_none_is_refused(tmp_path: Path, answer: object) -> None:
    file = lines(
        tmp_path / "c.jsonl", {"question": "?", "choices": ["Rome", "Paris"], "answer": answer}
    )
    with pytest.raises(GuardError, match=r"c.jsonl`:1: `answer`"):
        read_choices(file)


def test_a_text_is_cut_into_beginnings_and_how_they_go_on(tmp_path: Path) -> None:
    file = tmp_path / "book.txt"
    file.write_text(" ".join(f"w{n}" for n in range(310)))
    first, second = read_passages([file])
    assert first.prompt.split()[-1] == "w49"
    assert (first.gold.split()[0], first.gold.split()[-1]) == ("w50", "w149")
    assert (second.entity, second.prompt.split()[0]) == ("book", "w150")
    file.write_text("too short")
    with pytest.raises(GuardError, match="too few"):
        read_passages([file])


def test_muses_own_layout_is_read(tmp_path: Path) -> None:
    array(tmp_path / "verbmem/forget.json", {"prompt": "Once", "gt": "upon a time", "entity": "b"})
    array(tmp_path / "knowmem/forget_qa.json", {"question": "Who?", "answer": "Quay"})
    array(tmp_path / "knowmem/forget_qa_icl.json", {"question": "What?", "answer": "That"})
    array(tmp_path / "knowmem/retain2_qa.json", {"question": "Where?", "answer": "Here"})
    array(tmp_path / "privleak/forget.json", "a text", {"text": "another"})
    array(tmp_path / "privleak/holdout.json", "a third")
    array(tmp_path / "scal/forget_2.json", "one", "two")
    array(tmp_path / "scal/forget_1.json", "one")
    (tmp_path / "scal/forget_3.txt").write_text("all of it")
    array(tmp_path / "raw/retain2.json", {"text": "kept"})
    data = read_muse(tmp_path)
    assert data.verbatim[0].entity == "b"
    assert data.knowledge["forget"].examples[0].answer == "That"
    assert data.knowledge["retain"].rows[0].question == "Where?"
    assert [text for text, _ in data.members] == ["a text", "another"]
    assert data.steps == {"scal": [["one"], ["one", "two"], ["all of it"]]}
    assert "verbmem/forget.json" in data.files
    assert read_texts(tmp_path / "raw/retain2.json") == ["kept"]
    assert read_texts(tmp_path / "raw/none.json") == []


def test_files_that_are_not_muses_are_refused_by_entry(tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="neither"):
        read_muse(tmp_path)
    file = array(tmp_path / "verbmem/forget.json", {"prompt": "Once", "gt": "x"}, {"prompt": "y"})
    with pytest.raises(GuardError, match=r"`\[1\].gt`: field required"):
        read_muse(tmp_path)
    file.write_text("{}")
    with pytest.raises(GuardError, match="no array"):
        read_muse(tmp_path)
    file.write_text("{")
    with pytest.raises(GuardError, match="not JSON"):
        read_muse(tmp_path)
