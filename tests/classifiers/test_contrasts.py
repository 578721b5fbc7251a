from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers import BatchingEncoder, Detector, PlacedText, SentenceEncoder
from classifiers.contrasts import Contrasts
from guard.bundle import Bundle
from guard.phrase_table import PhraseTable
from guard.policy.compile import compile_policy
from tests.guard.policy.writing import target, write

EXAMPLES = [
    "Where was Hina Ameen born?",
    "What did Hina Ameen write?",
    "Who taught Hina Ameen geology?",
    "Which prize did Hina Ameen win?",
]


@given(st.integers(0, 99), st.integers(1, 4), st.integers(1, 5))
def test_of_several_rows_the_one_that_points_furthest_counts(seed: int, n: int, m: int) -> None:
    random = np.random.default_rng(seed)
    directions = random.normal(size=(n, 3)).astype(np.float32)
    rows = random.normal(size=(m, 3)).astype(np.float32)
    owners = np.arange(n, dtype=np.int32) * 2
    none = PhraseTable.of([], 0)
    bundle = Bundle("d", (), none, contrasts=directions, contrast_targets=owners)
    wanted = {
        2 * i: pytest.approx(max(float(row @ directions[i]) for row in rows), abs=1e-5)
        for i in range(n)
    }
    assert Contrasts(bundle).best(rows) == wanted


def test_a_bundle_without_directions_scores_nothing() -> None:
    bundle = Bundle("d", (), PhraseTable.of([], 0))
    assert Contrasts(bundle).best(np.zeros((1, 3), np.float32)) == {}


async def test_a_question_that_no_example_asks_is_recognised_by_whom_it_is_about(
    encoder: SentenceEncoder, tmp_path: Path
) -> None:
    path = write(tmp_path, target(detect={"examples": EXAMPLES}))
    bundle = compile_policy(path, tmp_path / "b", encode=encoder.encode, encoder=encoder.digest)
    detector = Detector(bundle, BatchingEncoder(encoder))
    asked = ["Is there a film about Hina Ameen?", "Is there a film about Runa Bexley?"]
    about_her, about_another = await detector.detect([PlacedText("p", text) for text in asked])
    kinds = {evidence.kind: evidence for evidence in about_her[0].evidence}
    assert kinds["contrast"].score >= kinds["contrast"].threshold
    assert about_another == ()
