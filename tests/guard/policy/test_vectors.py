from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest

from guard.bundle import Method
from guard.bundle_loading import load_bundle
from guard.normalise import SEP, normalise
from guard.policy.calibrate import NAMELESS
from guard.policy.compile import compile_loaded
from guard.policy.conformal import needed
from guard.policy.load import load_policy
from guard.policy.vectors import PromptVectors, general_prompts
from guard.windows import WINDOW
from tests.guard.policy.writing import target, write

DIMENSION = 16


def encode(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Unit rows by letters: alike texts get alike rows."""
    rows = np.zeros((len(texts), DIMENSION), np.float32)
    for row, text in zip(rows, texts, strict=True):
        for letter in normalise(text):
            row[ord(letter) % DIMENSION] += 1
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: npt.NDArray[np.float32] = rows / np.maximum(norms, 1e-9)
    return scaled


def test_the_general_prompts_are_enough_for_the_default_rate_and_distinct() -> None:
    prompts = general_prompts()
    assert len(prompts) >= needed(0.005 / len(get_args(Method)))
    assert len(prompts) == len({normalise(prompt) or prompt for prompt in prompts})
    assert sum(len(prompt) > WINDOW for prompt in prompts) >= 5


def test_a_long_negative_counts_once_by_its_nearest_piece(tmp_path: Path) -> None:
    long = f"Zzz zzz zzz. {'Zzz ' * 90}. Who sails the brig?"
    detect = {"examples": ["Who sails the brig?", "Who rings?"], "counterexamples": [long, "Zzz."]}
    policy = load_policy(write(tmp_path, target(detect=detect)))
    compared = PromptVectors(policy, encode).of(policy.targets[0]).compared["neighbour"]
    near = compared.negatives["counterexamples"]
    assert near.prompts == [long, "Zzz."]
    assert near.scores[0] == pytest.approx(1.0)
    assert near.scores[1] < 0.9


def test_general_prompts_about_the_target_do_not_speak_against_it(tmp_path: Path) -> None:
    asked = "Who wrote Middlemarch?"
    assert asked in general_prompts()
    detect = {"aliases": ["Don Quixote"], "examples": [asked, "Who is George Eliot?"]}
    policy = load_policy(write(tmp_path, target(detect=detect)))
    compared = PromptVectors(policy, encode).of(policy.targets[0]).compared["neighbour"]
    spoke = compared.negatives["general"].prompts
    assert len(spoke) == len(general_prompts()) - 2
    assert asked not in spoke
    assert not [prompt for prompt in spoke if "Quixote" in prompt]


def test_the_threshold_rests_on_counterexamples_and_general_prompts(tmp_path: Path) -> None:
    detect = {
        "examples": ["Who sails the brig?", "Who rings the bell?"],
        "counterexamples": ["What is a frigate?"],
        "max_false_positive_rate": 0.02,
    }
    compiled = compile_loaded(
        load_policy(write(tmp_path, target(detect=detect))),
        tmp_path / "bundles",
        encode=encode,
        encoder="e",
    )
    kept = load_bundle(tmp_path / "bundles", compiled.bundle.digest).calibrations
    made = kept[compiled.targets[0].id]["neighbour"]
    assert made["threshold"] == compiled.bundle.targets[0].thresholds["neighbour"]
    assert made["rate"] == 0.01  # the other half is for letters
    assert made["bounds"]["counterexamples"]["n"] == 1
    assert made["bounds"]["general"]["n"] == len(general_prompts())
    assert made["closest"][0]["score"] >= made["closest"][-1]["score"]


def test_a_given_threshold_is_kept_and_still_compared(tmp_path: Path) -> None:
    detect = {"examples": ["Who sails the brig?"], "threshold": 0.9}
    policy = load_policy(write(tmp_path, target(detect=detect)))
    compared = PromptVectors(policy, encode).of(policy.targets[0]).compared["neighbour"]
    assert compared.threshold == 0.9
    assert compared.calibration is None
    assert len(compared.negatives["general"].scores) == len(general_prompts())
    assert compared.own.shape == (0,)


def test_a_target_of_names_alone_is_compared_with_nothing(tmp_path: Path) -> None:
    policy = load_policy(write(tmp_path, target()))
    made = PromptVectors(policy, None).of(policy.targets[0])
    assert (made.examples.size, made.contrast, made.compared) == (0, None, {})
    compiled = compile_loaded(policy, tmp_path / "bundles", encode=None)
    assert compiled.bundle.calibrations == {}


def encode_words(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Unit rows by words: texts that share words get alike rows."""
    rows = np.zeros((len(texts), 512), np.float32)
    for row, text in zip(rows, texts, strict=True):
        for word in normalise(text).split(SEP):
            row[zlib.crc32(word.encode()) % 512] += 1
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: npt.NDArray[np.float32] = rows / np.maximum(norms, 1e-9)
    return scaled


NAMED = ["Where was Hina Ameen born?", "What did Hina Ameen write?", "Who taught Hina Ameen?"]


def test_examples_that_name_something_give_a_direction_and_share_the_rate(tmp_path: Path) -> None:
    detect = {"examples": [*NAMED, "What is known of her?"], "max_false_positive_rate": 0.02}
    policy = load_policy(write(tmp_path, target(detect=detect)))
    made = PromptVectors(policy, encode_words).of(policy.targets[0])
    assert made.contrast is not None
    assert np.linalg.norm(made.contrast) == pytest.approx(1.0, abs=1e-5)
    assert {compared.rate for compared in made.compared.values()} == {0.02 / 3}
    assert sorted(made.compared) == ["contrast", "letters", "neighbour"]
    assert len(made.compared["contrast"].own) == 4
    others = made.compared["contrast"].negatives["others"].prompts
    assert len(others) == 3
    assert not [prompt for prompt in others if "Ameen" in prompt]


def test_too_few_examples_that_name_something_give_none(tmp_path: Path) -> None:
    detect = {"examples": [*NAMED[:2], "What is known of her?"]}
    policy = load_policy(write(tmp_path, target(detect=detect)))
    made = PromptVectors(policy, encode).of(policy.targets[0])
    assert made.contrast is None
    assert list(made.compared) == ["neighbour", "letters"]
    assert {compared.rate for compared in made.compared.values()} == {0.0025}
    assert made.compared["letters"].threshold >= NAMELESS.floor
    assert "others" not in made.compared["neighbour"].negatives


def test_a_given_threshold_is_of_the_nearest_example_alone(tmp_path: Path) -> None:
    detect = {"examples": NAMED, "threshold": 0.9}
    policy = load_policy(write(tmp_path, target(detect=detect)))
    made = PromptVectors(policy, encode_words).of(policy.targets[0])
    assert made.compared["neighbour"].threshold == 0.9
    assert made.compared["contrast"].calibration is not None


def test_a_direction_that_does_not_part_the_target_from_the_rest_is_not_used(
    tmp_path: Path,
) -> None:
    detect = {"examples": NAMED, "counterexamples": ["Hina Ameen Ameen Hina Ameen"]}
    policy = load_policy(write(tmp_path, target(detect=detect)))
    made = PromptVectors(policy, encode_words).of(policy.targets[0])
    assert made.contrast is None
    assert list(made.compared) == ["neighbour", "letters"]
    assert {compared.rate for compared in made.compared.values()} == {0.0025}
    assert "others" not in made.compared["neighbour"].negatives
    assert "others" in made.compared["letters"].negatives
