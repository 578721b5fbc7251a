"""The policy on disk, compiled: the one place where the proxy calls the policy compiler."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from classifiers import BatchingEncoder
from guard.bundle import Bundle
from guard.policy.compile import KnownTargets, compile_loaded
from guard.policy.load import load_policy
from guard.policy.model import PolicyWarning
from guard.policy.vectors import Encode

_log = logging.getLogger("unlearn_guard.policies")

# Texts that a compilation encodes at a time: requests that wait for the encoder come in between.
_CHUNK: Final = 32
# Coarser than the clock that file systems stamp changes with.
TICK_NS: Final = 20_000_000

Stamp = Mapping[Path, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """A bundle and the files that it was made from, with their state at that time.

    Attributes:
        settled: no file changed just before it was read, so that one with the same stamp is the
            same: a change within a tick of the file system's clock leaves its stamp as it was.
    """

    bundle: Bundle
    files: tuple[Path, ...]
    stamp: Stamp
    warnings: tuple[PolicyWarning, ...] = ()
    settled: bool = False

    def is_of(self, path: Path) -> bool:
        """Whether the policy at ``path`` is known to be the one that this was made from."""
        return self.settled and stamp_of(path, self.stamp) == self.stamp


def stamp_of(path: Path, files: Iterable[Path]) -> Stamp:
    """When the policy and its files last changed: another stamp means another state."""
    stamp: dict[Path, tuple[int, int]] = {}
    for item in (path, *files):
        try:
            state = item.stat()
        except OSError:
            stamp[item] = (0, 0)
        else:
            stamp[item] = (state.st_mtime_ns, state.st_ino)
    return stamp


def compile_files(
    path: Path,
    bundles: Path,
    *,
    encode: Encode | None,
    encoder: str,
    known: KnownTargets | None = None,
) -> CompiledPolicy:
    """Compile the policy at ``path`` into the folder ``bundles``.

    Args:
        known: targets that an earlier call made, which need not be made again.

    Raises:
        PolicyError: the policy cannot be used.
        BundleError: the bundle cannot be written or read back.
    """
    began = time.time_ns()
    policy = load_policy(path)
    stamp = stamp_of(path, policy.files)
    settled = all(changed < began - TICK_NS for changed, _ in stamp.values())
    compiled = compile_loaded(policy, bundles, encode=encode, encoder=encoder, known=known)
    return CompiledPolicy(compiled.bundle, policy.files, stamp, compiled.warnings, settled)


def log_warnings(compiled: CompiledPolicy, told: Collection[PolicyWarning] = ()) -> None:
    """Log what a policy's owner should know, but for what was told before."""
    for warning in compiled.warnings:
        if warning in told:
            continue
        # What it quotes may be protected, and it need not be in a log to be found.
        if "`" in warning.problem:
            place = f"{warning.file}:{warning.line}: `{warning.field}`"
            _log.warning("policy: %s; `unlearn-guard check` says what about it", place)
        else:
            _log.warning("policy: %s", warning)


def encode_from_thread(encoder: BatchingEncoder, loop: asyncio.AbstractEventLoop) -> Encode:
    """The loop's encoder as a plain function for other threads.

    A tokenizer must not be used by two threads at once, so compiling shares the requests' worker.
    """

    def encode(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        chunks = [texts[start : start + _CHUNK] for start in range(0, len(texts), _CHUNK)]
        rows = [
            asyncio.run_coroutine_threadsafe(encoder.encode(chunk), loop).result()
            for chunk in chunks or [texts]
        ]
        return np.concatenate(rows)

    return encode
