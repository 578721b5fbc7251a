from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.encoder import SentenceEncoder, load_encoder, packaged_folder
from classifiers.runtime import _MAX_TEXTS, _MAX_TOKENS, _batches, export
from guard.policy.vectors import general_prompts

pytest.importorskip("onnxruntime", reason="ONNX Runtime (the extra `onnx`) is not installed")


@pytest.fixture(scope="module")
def in_torch() -> SentenceEncoder:
    return SentenceEncoder(packaged_folder(), onnx=False)


def test_the_packaged_encoder_runs_in_onnx_and_agrees_with_torch_to_rounding(
    encoder: SentenceEncoder, in_torch: SentenceEncoder
) -> None:
    texts = [*general_prompts()[:120], "", "Ünïcode ünd ẞ", "人工知能とは", "word " * 700]
    assert (encoder.backend, in_torch.backend) == ("onnx", "torch")
    assert encoder.digest == in_torch.digest
    np.testing.assert_allclose(encoder.encode(texts), in_torch.encode(texts), atol=1e-5)


def test_a_text_has_the_same_vector_whatever_it_is_encoded_with(encoder: SentenceEncoder) -> None:
    texts = general_prompts()[:40]
    together = encoder.encode(texts)
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_many_threads_may_encode_at_once(encoder: SentenceEncoder) -> None:
    texts = general_prompts()[:60]
    expected = encoder.encode(texts)
    with ThreadPoolExecutor(8) as threads:
        rows = list(threads.map(lambda n: encoder.encode(texts[n : n + 7]), range(50)))
    for n, own in enumerate(rows):
        np.testing.assert_allclose(own, expected[n : n + 7], atol=1e-5)


@given(st.lists(st.integers(1, 600), min_size=1, max_size=80))
def test_every_text_is_in_one_batch_and_no_batch_is_too_large(lengths: list[int]) -> None:
    batches = list(_batches(lengths))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[place] for place in batch)
        assert len(batch) <= _MAX_TEXTS
        assert len(batch) == 1 or longest * len(batch) <= _MAX_TOKENS


def test_without_onnx_runtime_the_encoder_stays_in_torch(
    monkeypatch: pytest.MonkeyPatch, encoder: SentenceEncoder
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    without = load_encoder()
    assert without.backend == "torch"
    np.testing.assert_allclose(without.encode(["a text"]), encoder.encode(["a text"]), atol=1e-5)


def test_a_model_whose_vectors_come_out_otherwise_is_left_to_torch(
    in_torch: SentenceEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    def prompted(texts: Sequence[str]) -> np.ndarray:
        return in_torch.encode([f"query: {text}" for text in texts])

    with caplog.at_level(logging.WARNING):
        assert export(in_torch._model, prompted) is None
    assert "stays in torch: ONNX differs" in caplog.text


def test_a_model_that_cannot_be_exported_is_left_to_torch(in_torch: SentenceEncoder) -> None:
    assert export(object(), in_torch.encode) is None
