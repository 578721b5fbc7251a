from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.policy.scoring import Contrast, NearestExample


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


def contrast_of(seed: int, m: int, named: list[bool]) -> tuple[Contrast, ...]:
    """The contrast of all examples, and for each that of the others."""
    examples, others, held = unit_rows(seed, m), unit_rows(seed + 500, m), np.array(named)

    def of(keep: npt.NDArray[np.int64]) -> Contrast:
        return Contrast(examples[keep], others[keep], held[keep])

    every = np.arange(m)
    return of(every), *(of(np.delete(every, place)) for place in range(m))


@given(st.integers(0, 99), st.integers(3, 7), st.data())
def test_each_example_is_contrasted_by_the_others(seed: int, m: int, data: st.DataObject) -> None:
    named = data.draw(st.lists(st.booleans(), min_size=m, max_size=m))
    if sum(named) < 2:
        named[0] = named[1] = True
    every, *without = contrast_of(seed, m, named)
    examples = unit_rows(seed, m)
    wanted = [float(other(examples[place : place + 1])[0]) for place, other in enumerate(without)]
    assert every.of_each_by_the_others() == pytest.approx(wanted, abs=1e-4)


def test_a_text_that_holds_the_name_scores_above_the_same_about_others() -> None:
    question, name, other = np.eye(3, 6, dtype=np.float32)
    ours = (question + name) / np.sqrt(2)
    theirs = (question + other) / np.sqrt(2)
    score = Contrast(np.stack([ours] * 3), np.stack([theirs] * 3), np.ones(3, np.bool_))
    at = score(np.stack([ours, theirs, question, name]).astype(np.float32))
    assert at[3] > at[0] > at[2] > at[1]


def test_examples_without_names_say_nothing_of_names() -> None:
    examples, others = unit_rows(1, 4), unit_rows(2, 4)
    named = np.array([True, True, False, False])
    changed = others.copy()
    changed[2:] = unit_rows(3, 2)
    assert Contrast(examples, others, named).direction == pytest.approx(
        Contrast(examples, changed, named).direction
    )


def test_without_another_name_no_example_can_be_left_out() -> None:
    one = np.array([True, False, False])
    assert Contrast(unit_rows(1, 3), unit_rows(2, 3), one).of_each_by_the_others().shape == (0,)
