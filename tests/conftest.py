"""Fixtures shared by all tests."""

from __future__ import annotations

import pytest

from classifiers.encoder import SentenceEncoder, load_encoder


@pytest.fixture(scope="session")
def encoder() -> SentenceEncoder:
    """The real MiniLM, loaded once per run."""
    return load_encoder()
