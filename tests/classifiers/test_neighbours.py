from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.neighbours import Neighbours
from guard.bundle import write_bundle
from tests.classifiers.bundles import bundle_target


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=12), st.integers(1, 5), st.integers(0, 2**32)
)
def test_the_best_score_per_target_is_that_of_a_plain_loop(
    owners: list[int], rows: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    examples = rng.normal(size=(len(owners), 6)).astype(np.float32)
    texts = rng.normal(size=(rows, 6)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        bundle = write_bundle(
            Path(folder), targets=[bundle_target(f"t{i}") for i in range(5)], phrases=[],
            examples=examples, example_targets=np.array(owners, np.int32),
        )  # fmt: skip
    expected: dict[int, float] = {}
    for owner, example in zip(owners, examples, strict=True):
        for text in texts:
            score = float(np.dot(text, example))
            expected[owner] = max(score, expected.get(owner, -np.inf))
    assert Neighbours(bundle).best(texts) == pytest.approx(expected, abs=1e-4)


def test_a_bundle_without_examples_has_no_neighbours(tmp_path: Path) -> None:
    assert not Neighbours(write_bundle(tmp_path, targets=[bundle_target("a")], phrases=[]))
