import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from load_tests.static_vectors import Floats, Recipe, StaticVectors

_DRAW = np.random.default_rng(0)
ENCODED: Floats = _DRAW.normal(size=(12, 6)).astype(np.float32)
RANKS = list(range(12))


def vectors(recipe: Recipe) -> StaticVectors:
    return StaticVectors.distil(ENCODED, RANKS, len(RANKS), recipe)


@given(st.lists(st.integers(0, 11), min_size=1, max_size=20), st.sampled_from([0, 1, 3, 8]))
def test_a_running_text_is_the_whole_of_its_last_units(units: list[int], window: int) -> None:
    distilled = vectors(Recipe(window=window))
    running = distilled.running(units)
    for place in range(len(units)):
        first = max(0, place + 1 - window) if window else 0
        expected = distilled.whole(units[first : place + 1])
        assert running[place] == pytest.approx(expected, abs=2e-4)


def test_rarer_units_weigh_more() -> None:
    plain, weighed = vectors(Recipe(smoothing=0)), vectors(Recipe(smoothing=1e-2))
    shares = np.linalg.norm(weighed.rows, axis=1) / np.linalg.norm(plain.rows, axis=1)
    assert (np.diff(shares) > 0).all()
    assert shares.max() < 1


def test_centred_units_have_no_mean() -> None:
    assert vectors(Recipe(smoothing=0)).rows.mean(axis=0) == pytest.approx(np.zeros(6), abs=1e-6)
    kept = vectors(Recipe(smoothing=0, centred=False))
    assert kept.rows == pytest.approx(ENCODED)


def test_principal_components_keep_the_widest_directions() -> None:
    kept = vectors(Recipe(smoothing=0, components=2)).rows
    spread = np.linalg.eigvalsh(np.cov(ENCODED.T))[::-1][:2]
    assert np.cov(kept.T) == pytest.approx(np.diag(spread), rel=1e-4, abs=1e-5)
