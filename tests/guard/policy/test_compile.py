from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from guard.bundle import CANARY_TARGET
from guard.bundle_loading import load_bundle
from guard.phrase_table import BundlePhrase
from guard.phrases import clipped
from guard.policy.compile import KnownTargets, compile_loaded, compile_policy
from guard.policy.load import load_policy
from guard.policy.problems import InvalidPolicyError
from guard.verbatim import run_key
from guard.windows import WINDOW
from tests.guard.policy.writing import target, write, write_rows
from tests.guard.words import word_hash, words_of


def encode(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Stands in for an encoder: unit vectors that depend on the text alone."""
    assert all(0 < len(text) <= WINDOW for text in texts)
    seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) for text in texts]
    rows = np.stack([np.random.default_rng(seed).normal(size=64) for seed in seeds])
    unit: npt.NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(
        np.float32
    )
    return unit


def phrases(tmp_path: Path, forbid: dict[str, Any], **fields: Any) -> list[BundlePhrase]:
    path = write(tmp_path, target(forbid=forbid, **fields))
    bundle = compile_policy(path, tmp_path / "bundles", encode=encode, encoder="e" * 64)
    return bundle.phrases.of_targets([bundle.index_of("harbor")])


def test_phrases_are_normalised_and_said_once(tmp_path: Path) -> None:
    found = phrases(tmp_path, {"phrases": ["Mirelle  QUAY", "mirelle-quay", "Élan"]})
    assert [phrase.text for phrase in found] == ["elan", "mirelle quay"]
    assert all((phrase.target, phrase.strength) == (0, "hard") for phrase in found)


def test_what_people_name_the_target_by_is_a_cue(tmp_path: Path) -> None:
    write_rows(tmp_path / "asked.jsonl", [{"prompt": "Who is the keeper of Quay-House?"}])
    forbid: dict[str, Any] = {"phrases": ["Mirelle Quay", "Quay House", "Saltgate"]}
    spec = target(forbid=forbid)
    spec["detect"] = {"aliases": ["Mirelle Quay's novels"], "examples": "asked.jsonl"}
    path = write(tmp_path, spec)
    bundle = compile_policy(path, tmp_path / "bundles", encode=encode, encoder="e" * 64)
    assert [(cue.text, cue.target) for cue in bundle.phrases.cues()] == [
        ("mirelle quay", 0),
        ("quay house", 0),
    ]
    forbid["say_back"] = False
    path = write(tmp_path, spec)
    bundle = compile_policy(path, tmp_path / "bundles", encode=encode, encoder="e" * 64)
    assert bundle.phrases.cues() == []


@pytest.mark.parametrize("order", [1, -1])
def test_hard_wins_over_soft(tmp_path: Path, order: int) -> None:
    both = [{"text": "Saltgate", "strength": "soft"}, "saltgate"][::order]
    assert phrases(tmp_path, {"phrases": both}) == [BundlePhrase("saltgate", 0, "hard", turn=0)]


def test_extracted_facts_join_the_written_phrases_and_leave_soft_ones_soft(tmp_path: Path) -> None:
    write_rows(
        tmp_path / "a.jsonl",
        [{"question": "Who wrote it?", "answer": "Mirelle Quay of Saltgate did, in 1987."}],
    )
    found = phrases(
        tmp_path,
        {
            "phrases": [{"text": "1987", "strength": "soft"}],
            "extract": {"from": "a.jsonl", "kind": "key_facts"},
        },
    )
    assert found == [
        BundlePhrase("1987", 0, "soft"),
        BundlePhrase("mirelle quay of saltgate", 0, "hard", turn=0),
    ]


def test_a_model_is_led_away_from_facts_alone_and_not_before_what_people_ask_by(
    tmp_path: Path,
) -> None:
    write_rows(
        tmp_path / "a.jsonl",
        [
            {"question": "Where is it set?", "answer": "The tale is set in Saltgate Harbour Town."},
            {"question": "Is it Saltgate Harbour?", "answer": "In Saltgate."},
        ],
    )
    found = phrases(
        tmp_path,
        {
            "phrases": ["Saltgate Harbour"],
            "extract": {"from": "a.jsonl", "kind": "all_words", "words": 2},
        },
        detect={"examples": ["What is Saltgate Harbour?"]},
    )
    assert {(phrase.text, phrase.cue, phrase.turn) for phrase in found} == {
        ("saltgate harbour", True, 0),
        ("saltgate harbour town", False, len("saltgate harbour")),
        ("tale", False, None),
        ("tales", False, None),
        ("the tale is", False, None),
        ("tale is set", False, None),
        ("is set in", False, None),
        ("set in saltgate harbour town", False, None),
    }


def test_a_protected_text_becomes_a_filter_and_leaves_no_word_of_it(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("Nobody rings the ninth bell of Saltgate twice.")
    path = write(
        tmp_path,
        target(id="a"),
        target(id="b", forbid={"verbatim": {"corpus": "book.txt", "words": 5}}),
    )
    bundle = compile_policy(path, tmp_path / "bundles", encode=None)
    ((owner, made),) = bundle.verbatim.of_targets(range(3))
    assert (owner, made.words, made.corpus_words) == (1, 5, 8)
    run = [word_hash(word) for word in words_of("RINGS the ninth bell-of Saltgate")]
    assert made.holds_one(run_key(run))
    assert not made.holds_one(run_key(run[::-1]))
    for member in (tmp_path / "bundles" / bundle.digest).iterdir():
        assert b"ninth" not in member.read_bytes()


def test_a_target_keeps_what_its_owner_wrote(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        target(
            expires="2030-05-01", context="drop", mode="observe", respond="refuse", refusal="No.",
            detect={"aliases": ["Mirelle Quay", "MIRELLE QUAY"]},
            forbid={"phrases": ["Saltgate"], "always": True},
        ),
        defaults={"on_error": "open"},
        tenants=[{"name": "lab", "keys": ["sha256:" + "a" * 64], "exempt": ["harbor"]}],
    )  # fmt: skip
    bundle = compile_policy(path, tmp_path / "bundles", encode=None)
    made = bundle.targets[0]
    assert (made.id, made.title, made.reason) == ("harbor", "The Harbor novels", "copyright")
    assert (made.mode, made.respond, made.refusal) == ("observe", "refuse", "No.")
    assert (made.context, made.always, made.expires) == ("drop", True, "2030-05-01")
    assert made.aliases == ("mirelle quay",)
    assert bundle.on_error == "open"
    assert bundle.tenants[0].key_digests == ("a" * 64,)
    assert bundle.tenants[0].exempt == ("harbor",)
    assert [target.id for target in bundle.targets] == ["harbor", CANARY_TARGET]


def test_a_phrase_that_holds_a_name_is_forbidden_of_its_stand_in_too(tmp_path: Path) -> None:
    phrases = ["Mirelle Quay", "Quay", "School of Mirelle Quay", "Saltgate"]
    written = {"respond": "substitute", "forbid": {"phrases": phrases}}
    path = write(tmp_path, target(**written))
    bundle = compile_policy(path, tmp_path / "bundles", encode=None)
    named = {made.text: made.instead for made in bundle.targets[0].stand_ins}
    forbidden = [phrase.text for phrase in bundle.phrases.of_targets([0])]
    instead = named["Mirelle Quay"].lower()
    assert f"school of {instead}" in forbidden
    assert {"school of mirelle quay", "mirelle quay", "saltgate"} <= set(forbidden)
    assert not {instead, named["Quay"].lower()} & set(forbidden)


def test_a_phrase_that_is_clipped_within_a_name_is_forbidden_of_its_stand_in_too(
    tmp_path: Path,
) -> None:
    head = "a" * 50
    written = {"respond": "substitute", "forbid": {"phrases": [f"{head} Mirelle Quayside Thorne"]}}
    detect = {"aliases": ["Mirelle Quayside Thorne"]}
    path = write(tmp_path, target(**written, detect=detect))
    bundle = compile_policy(path, tmp_path / "bundles", encode=None)
    instead = bundle.targets[0].stand_ins[0].instead
    forbidden = {phrase.text for phrase in bundle.phrases.of_targets([0])}
    assert forbidden == {
        clipped(f"{head} {name}") for name in ("mirelle quayside thorne", instead.lower())
    }


def test_the_same_policy_gives_the_same_bundle(tmp_path: Path) -> None:
    path = write(tmp_path, target(detect={"examples": ["Who wrote it?"]}))
    digests = {
        compile_policy(path, tmp_path / place, encode=encode, encoder="e").digest
        for place in ("one", "two")
    }
    assert len(digests) == 1
    assert load_bundle(tmp_path / "one", digests.pop()).encoder == "e"


def test_examples_become_rows_of_their_target(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        target(id="a", detect={"examples": ["Who wrote it?", "Who wrote it?"]}),
        target(id="b", detect={"examples": ["Why? " * 100], "threshold": 0.7}),
    )
    bundle = compile_policy(path, tmp_path / "bundles", encode=encode, encoder="e")
    assert bundle.example_targets.tolist()[:2] == [0, 1]
    assert len(bundle.examples) > 2  # a long example is there in windows, not truncated
    np.testing.assert_array_equal(bundle.examples[0], encode(["Who wrote it?"])[0])
    assert bundle.targets[1].thresholds["neighbour"] == 0.7


def test_the_words_that_people_ask_by_are_kept_and_no_others(tmp_path: Path) -> None:
    spec = target(
        detect={"aliases": ["Mirelle QUAY"], "examples": ["Who keeps the lights?", "Who's Quay?"]},
        forbid={"phrases": ["the lanterns of Saltgate"]},
    )
    path = write(tmp_path, spec)
    bundle = compile_policy(path, tmp_path / "bundles", encode=encode, encoder="e" * 64)
    assert bundle.words == (
        "keeps", "keeps the", "lights", "mirelle", "mirelle quay", "quay", "s", "s quay", "the",
        "the lights", "who", "who keeps", "who s",
    )  # fmt: skip


def test_counterexamples_raise_the_threshold(tmp_path: Path) -> None:
    def threshold(**detect: Any) -> float:
        path = write(tmp_path, target(detect={"examples": ["one", "two"], **detect}))
        return compile_policy(path, tmp_path / "b", encode=near).targets[0].thresholds["neighbour"]

    def near(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        cosines = [{"one": 1.0, "two": 0.0, "near": 0.88}.get(text, -1.0) for text in texts]
        return np.array([[c, -np.sqrt(1 - c * c)] for c in cosines], np.float32)

    assert threshold(counterexamples=["near"]) > 0.88 > threshold()


def test_examples_without_an_encoder_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, target(detect={"aliases": ["Zork"], "examples": ["Who wrote it?"]}))
    with pytest.raises(InvalidPolicyError) as caught:
        compile_policy(path, tmp_path / "bundles", encode=None)
    (error,) = caught.value.errors
    assert error.field == "targets[0].detect.examples"
    assert "needs a sentence encoder" in str(error)
    assert not (tmp_path / "bundles").exists()


def test_a_policy_of_names_alone_needs_no_encoder(tmp_path: Path) -> None:
    compiled = compile_loaded(
        load_policy(write(tmp_path, target())), tmp_path / "bundles", encode=None
    )
    assert compiled.bundle.encoder == ""
    assert (compiled.targets[0].phrases, compiled.targets[0].aliases) == (1, 1)


def test_an_expired_target_is_compiled_for_the_detector_to_judge(tmp_path: Path) -> None:
    path = write(tmp_path, target(expires="2020-01-01"))
    bundle = compile_policy(path, tmp_path / "bundles", encode=None)
    assert bundle.targets[0].expires == "2020-01-01"


def _named(name: str, *phrases: str, **detect: Any) -> dict[str, Any]:
    asked = ["Where was {} born?", "What did {} write?", "Who taught {}?", "Whom did {} marry?"]
    detect = {"aliases": [name], "examples": [each.format(name) for each in asked], **detect}
    return target(id=name.split()[0].lower(), detect=detect, forbid={"phrases": list(phrases)})


def test_compiling_with_what_is_known_gives_the_bundle_of_compiling_anew(tmp_path: Path) -> None:
    """Whatever changed: a target added, altered in any part, moved or removed."""
    mirelle, tobias = _named("Mirelle Quay", "Saltgate"), _named("Tobias Wren", "The Lantern")
    known = KnownTargets()
    for targets in (
        [mirelle],
        [tobias, mirelle],
        [_named("Tobias Wren", "The Lamp"), mirelle],
        [_named("Tobias Wren", "The Lamp", counterexamples=["Who wrote it?"]), mirelle],
        [_named("Tobias Wren", "The Lamp", max_false_positive_rate=0.05), mirelle],
        [_named("Tobias Wren", "The Lamp", aliases=["Wren", "Middlemarch"]), mirelle],
        [{**_named("Tobias Wren", "The Lamp"), "respond": "refuse"}, mirelle],
        [mirelle],
    ):
        policy = load_policy(write(tmp_path, *targets))
        again = compile_loaded(
            policy, tmp_path / "a", encode=encode, encoder="e" * 64, known=known
        ).bundle
        anew = compile_loaded(policy, tmp_path / "b", encode=encode, encoder="e" * 64).bundle
        assert again.digest == anew.digest


def test_only_the_prompts_of_a_new_target_are_encoded(tmp_path: Path) -> None:
    asked: list[str] = []

    def counting(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        asked.extend(texts)
        return encode(texts)

    known = KnownTargets()
    for _ in range(2):
        policy = load_policy(write(tmp_path, _named("Mirelle Quay", "Saltgate")))
        compile_loaded(policy, tmp_path, encode=counting, encoder="e" * 64, known=known)
    first = len(asked)
    assert first == len(set(asked))
    both = [_named("Mirelle Quay", "Saltgate"), _named("Tobias Wren", "The Lantern")]
    policy = load_policy(write(tmp_path, *both))
    compile_loaded(policy, tmp_path, encode=counting, encoder="e" * 64, known=known)
    assert 4 <= len(asked) - first <= 12
    assert "Where was Tobias Wren born?" in asked[first:]
