from __future__ import annotations

import json
from pathlib import Path

from guard.decision import Detection, Evidence, EvidenceKind
from guard.normalise import normalise
from guard.policy.load import load_policy
from guard.policy.vectors import general_prompts
from load_tests.detecting import (
    COMBINED,
    everyday,
    methods,
    name_of,
    touches,
    write_author_policy,
)
from load_tests.figure import ROOT
from load_tests.figures.detect_general import count
from load_tests.figures.detect_seen import by_author, halves_of, judge
from load_tests.figures.detect_unseen import split
from server.evaluation.rows import Row


def words_of(text: str) -> str:
    return normalise(text) or text


def found(*targets: tuple[str, EvidenceKind]) -> tuple[Detection, ...]:
    return tuple(Detection(target, (Evidence(kind, "p", 0.9, 0.7),)) for target, kind in targets)


def row(author: str, number: int) -> Row:
    return Row(
        f"{author}-{number}", author, f"What of {author} {number}?", "", f"{author} {number}"
    )


def test_everyday_prompts_are_many_and_none_is_calibrated_on() -> None:
    prompts = [prompt for own in everyday().values() for prompt in own]
    assert len(prompts) >= 1000
    assert len(prompts) == len({words_of(prompt) for prompt in prompts})
    known = {words_of(prompt) for prompt in general_prompts()}
    for file in (ROOT / "policies" / "data").glob("*.jsonl"):
        for line in file.read_text().splitlines():
            known.add(words_of(json.loads(line)["question"]))
    assert not known & {words_of(prompt) for prompt in prompts}


def test_a_method_counts_its_own_evidence_and_all_of_it_combined() -> None:
    both = found(("a", "alias"), ("b", "neighbour"))
    assert methods([both, ()]) == ["alias", "neighbour", COMBINED]
    assert touches(both, "alias")
    assert touches(both, "alias", "a")
    assert not touches(both, "alias", "b")
    assert touches(both, COMBINED, "b")
    assert not touches((), COMBINED)


def test_recall_is_of_the_right_target_and_false_positives_of_any() -> None:
    rows = [row("a", 0), row("a", 1), row("b", 0), row("b", 1)]
    others = [row("c", number) for number in range(4)]
    judged = judge(
        rows,
        [found(("a", "alias")), found(("b", "alias")), (), found(("b", "neighbour"))],
        others,
        [found(("a", "neighbour"), ("b", "neighbour")), (), (), ()],
    )
    assert judged[COMBINED]["recall"] == 0.5
    assert judged["alias"]["recall"] == 0.25
    assert judged[COMBINED]["missed"] == ["a 1", "b 0"]
    assert judged[COMBINED]["mistaken"] == ["What of c 0?"]
    assert judged[COMBINED]["false_positives"] == 0.25
    assert judged[COMBINED]["false_positives_of_one_target"] == 0.25
    assert judged["alias"]["false_positives"] == 0


def test_no_author_and_no_question_is_in_both_halves() -> None:
    sets = {
        "retain": [row(author, number) for author in "abcd" for number in range(3)],
        "world": [row("", number) for number in range(5)],
    }
    first, second = halves_of(sets)
    assert len(first) + len(second) == 17
    assert {r.id for r in first} & {r.id for r in second} == set()
    assert {r.author for r in first} & {r.author for r in second} == {""}
    one, other = split(sets["retain"][:3] * 2, 1)
    assert len(one) == len(other) == 3
    assert split(sets["retain"], 1) == split(sets["retain"], 1) != split(sets["retain"], 2)


def test_the_prompts_that_failed_are_listed_with_what_they_were_taken_for() -> None:
    judged = count(["chat", "code"], ["hi", "git?"], [(), found(("a", "neighbour"))])
    assert judged[COMBINED]["false_positives"] == 0.5
    assert judged[COMBINED]["failed"] == [
        {"kind": "code", "prompt": "git?", "taken_for": {"a": 0.9}}
    ]


def test_an_authors_policy_knows_questions_names_and_counterexamples(tmp_path: Path) -> None:
    rows = [
        Row(str(i), "f00", question, "")
        for i, question in enumerate(
            ["Who is Ada Quell?", "Where was Ada Quell born?", "Did Ada Quell know Bo Ritt?"]
        )
    ]
    assert name_of([each.question for each in rows]) == "Ada Quell"
    path = write_author_policy(
        tmp_path, by_author(rows), named=True, counterexamples=[row("r00", 1)]
    )
    (made,) = load_policy(path).targets
    assert made.spec.detect.aliases == ["Ada Quell"]
    assert made.examples == tuple(each.question for each in rows)
    assert made.counterexamples == ("What of r00 1?",)
