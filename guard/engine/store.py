"""Compiled segments on disk: a restarted engine maps them into memory instead of compiling anew.

Each lies in a folder of its own, named by the digest of what it was compiled from::

    <root>/<digest>/manifest.json   sha256 of each array, and an HMAC of those by the signing key
                   /<array>.npy     one a field of ``guard.engine.segment.Segment``

What cannot be read, or was not written by a holder of the key, is compiled again. Several workers
on a machine share the pages of one file.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from unicodedata import unidata_version

import numpy as np
import numpy.typing as npt

from guard.canonical import canonical_json
from guard.engine.keytable import KeyTable
from guard.engine.segment import Segment
from guard.engine.steer import SCHEDULE
from guard.engine.symbols import SymbolVocabulary

FOLDER: Final = ".compiled"
_FORMAT: Final = 1
_KEPT: Final = 4
_ARRAYS: Final = ("keys", "directory", "offset", "low", "high", "target", "penalty")

_log = logging.getLogger("vllm.unlearn_guard")


def vocabulary_digest(vocabulary: SymbolVocabulary) -> str:
    """What a compiled segment depends on besides its phrases."""
    lengths = np.fromiter(map(len, vocabulary.data), np.int64, len(vocabulary))
    return hashlib.sha256(lengths.tobytes() + b"".join(vocabulary.data)).hexdigest()


class SegmentStore:
    """Compiled segments below one folder.

    Args:
        bundles: the folder of bundles; the store is a folder in it. Where that cannot be written,
            nothing is kept.
        key: signing key.
        vocabulary: that the segments are compiled for.
    """

    def __init__(self, bundles: Path, key: bytes, vocabulary: SymbolVocabulary) -> None:
        self._root = bundles / FOLDER
        self._key = key
        self._vocabulary = vocabulary_digest(vocabulary)

    def digest_of(
        self,
        texts: Sequence[str],
        targets: npt.NDArray[np.int32],
        penalties: npt.NDArray[np.float32],
        turns: npt.NDArray[np.int16],
    ) -> str:
        """The name of the segment of these phrases.

        Args:
            turns: [n] where a model is led away from each phrase; -1 for nowhere.
        """
        # What a letter folds to is up to Python's version of Unicode.
        head = f"{_FORMAT} {unidata_version} {self._vocabulary} {SCHEDULE}\n"
        digest = hashlib.sha256(head.encode())
        digest.update("\n".join(texts).encode())
        digest.update(targets.tobytes())
        digest.update(penalties.tobytes())
        digest.update(turns.tobytes())
        return digest.hexdigest()

    def load(self, digest: str) -> Segment | None:
        """The segment of that name, mapped into memory; None if it has to be compiled."""
        place = self._root / digest
        try:
            manifest = json.loads((place / "manifest.json").read_bytes())
            if not hmac.compare_digest(manifest["hmac"], self._seal(digest, manifest)):
                raise ValueError("not sealed with this key")
            for name in _ARRAYS:
                with (place / f"{name}.npy").open("rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != manifest["sha256"][name]:
                        raise ValueError(f"`{name}.npy` was altered")
            # Copy on write: torch wants arrays that could be written, and nothing writes them.
            arrays = {name: np.load(place / f"{name}.npy", mmap_mode="c") for name in _ARRAYS}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("unlearn-guard: compiling %s anew: %s", digest[:12], error)
            return None
        table = KeyTable(
            arrays["keys"], arrays["directory"], manifest["shift"], manifest["deepest"]
        )
        return Segment(table, *(arrays[name] for name in _ARRAYS[2:]))

    def save(self, digest: str, segment: Segment) -> None:
        """Keep a segment; the oldest go. Where the folder cannot be written, nothing is kept."""
        aside = self._root / f"{digest[:16]}-{secrets.token_hex(4)}"
        arrays = {
            "keys": segment.table.keys,
            "directory": segment.table.directory,
            **{name: getattr(segment, name) for name in _ARRAYS[2:]},
        }
        try:
            aside.mkdir(parents=True, mode=0o750)
            manifest: dict[str, Any] = {
                "shift": segment.table.shift,
                "deepest": segment.table.deepest,
                "sha256": {},
            }
            for name, array in arrays.items():
                with (aside / f"{name}.npy").open("wb+") as file:
                    np.save(file, array)
                    file.seek(0)
                    manifest["sha256"][name] = hashlib.file_digest(file, "sha256").hexdigest()
            manifest["hmac"] = self._seal(digest, manifest)
            (aside / "manifest.json").write_bytes(canonical_json(manifest))
            shutil.rmtree(self._root / digest, ignore_errors=True)
            aside.rename(self._root / digest)
            self._prune()
        except OSError as error:
            shutil.rmtree(aside, ignore_errors=True)
            _log.info("unlearn-guard: compiled phrases are not kept: %s", error)

    def _seal(self, digest: str, manifest: dict[str, Any]) -> str:
        sealed = [digest, manifest["shift"], manifest["deepest"], manifest["sha256"]]
        return hmac.new(self._key, canonical_json(sealed), hashlib.sha256).hexdigest()

    def _prune(self) -> None:
        by_age = sorted(self._root.iterdir(), key=os.path.getmtime, reverse=True)
        for old in by_age[_KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
