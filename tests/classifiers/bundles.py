"""Bundles for tests, without policy files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.encoder import SentenceEncoder
from guard.bundle import Bundle, BundleTarget
from guard.bundle_writing import write_bundle
from guard.normalise import SEP, normalise


def bundle_target(target_id: str, *aliases: str, **fields: Any) -> BundleTarget:
    values: dict[str, Any] = {
        "id": target_id, "title": target_id, "reason": "privacy", "owner": "o", "mode": "enforce",
        "respond": "suppress", "refusal": "No.", "context": "redact", "always": False,
        "expires": "", "thresholds": {"neighbour": 0.7}, "aliases": tuple(map(normalise, aliases)),
    }  # fmt: skip
    return BundleTarget(**{**values, **fields})


def make_bundle(
    root: Path,
    targets: Sequence[BundleTarget],
    examples: Mapping[str, Sequence[str]] | None = None,
    encoder: SentenceEncoder | None = None,
) -> Bundle:
    index = {target.id: position for position, target in enumerate(targets)}
    pairs = [(index[name], text) for name, texts in (examples or {}).items() for text in texts]
    said = [*(text for _, text in pairs), *(name for target in targets for name in target.aliases)]
    texts = [normalise(text).split(SEP) for text in said]
    words = {word for words in texts for word in words}
    words |= {SEP.join(pair) for words in texts for pair in pairwise(words)}
    if encoder is None:
        return write_bundle(root, targets=targets, phrases=[], words=words)
    return write_bundle(
        root,
        targets=targets,
        phrases=[],
        encoder=encoder.digest,
        examples=encoder.encode([text for _, text in pairs]),
        example_targets=np.array([owner for owner, _ in pairs], np.int32),
        words=words,
    )
