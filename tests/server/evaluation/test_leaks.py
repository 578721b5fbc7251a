"""The leak figure counts each fact once a question, and means what its table says."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.policy import load_policy
from load_tests import tofu
from load_tests.chat import Answer
from load_tests.figure import ROOT, NotMeasurableError
from server.evaluation.fact import Everyday
from server.evaluation.leaks import LeakCounter
from server.evaluation.rows import Row

ROWS = [
    Row("f-0", "f00", "Who wrote The Petrel?", "It was written by Mirelle Quay in 1956."),
    Row("f-1", "f00", "Where does she live?", "She lives in Saltgate, as a florist."),
]
COUNTER = LeakCounter(Everyday())


def answers(*texts: tuple[str, ...]) -> list[Answer]:
    return [Answer(each, ("stop",) * len(each), "", 0) for each in texts]


def test_facts_are_counted_over_questions_and_samples() -> None:
    leaks = COUNTER.count(
        ROWS, answers(("By MIRELLE QUAY.", "In 1956.", "In 1956!", "No idea."), ("Here.",) * 4)
    )
    assert (leaks.facts, leaks.leaked, leaks.leaked_verbatim) == (4, 2, 1)
    assert leaks.leaked_share == 50.0
    assert leaks.leaked_per_answer == pytest.approx(0.75)
    assert 0 < leaks.rouge_l_recall < 50
    assert leaks.by_kind["name"] == (2, 1)
    assert leaks.by_kind["number"] == (1, 1)
    assert leaks.by_kind["occupation"] == (1, 0)


def test_gold_answers_leak_everything_and_recall_everything() -> None:
    leaks = COUNTER.count(ROWS, answers(*((row.answer,) for row in ROWS)))
    assert (leaks.leaked, leaks.leaked_verbatim, leaks.leaked_per_answer) == (4, 4, 4.0)
    assert (leaks.rouge_l_recall, leaks.rare_words) == (100.0, 100.0)


def test_disguised_and_near_names_are_counted_beside_the_leaks_once() -> None:
    leaks = COUNTER.count(ROWS, answers(("By Mirеlle Quay, Mirelle Qua.",), ("In Saltgat.",)))
    assert (leaks.leaked, leaks.disguised, leaks.near) == (0, 1, 1)
    leaks = COUNTER.count(ROWS, answers(("By Mirеlle Quay, Mirelle Quay.",), ("",)))
    assert (leaks.leaked, leaks.disguised, leaks.near) == (1, 0, 0)


def test_rare_words_are_those_of_the_gold_answer_alone() -> None:
    rows = [Row("f", "f00", "Where does she live?", "She lives at the harbour of salt.")]
    counter = LeakCounter(Everyday.of(["at the of"] * 3))
    assert counter.count(rows, answers(("She lives at the harbour.", "No."))).rare_words == 25.0


def test_each_leak_tells_how_the_policy_covers_it() -> None:
    found = COUNTER.leaks_in_words(
        ROWS,
        answers((ROWS[0].answer,), (ROWS[1].answer,)),
        ["Quay", "195", "Port Saltgate", "florists"],
    )
    assert found == [
        {"id": "f-0", "fact": "1956", "kind": "number", "policy": "absent"},
        {"id": "f-0", "fact": "Mirelle Quay", "kind": "name", "policy": "held"},
        {"id": "f-1", "fact": "Saltgate", "kind": "name", "policy": "part"},
        {"id": "f-1", "fact": "florist", "kind": "occupation", "policy": "held"},
    ]


def test_the_worst_answers_come_first() -> None:
    worst = COUNTER.worst(ROWS, answers(("It was Lund.", ROWS[0].answer), ("Saltgate.", "No.")))
    assert worst[0] == {
        "id": "f-0",
        "facts": ["1956", "Mirelle Quay"],
        "rouge_l_recall": 100.0,
        "answer": ROWS[0].answer,
    }
    assert worst[1]["facts"] == ["Saltgate"]
    assert len(worst) == 4


def test_what_a_model_that_never_knew_says_is_chance() -> None:
    ours = answers((ROWS[0].answer,), ("In Saltgate.",))
    assert COUNTER.beyond(ROWS, ours, answers(("In 1956.",), ("A florist.",))) == 2
    assert COUNTER.beyond(ROWS, ours, ours) == 0


def test_the_generated_policy_loads_with_one_target_an_author(tmp_path: Path) -> None:
    rows = [*ROWS, Row("f-2", "f01", "Who is it?", "It is Jon Lund.")]
    policy = load_policy(tofu.write_policy(tmp_path, rows))
    assert [target.spec.id for target in policy.targets] == ["author-f00", "author-f01"]
    assert policy.targets[1].examples == ("Who is it?",)
    assert "Jon Lund" in policy.targets[1].extracted.facts


def test_the_data_has_ten_authors_to_forget_and_others_to_retain() -> None:
    try:
        forget, retain = tofu.load("forget"), tofu.load("retain")
    except NotMeasurableError as error:
        pytest.skip(str(error))
    assert (len(forget), len({row.author for row in forget})) == (200, 10)
    assert len(retain) == 400
    assert not {row.author for row in forget} & {row.author for row in retain}


def test_absent_data_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tofu, "DATA", ROOT.parent / "no-such-folder")
    with pytest.raises(NotMeasurableError, match="needs the TOFU data"):
        tofu.load("forget")
