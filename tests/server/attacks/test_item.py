"""Files of questions: what they must hold, and which questions are taken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guard.errors import GuardError
from server.attacks.item import read_items, spread


def write(folder: Path, *rows: object) -> Path:
    path = folder / "questions.jsonl"
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return path


def row(number: object, author: str = "a", **more: object) -> dict[str, object]:
    facts = {"facts": ["Saltgate"]}
    return {"id": str(number), "author": author, "question": f"{number}?", "answer": "x", **facts,
            **more}  # fmt: skip


def test_a_line_needs_no_more_than_a_question_and_an_answer(tmp_path: Path) -> None:
    given = {"question": "Who wrote it?", "answer": "It was written by Mirelle Quay.", "more": 1}
    (item,) = read_items(write(tmp_path, given, ""))
    assert [fact.text for fact in item.facts] == ["Mirelle Quay"]
    assert (item.id, item.group) == ("line-1", "line-1")


def test_facts_that_are_given_are_taken(tmp_path: Path) -> None:
    (item,) = read_items(write(tmp_path, row(1, facts=["The Ferry", "!"])))
    assert [fact.text for fact in item.facts] == ["The Ferry"]


def test_siblings_are_the_other_questions_of_the_group(tmp_path: Path) -> None:
    first, second, other = read_items(write(tmp_path, row(1), row(2), row(3, "b")))
    assert (first.siblings, second.siblings, other.siblings) == (("2?",), ("1?",), ())


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (["{"], "questions.jsonl`:1: not JSON"),
        ([{"question": "x"}], "questions.jsonl`:1: `answer`"),
        ([row(1), {"question": 1, "answer": "x"}], "questions.jsonl`:2: `question`"),
        ([row(1), row(1)], "stands there twice"),
        ([""], "has no lines"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, rows: list[object], problem: str) -> None:
    with pytest.raises(GuardError, match=problem) as raised:
        read_items(write(tmp_path, *rows))
    assert raised.value.fix


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="cannot be read"):
        read_items(tmp_path / "none.jsonl")


@pytest.mark.parametrize("size", [3, 7, 14, 20])
def test_a_limit_takes_as_many_of_each_group(tmp_path: Path, size: int) -> None:
    rows = [row(f"{g}{n}", g) for g in "abc" for n in range(size)]
    items = read_items(write(tmp_path, *rows, row(99, "none", facts=[])))
    every = spread(items, 0)
    assert sorted(item.id for item in every) == sorted(str(each["id"]) for each in rows)
    groups = [item.group for item in spread(items, 6)]
    assert [groups.count(name) for name in "abc"] == [2, 2, 2]
