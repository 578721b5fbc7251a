"""The policy on disk, compiled: the one place where the proxy calls the policy compiler."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from classifiers import BatchingEncoder
from guard.bundle import Bundle
from guard.policy.compile import Encode, compile_loaded
from guard.policy.load import load_policy


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """A bundle and the files that it was made from."""

    bundle: Bundle
    files: tuple[Path, ...]


def compile_files(
    path: Path, bundles: Path, *, encode: Encode | None, encoder: str
) -> CompiledPolicy:
    """Compile the policy at ``path`` into the folder ``bundles``.

    Raises:
        PolicyError: the policy cannot be used.
        BundleError: the bundle cannot be written or read back.
    """
    policy = load_policy(path)
    compiled = compile_loaded(policy, bundles, encode=encode, encoder=encoder)
    return CompiledPolicy(compiled.bundle, policy.files)


def encode_from_thread(encoder: BatchingEncoder, loop: asyncio.AbstractEventLoop) -> Encode:
    """The loop's encoder as a plain function for other threads.

    A tokenizer must not be used by two threads at once, so compiling shares the requests' worker.
    """

    def encode(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return asyncio.run_coroutine_threadsafe(encoder.encode(texts), loop).result()

    return encode
