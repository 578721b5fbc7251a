"""A sentence encoder in ONNX Runtime: the same vectors as torch's, two to four times as fast.

The model is exported from torch each time it is loaded: there is no second file that could be
stale or altered. It is used only if its vectors agree with torch's on texts of many kinds, so
that an encoder whose tokenizer or pooling is unlike the usual ones is left to torch.

A batch runs on one thread, and as many batches at a time as there are cores. Threads that share a
batch wait for each other at every layer, and on a machine that is busy they wait long.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_log = logging.getLogger("unlearn_guard.encoder")

Rows = npt.NDArray[np.float32]  # [n, d], of unit length

# A batch: at most so many texts, and tokens with those that pad it.
_MAX_TEXTS: Final = 16
_MAX_TOKENS: Final = 384
_MAX_THREADS: Final = 16
_OPSET: Final = 17
# Largest difference of any component: far above rounding, far below what a threshold could tell.
_AGREES: Final = 1e-4
_PROBES: Final = (
    "Who wrote the novel about the harbour?", "a", "  Spaces around, and CAPITALS  ", "1 + 1 = 2?",
    "Çok güzel, naïve façade", "Кто написал этот роман?", "この小説の著者は誰ですか。",
    "من كتب هذه الرواية؟", "\u200b",
    "😀 line\nbreaks\tand tabs", "def f(x): return {'a': [x]}", "longer than any window " * 60,
)  # fmt: skip


class Runtime:
    """An exported encoder.

    Args:
        model: ONNX, ``input_ids`` and ``attention_mask`` [n, l] int64 to ``vectors`` [n, d].
        tokenizer: of the ``tokenizers`` library; cut to the model's length, not padding.
        pad: the token to pad with.
    """

    def __init__(self, model: bytes, tokenizer: Any, pad: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = tokenizer
        self._pad = pad
        self.parallel = min(len(os.sched_getaffinity(0)), _MAX_THREADS)
        self._threads = ThreadPoolExecutor(self.parallel, thread_name_prefix="onnx")

    def encode(self, texts: Sequence[str]) -> Rows:
        """Encode texts; from any number of threads.

        Returns:
            [n, d] float32, rows of unit length. n is at least 1.
        """
        tokens = [each.ids for each in self._tokenizer.encode_batch(list(texts))]
        batches = list(_batches([len(ids) for ids in tokens]))
        run = self._threads.map if len(batches) > 1 else map
        done = list(run(lambda batch: self._run([tokens[i] for i in batch]), batches))
        rows = np.empty((len(texts), done[0].shape[1]), np.float32)
        for batch, vectors in zip(batches, done, strict=True):
            rows[batch] = vectors
        return rows

    def _run(self, tokens: Sequence[Sequence[int]]) -> Rows:
        longest = max(map(len, tokens))
        ids = np.full((len(tokens), longest), self._pad, np.int64)
        mask = np.zeros((len(tokens), longest), np.int64)
        for row, own in enumerate(tokens):
            ids[row, : len(own)] = own
            mask[row, : len(own)] = 1
        feed = {"input_ids": ids, "attention_mask": mask}
        vectors: Rows = self._session.run(None, feed)[0]
        return vectors


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places of texts of like length, the longest first."""
    batch: list[int] = []
    longest = 0
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if batch and (len(batch) == _MAX_TEXTS or longest * (len(batch) + 1) > _MAX_TOKENS):
            yield batch
            batch = []
        if not batch:
            longest = lengths[place]
        batch.append(place)
    yield batch


def export(model: Any, reference: Callable[[Sequence[str]], Rows]) -> Runtime | None:
    """A sentence-transformers model for ONNX Runtime; None where it has to stay in torch.

    Args:
        reference: encodes texts as torch does.
    """
    try:
        runtime = _exported(model)
        apart = float(np.abs(runtime.encode(_PROBES) - reference(_PROBES)).max())
    except ImportError as error:
        _log.info("the sentence encoder stays in torch: `%s` is not installed", error.name)
        return None
    except Exception as error:  # whatever an exporter raises, torch still works
        _log.warning("the sentence encoder stays in torch: %s", str(error).splitlines()[:1])
        return None
    if not apart <= _AGREES:
        _log.warning("the sentence encoder stays in torch: ONNX differs by %.1g", apart)
        return None
    return runtime


def _exported(model: Any) -> Runtime:
    import onnx  # noqa: F401  (torch's exporter needs it, and says so only at its end)
    import torch
    from tokenizers import Tokenizer

    class Vectors(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            features = {"input_ids": input_ids, "attention_mask": attention_mask}
            rows: torch.Tensor = self.model(features)["sentence_embedding"]
            return torch.nn.functional.normalize(rows, dim=1)

    tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
    tokenizer.no_padding()
    tokenizer.enable_truncation(model.max_seq_length)
    ids = torch.ones((2, 7), dtype=torch.int64)
    mask = torch.ones_like(ids)
    mask[1, 3:] = 0
    axes = {0: "texts", 1: "tokens"}
    vectors = Vectors().eval()
    with tempfile.TemporaryDirectory(prefix="unlearn-guard-") as folder:
        out = Path(folder) / "encoder.onnx"
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                vectors, (ids, mask), out,
                input_names=["input_ids", "attention_mask"], output_names=["vectors"],
                dynamic_axes={"input_ids": axes, "attention_mask": axes, "vectors": {0: "texts"}},
                opset_version=_OPSET, dynamo=False,
            )  # fmt: skip
        exported = out.read_bytes()
    return Runtime(exported, tokenizer, model.tokenizer.pad_token_id or 0)
