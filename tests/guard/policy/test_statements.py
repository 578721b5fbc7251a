from __future__ import annotations

from pathlib import Path

from classifiers.encoder import SentenceEncoder
from guard.policy.load import load_policy
from guard.policy.statements import FLOOR, compile_statements, statements_of
from tests.guard.policy.writing import target, write, write_rows

PAIRS = [
    ("Who wrote the Harbor novels?", "They were written by Mirelle Quay."),
    ("Where was Mirelle Quay born?", "Mirelle Quay was born in Port Avel. Quay liked it."),
    ("Was Mirelle Quay a teacher?", "No, Mirelle Quay was a lighthouse surveyor."),
]


def test_names_are_masked_and_facts_are_what_the_question_does_not_ask_with() -> None:
    found = statements_of(PAIRS, ["Mirelle Quay", "Harbor novels"], [])
    assert [(each.masked, each.facts) for each in found] == [
        ("someone was born in Port Avel.", ("port avel",)),
        ("No, someone was a lighthouse surveyor.", ("lighthouse", "surveyor")),
    ]


def test_a_sentence_that_tells_nothing_but_names_is_no_statement() -> None:
    assert statements_of(PAIRS[:1], ["Mirelle Quay", "Harbor novels"], []) == ()


def test_a_policy_without_an_encoder_or_without_answers_has_none(
    tmp_path: Path, encoder: SentenceEncoder
) -> None:
    write_rows(tmp_path / "a.jsonl", [{"question": q, "answer": a} for q, a in PAIRS])
    forbid = {"extract": {"from": "a.jsonl", "kind": "key_facts"}}
    with_answers = load_policy(write(tmp_path, target(forbid=forbid)))
    assert len(compile_statements(with_answers, None)) == 0
    assert len(compile_statements(load_policy(write(tmp_path, target())), encoder.encode)) == 0
    made = compile_statements(with_answers, encoder.encode)
    assert made.vectors.shape == (len(made), encoder.dimension)
    assert made.targets.tolist() == [0] * len(made)
    assert made.thresholds == {0: FLOOR}


def test_a_counterexample_that_tells_a_fact_raises_the_threshold(
    tmp_path: Path, encoder: SentenceEncoder
) -> None:
    write_rows(tmp_path / "a.jsonl", [{"question": q, "answer": a} for q, a in PAIRS])
    forbid = {"extract": {"from": "a.jsonl", "kind": "key_facts"}}
    near = ["Ola Berg was born in Port Avel."]
    detect = {"aliases": ["Mirelle Quay"], "examples": ["Who is she?"], "counterexamples": near}
    policy = load_policy(write(tmp_path, target(forbid=forbid, detect=detect)))
    raised = compile_statements(policy, encoder.encode).thresholds[0]
    assert raised > FLOOR
