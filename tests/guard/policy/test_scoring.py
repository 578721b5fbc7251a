from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.policy.scoring import NearestExample


def unit_rows(seed: int, n: int) -> npt.NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32)
    normed: npt.NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return normed


@given(st.integers(0, 99), st.integers(1, 7), st.integers(1, 5))
def test_a_text_scores_by_the_example_that_is_nearest(seed: int, m: int, n: int) -> None:
    examples, texts = unit_rows(seed, m), unit_rows(seed + 1000, n)
    wanted = [max(float(text @ example) for example in examples) for text in texts]
    assert NearestExample(examples)(texts) == pytest.approx(wanted, abs=1e-5)


@given(st.integers(0, 99), st.integers(2, 7))
def test_each_example_scores_by_the_others(seed: int, m: int) -> None:
    examples = unit_rows(seed, m)
    wanted = [
        float(NearestExample(np.delete(examples, place, axis=0))(examples[place : place + 1])[0])
        for place in range(m)
    ]
    assert NearestExample(examples).of_each_by_the_others() == pytest.approx(wanted, abs=1e-5)


def test_one_example_has_no_others() -> None:
    assert NearestExample(unit_rows(1, 1)).of_each_by_the_others().shape == (0,)
