from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers import neighbours as module
from classifiers.encoder import SentenceEncoder
from classifiers.neighbours import Neighbours
from guard.bundle import Bundle
from guard.bundle_writing import write_bundle
from guard.policy.vectors import general_prompts
from tests.classifiers.bundles import bundle_target

TARGETS = 5


def unit(rows: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    scaled: npt.NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(
        np.float32
    )
    return scaled


def bundle_of(
    folder: str, examples: npt.NDArray[np.float32], owners: list[int], thresholds: list[float]
) -> Bundle:
    targets = [
        bundle_target(f"t{index}", thresholds={"neighbour": threshold})
        for index, threshold in enumerate(thresholds)
    ]
    return write_bundle(
        Path(folder), targets=targets, phrases=[], examples=examples,
        example_targets=np.array(owners, np.int32),
    )  # fmt: skip


def plain_loop(bundle: Bundle, texts: npt.NDArray[np.float32]) -> dict[int, float]:
    best: dict[int, float] = {}
    for owner, example in zip(bundle.example_targets.tolist(), bundle.examples, strict=True):
        for text in texts:
            best[owner] = max(float(np.dot(text, example)), best.get(owner, -np.inf))
    return {t: s for t, s in best.items() if s >= bundle.targets[t].thresholds["neighbour"]}


@given(
    owners=st.lists(st.integers(0, TARGETS - 1), min_size=1, max_size=30),
    sizes=st.lists(st.integers(0, 4), min_size=1, max_size=4).filter(any),
    thresholds=st.lists(st.floats(-1, 1), min_size=TARGETS, max_size=TARGETS),
    sieved=st.sampled_from([0, 1000]),
    block=st.sampled_from([3, 8192]),
    seed=st.integers(0, 2**32),
)
def test_every_target_that_is_near_enough_is_found_and_no_other(
    owners: list[int], sizes: list[int], thresholds: list[float], sieved: int, block: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    # Few dimensions that matter, as with real vectors, and a little of the others.
    shape = np.array([1.0, 0.8, 0.5, 0.2, 0.1, 0.1])
    examples = unit(rng.normal(size=(len(owners), 6)) * shape)
    texts = unit(rng.normal(size=(sum(sizes), 6)) * shape)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        bundle = bundle_of(folder, examples, owners, thresholds)
        found = Neighbours(bundle, sieved=sieved).best_of_each(texts, sizes)
    start = 0
    for size, own in zip(sizes, found, strict=True):
        # What is within rounding of a threshold may fall on either side of it.
        clear = {
            target: score
            for target, score in plain_loop(bundle, texts[start : start + size]).items()
            if abs(score - thresholds[target]) > 1e-5
        }
        near = {t: s for t, s in own.items() if abs(s - thresholds[t]) > 1e-5}
        assert near == pytest.approx(clear, abs=1e-5)
        start += size


def test_a_score_just_at_its_threshold_passes_the_sieve(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    examples = unit(rng.normal(size=(400, 64)))
    text = unit(rng.normal(size=(1, 64)))
    scores = examples @ text[0]
    owners = list(range(400))
    bundle = bundle_of(str(tmp_path), examples, owners, [float(s) for s in scores])
    assert len(Neighbours(bundle, sieved=0).best(text)) >= 390  # all but for rounding
    lower = [dataclasses.replace(t, thresholds={"neighbour": t.thresholds["neighbour"] - 1e-5})
             for t in bundle.targets[:400]]  # fmt: skip
    shifted = dataclasses.replace(bundle, targets=(*lower, bundle.targets[-1]))
    assert len(Neighbours(shifted, sieved=0).best(text)) == 400


def test_many_examples_of_one_target_do_not_crowd_out_another(
    encoder: SentenceEncoder, tmp_path: Path
) -> None:
    prompts = general_prompts()[:200]
    crowd = encoder.encode([prompts[0]]).repeat(3000, axis=0)
    examples = np.concatenate([crowd, encoder.encode([f"{prompts[0]} Please."])])
    bundle = bundle_of(str(tmp_path), examples, [0] * 3000 + [1], [0.8, 0.8])
    found = Neighbours(bundle, sieved=0).best(encoder.encode([prompts[0]]))
    assert set(found) == {0, 1}


def test_real_vectors_come_through_the_sieve_as_through_the_whole_product(
    encoder: SentenceEncoder, tmp_path: Path
) -> None:
    vectors = encoder.encode(general_prompts())
    examples, texts = vectors[:300], vectors[300:]
    bundle = bundle_of(str(tmp_path), examples, [n // 3 for n in range(300)], [0.3] * 100)
    sizes = [1] * len(texts)
    sieved = Neighbours(bundle, sieved=0).best_of_each(texts, sizes)
    assert sieved == [
        pytest.approx(own, abs=1e-5) for own in Neighbours(bundle).best_of_each(texts, sizes)
    ]
    assert sum(map(len, sieved)) > 20


def test_a_bundle_without_examples_has_no_neighbours(tmp_path: Path) -> None:
    assert not Neighbours(write_bundle(tmp_path, targets=[bundle_target("a")], phrases=[]))
