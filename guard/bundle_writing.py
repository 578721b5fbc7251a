"""Writing a bundle: beside its place, then renamed into it, so that a reader sees all or none."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save as save_tensors

from guard.bundle import (
    CANARY_PHRASE,
    CANARY_TARGET,
    FORMAT,
    NEVER,
    Answers,
    Bundle,
    BundleTarget,
    OnError,
    Tenant,
)
from guard.bundle_loading import load_bundle
from guard.canonical import canonical_json, canonical_object
from guard.errors import BundleError
from guard.keywords import KeywordTable
from guard.letter_table import LetterTable
from guard.phrase_table import BundlePhrase, PhraseTable
from guard.plan import BUNDLES_VARIABLE
from guard.statements import Statements
from guard.verbatim import RunFilter, RunFilters


def write_bundle(
    root: Path,
    *,
    targets: Sequence[BundleTarget],
    phrases: Sequence[BundlePhrase],
    tenants: Sequence[Tenant] = (),
    on_error: OnError = "closed",
    answers: Answers = "watch",
    encoder: str = "",
    examples: npt.NDArray[np.float32] | None = None,
    example_targets: npt.NDArray[np.int32] | None = None,
    contrasts: npt.NDArray[np.float32] | None = None,
    contrast_targets: npt.NDArray[np.int32] | None = None,
    letters: LetterTable | None = None,
    keywords: KeywordTable | None = None,
    keyword_targets: npt.NDArray[np.int32] | None = None,
    keyword_likeness: bool = False,
    statements: Statements | None = None,
    words: Iterable[str] = (),
    verbatim: Sequence[tuple[int, RunFilter]] = (),
    calibrations: Mapping[str, bytes] | None = None,
) -> Bundle:
    """Write a bundle below ``root`` (made if absent) and return it as it will be loaded.

    The canary's target and phrase are added; the same content gives the same digest.

    Args:
        verbatim: index of a target and its filter, at most one for each target.
        calibrations: canonical JSON, by id of a target.

    Raises:
        BundleError: it cannot be written.
    """
    canary = BundleTarget(
        id=CANARY_TARGET, title="canary", reason="safety", owner="", mode="enforce",
        respond="suppress", refusal="", context="allow", always=False, expires="",
        thresholds={}, aliases=(),
    )  # fmt: skip
    all_targets = (*targets, canary)
    table = PhraseTable.of(
        [*phrases, BundlePhrase(CANARY_PHRASE, len(targets), "hard")], len(all_targets)
    )
    members = {
        "targets.json": canonical_json(
            {
                "targets": [_json_of(t) for t in all_targets],
                "on_error": on_error,
                "answers": answers,
            }
        ),
        "targets.txt": "\n".join(target.id for target in all_targets).encode(),
        "phrases.txt": table.lines.encode(),
        "phrases.safetensors": save_tensors(
            {
                "target": table.target,
                "hard": table.hard,
                "slot": table.slot,
                "turn": table.turn,
                "until": np.array([_until(target) for target in all_targets], np.int32),
            }
        ),
        "keywords.safetensors": _save_keywords(keywords, keyword_targets, keyword_likeness),
        "calibration.json": canonical_object(calibrations or {}),
        "tenants.json": canonical_json([asdict(t) for t in tenants]),
        "examples.safetensors": _save_vectors(examples, example_targets),
        "contrasts.safetensors": _save_vectors(contrasts, contrast_targets),
        "letters.safetensors": save_tensors((letters or LetterTable()).arrays()),
        **_save_statements(statements or Statements()),
        "words.txt": "\n".join(sorted(set(words))).encode(),
        "verbatim.safetensors": save_tensors(RunFilters.of(verbatim).arrays()),
    }
    manifest = canonical_json(
        {
            "format": FORMAT,
            "encoder": encoder,
            "members": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()},
        }
    )
    digest = hashlib.sha256(manifest).hexdigest()
    place = root / digest
    try:
        if place.exists():
            with suppress(OSError):  # not where the folder is another's, who looks after it
                os.utime(place)
        else:
            _write_folder(root, place, {**members, "manifest.json": manifest})
    except OSError as error:
        raise BundleError(
            f"cannot write a bundle to `{root}` ({error.strerror})",
            fix="give a folder that can be written, with room on its disk (`--out` of `compile`;"
            f" else `--bundles` or `{BUNDLES_VARIABLE}`)",
        ) from error
    return load_bundle(root, digest)


def _json_of(target: BundleTarget) -> dict[str, Any]:
    """What ``dataclasses.asdict`` gives, in a tenth of its time; a policy may have thousands."""
    out = {each.name: getattr(target, each.name) for each in fields(target)}
    return {**out, "stand_ins": [asdict(each) for each in target.stand_ins]}


def _until(target: BundleTarget) -> int:
    if not target.holds_always:
        return 0
    return date.fromisoformat(target.expires).toordinal() if target.expires else NEVER


def _save_vectors(
    vectors: npt.NDArray[np.float32] | None, targets: npt.NDArray[np.int32] | None
) -> bytes:
    saved: bytes = save_tensors(
        {
            "vectors": np.zeros((0, 0), np.float32) if vectors is None else vectors,
            "targets": np.zeros(0, np.int32) if targets is None else targets,
        }
    )
    return saved


def _save_keywords(
    table: KeywordTable | None, targets: npt.NDArray[np.int32] | None, likeness: bool
) -> bytes:
    saved: bytes = save_tensors(
        {
            **(KeywordTable.of([], []) if table is None else table).arrays(),
            "targets": np.zeros(0, np.int32) if targets is None else targets,
            "likeness": np.array([likeness], np.int8),
        }
    )
    return saved


def _save_statements(statements: Statements) -> dict[str, bytes]:
    return {
        "statements.safetensors": save_tensors(
            {
                "vectors": statements.vectors,
                "targets": statements.targets,
                "thresholds": np.array(list(statements.thresholds.items()), np.float64).reshape(
                    -1, 2
                ),
            }
        ),
        "statements.json": canonical_json(statements.facts),
    }


def _write_folder(root: Path, place: Path, members: Mapping[str, bytes]) -> None:
    root.mkdir(parents=True, exist_ok=True, mode=0o750)
    aside = root / f".{place.name[:16]}-{secrets.token_hex(4)}"
    aside.mkdir(mode=0o750)
    try:
        for name, data in members.items():
            with os.fdopen(os.open(aside / name, os.O_WRONLY | os.O_CREAT, 0o640), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        aside.rename(place)
    except OSError:
        shutil.rmtree(aside, ignore_errors=True)
        if not place.exists():  # lost no race: a real failure
            raise
