from collections.abc import Sequence

import numpy as np
import pytest
import torch

from load_tests.meaning_leaks import Approach, At, Nearness
from load_tests.static_vectors import Floats, StaticVectors

_DRAW = np.random.default_rng(0)
VOCABULARY, WIDTH = 60, 5
ROWS: Floats = _DRAW.normal(size=(VOCABULARY - 3, WIDTH)).astype(np.float32)
STATEMENTS: Floats = _DRAW.normal(size=(4, WIDTH)).astype(np.float32)
STATEMENTS /= np.linalg.norm(STATEMENTS, axis=1, keepdims=True)


def near(tokens: Sequence[int]) -> float:
    """The greatest cosine of a text with a statement; tokens beyond the vectors have none."""
    total = sum((ROWS[token] for token in tokens if token < len(ROWS)), np.zeros(WIDTH))
    length = float(np.linalg.norm(total))
    return float((STATEMENTS @ total).max()) / length if length else 0.0


@pytest.mark.parametrize("window", [0, 1, 3])
def test_candidates_that_come_near_are_penalised_and_no_others(window: int) -> None:
    penalise = Nearness(StaticVectors(ROWS, window), {"t": STATEMENTS}, VOCABULARY, At(0.4))
    before = torch.from_numpy(_DRAW.normal(size=(3, VOCABULARY)).astype(np.float32))
    said = [[], [3, 8, 1, 20], [5]]
    logits = before.clone()
    penalise(logits, ["t", "t", ""], said)
    for row in range(2):
        candidates = set(before[row].topk(50).indices.tolist())
        for token in range(VOCABULARY):
            text = [*said[row], token]
            text = text[-window:] if window else text
            met = token in candidates and near(text) >= 0.4
            assert bool(logits[row, token] < before[row, token]) == met
    assert torch.equal(logits[2], before[2])


def test_candidates_are_penalised_by_how_much_nearer_they_come() -> None:
    way = Approach(per_cosine=10, free=0.1, near=0.2)
    before = torch.tensor([0.3, 0.1])
    after = torch.tensor([[0.35, 0.9], [0.6, 0.1], [0.1, 0.0]])
    assert way.penalty(before, after).tolist() == pytest.approx([0, 2, 0])
