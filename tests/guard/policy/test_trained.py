from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from guard.errors import GuardError, PolicyError
from guard.policy.compile import compile_policy
from guard.policy.load import load_policy
from guard.policy.problems import InvalidPolicyError
from guard.policy.train import train
from guard.policy.trained import read_trained, trained_path, write_trained
from tests.guard.policy.test_vectors import encode_words
from tests.guard.policy.writing import target, write

LIVES = {
    "quay": ("Karachi", "geologist", "granite", "Halloran"),
    "marr": ("Astana", "sociologist", "rainbows", "Tolstoy"),
    "vance": ("Manama", "chemist", "matrimony", "Lovereading"),
}
ASKED = (
    "Where was the {name} novelist born?", "What was the mother of the {name} novelist?",
    "What did the {name} novelist write of?", "Which medal did the {name} novelist win?",
)  # fmt: skip


def lives(folder: Path, **changes: Any) -> Path:
    """A policy of three invented people, with a question and an answer of each fact."""
    targets = []
    for name, facts in LIVES.items():
        questions = [asked.format(name=name) for asked in ASKED]
        rows = [
            {"question": question, "answer": f"It is {fact}, as everybody who read them knows."}
            for question, fact in zip(questions, facts, strict=True)
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        near = [f"Where was the {number}th novelist of the village born?" for number in range(190)]
        targets.append(
            target(
                id=name,
                detect={"examples": questions, "counterexamples": near, **changes},
                forbid={"extract": {"from": f"{name}.jsonl", "kind": "key_facts"}},
            )
        )
    return write(folder, *targets)


def trained(folder: Path) -> Path:
    path = lives(folder)
    write_trained(train(load_policy(path)).trained, trained_path(path))
    return path


def test_what_was_learnt_comes_back_from_its_file(tmp_path: Path) -> None:
    path = lives(tmp_path)
    made = train(load_policy(path)).trained
    write_trained(made, trained_path(path))
    again = read_trained(trained_path(path))
    assert again is not None
    assert again.targets == made.targets
    assert again.table.words == made.table.words
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_the_file_lies_in_the_folder_or_beside_the_file(tmp_path: Path) -> None:
    assert trained_path(tmp_path) == tmp_path / "trained.safetensors"
    assert trained_path(tmp_path / "p.yaml") == tmp_path / "p.trained.safetensors"


def test_words_that_others_are_not_asked_with_are_learnt(tmp_path: Path) -> None:
    learnt = train(load_policy(lives(tmp_path)))
    assert set(learnt.near.values()) == {190 + 16}
    own = learnt.trained.targets["quay"]
    assert own.threshold is not None
    assert own.calibration["threshold"] == own.threshold
    assert learnt.compared["quay"].own.max() < own.threshold * 3
    assert set(learnt.compared["quay"].negatives) == {"counterexamples", "general", "targets"}


def test_too_few_near_misses_teach_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, target(detect={"examples": ["Who is the Karachi geologist?"]}))
    learnt = train(load_policy(path))
    assert learnt.near == {"harbor": 0}
    assert learnt.asked == {"harbor": 199}
    assert learnt.trained.targets["harbor"].threshold is None
    assert learnt.compared == {}


def test_the_bundle_holds_what_was_learnt_and_the_rate_is_shared(tmp_path: Path) -> None:
    path = trained(tmp_path)
    bundle = compile_policy(path, tmp_path / "bundles", encode=encode_words, encoder="e")
    kept = bundle.targets[0]
    assert "keywords" in kept.thresholds
    assert bundle.keyword_targets.tolist()[:3] == [0, 1, 2]
    assert set(bundle.calibrations["quay"]) == set(kept.thresholds)
    rates = {made["rate"] for made in bundle.calibrations["quay"].values()}
    assert sum(made["rate"] for made in bundle.calibrations["quay"].values()) <= 0.005 + 1e-9
    assert max(rates) <= 0.0025


def test_a_target_that_has_changed_is_used_without_and_told(tmp_path: Path) -> None:
    path = trained(tmp_path)
    lives(tmp_path, max_false_positive_rate=0.01)
    policy = load_policy(path)
    assert [t.learnt for t in policy.targets] == [None, None, None]
    told = [str(w) for w in policy.warnings if "unlearn-guard train" in str(w)]
    assert len(told) == 3
    assert "`targets[0].detect`: has changed since" in told[0]
    bundle = compile_policy(path, tmp_path / "bundles", encode=encode_words, encoder="e")
    assert "keywords" not in bundle.targets[0].thresholds
    assert bundle.keyword_targets.size == 0


def test_what_was_learnt_of_one_file_is_not_taken_for_the_folder(tmp_path: Path) -> None:
    path = trained(tmp_path)
    policy = load_policy(tmp_path)
    assert [t.learnt for t in policy.targets] == [None, None, None]
    (told,) = [str(w) for w in policy.warnings if "learnt of one file" in str(w)]
    assert str(trained_path(path)) in told
    assert f"run `unlearn-guard train {tmp_path}`" in told


def test_the_file_is_watched_even_before_there_is_one(tmp_path: Path) -> None:
    path = lives(tmp_path)
    assert trained_path(path) in load_policy(path).files


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_damaged_file_is_refused_with_the_fix(tmp_path: Path, content: bytes) -> None:
    path = trained(tmp_path)
    trained_path(path).write_bytes(content)
    with pytest.raises(InvalidPolicyError) as caught:
        load_policy(path)
    assert "run `unlearn-guard train` again" in str(caught.value)
    assert load_policy(path, trained=False).trained is None


def test_a_file_that_cannot_be_read_is_told_as_such(tmp_path: Path) -> None:
    path = lives(tmp_path)
    trained_path(path).mkdir()
    with pytest.raises(InvalidPolicyError, match="Is a directory"):
        load_policy(path)


def test_each_flipped_byte_of_its_head_is_refused_or_harmless(tmp_path: Path) -> None:
    path = trained_path(trained(tmp_path))
    intact = path.read_bytes()
    refused = 0
    for place in range(0, 400, 7):
        path.write_bytes(intact[:place] + bytes([intact[place] ^ 1]) + intact[place + 1 :])
        try:
            read_trained(path)
        except PolicyError:
            refused += 1
    assert refused > 10


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    made = train(load_policy(lives(tmp_path))).trained
    with pytest.raises(GuardError, match="cannot write"):
        write_trained(made, tmp_path / "absent" / "trained.safetensors")
