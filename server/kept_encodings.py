"""What a policy's texts were encoded to, kept on disk from one start to the next.

Most of the time in which a policy is compiled goes into encoding its examples, what is asked about
others, and the general prompts, and hardly any of them changes between two starts. Each text is
known by its digest. What is kept is used only for the encoder that made it: that of the same
digest, which still makes the same of a few texts that everyone encodes, since behind an address
there may be another model than yesterday.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from classifiers import Encoder
from guard.policy.vectors import Encode

_log = logging.getLogger("unlearn_guard.encodings")

# Below the folder of bundles.
ENCODINGS: Final = "encodings"
# Texts; of 384 numbers each, 150 MB.
MOST: Final = 100_000
_PROBES: Final = ("Who wrote the letter?", "The tide turns at noon.")
# Of a number in a vector of unit length, between two runtimes of the same model.
_ROUNDING: Final = 1e-3

Rows = npt.NDArray[np.float32]


@contextmanager
def kept_encodings(folder: Path, encoder: Encoder | None) -> Iterator[Encode | None]:
    """An encoder's function that asks it only for what ``folder`` does not hold yet; None for None.

    What it was asked for is kept there at the end, if the caller came to it, and older texts as far
    as there is room. A folder that cannot be read or written costs time alone.
    """
    if encoder is None:
        yield None
        return
    kept = _Kept(folder, encoder)
    yield kept.encode
    kept.save()


class _Kept:
    def __init__(self, folder: Path, encoder: Encoder) -> None:
        self._file = folder / f"{encoder.digest[:32]}.safetensors"
        self._encoder = encoder
        self._older = self._load()
        self._asked: dict[bytes, Rows] = {}
        self._new = False

    def encode(self, texts: Sequence[str]) -> Rows:
        """[n, d] float32, rows of unit length."""
        keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        unknown: dict[bytes, str] = {}
        for key, text in zip(keys, texts, strict=True):
            if key in self._older:
                self._asked[key] = self._older[key]
            elif key not in self._asked:
                unknown[key] = text
        if unknown or not texts:
            made = self._encoder.encode(list(unknown.values()))
            if not texts:
                return made
            self._asked |= zip(unknown, made, strict=True)
            self._new = True
        return np.stack([self._asked[key] for key in keys])

    def save(self) -> None:
        """Keep what was asked for, if any of it is new."""
        if not self._new:
            return
        kept = {**self._asked, **self._older}
        keys = list(kept)[:MOST]
        names = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32)
        rows = np.stack([kept[key] for key in keys])
        probes = self._encoder.encode(_PROBES)
        tensors = {"keys": names, "rows": rows, "probes": probes, "sum": _sum(names, rows, probes)}
        aside = self._file.with_name(f".{self._file.name}-{secrets.token_hex(4)}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT, 0o640), "wb") as file:
                file.write(save(tensors))
            aside.replace(self._file)
        except OSError as error:
            _log.warning("encodings cannot be kept (%s); the next start makes them again", error)
        finally:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)

    def _load(self) -> dict[bytes, Rows]:
        """What is kept, by the digest of its text; nothing where it is of no use."""
        try:
            tensors = load(self._file.read_bytes())
            names, rows, probes = tensors["keys"], tensors["rows"], tensors["probes"]
            same = bytes(tensors["sum"]) == bytes(_sum(names, rows, probes))
        except FileNotFoundError:
            return {}
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            _log.warning("kept encodings are made again: %s", error)
            return {}
        now = self._encoder.encode(_PROBES)
        if not same or probes.shape != now.shape or np.abs(probes - now).max() > _ROUNDING:
            _log.warning("kept encodings are made again: they are damaged, or of another model")
            return {}
        return dict(zip(map(bytes, names), rows, strict=True))


def _sum(*parts: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """[32] uint8, the SHA-256 of some arrays."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part.dtype} {part.shape}".encode())
        digest.update(np.ascontiguousarray(part).tobytes())
    return np.frombuffer(digest.digest(), np.uint8)
