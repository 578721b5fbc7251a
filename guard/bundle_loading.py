"""Loading a bundle: every byte that is read is verified against the digest that names it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.numpy import load as load_tensors

from guard.bundle import FORMAT, Bundle, BundleTarget, EngineBundle, StandIn, Tenant
from guard.errors import BundleError
from guard.keywords import KeywordTable
from guard.letter_table import LetterTable
from guard.phrase_table import PhraseTable
from guard.statements import Statements
from guard.verbatim import RunFilters

_DIGEST = re.compile(r"[0-9a-f]{64}")


def load_bundle(root: Path, digest: str) -> Bundle:
    """Load and verify the bundle of that digest.

    Raises:
        BundleError: not there, altered in any byte, or of another format.
    """
    manifest, members = _load_members(root, digest)
    head = json.loads(members["targets.json"])
    examples = load_tensors(members["examples.safetensors"])
    contrasts = load_tensors(members["contrasts.safetensors"])
    keywords = load_tensors(members["keywords.safetensors"])
    return Bundle(
        digest=digest,
        targets=tuple(_target(row) for row in head["targets"]),
        phrases=_phrase_table(members),
        tenants=tuple(
            Tenant(row["name"], tuple(row["key_digests"]), tuple(row["exempt"]))
            for row in json.loads(members["tenants.json"])
        ),
        on_error=head["on_error"],
        answers=head["answers"],
        encoder=manifest["encoder"],
        examples=examples["vectors"],
        example_targets=examples["targets"],
        contrasts=contrasts["vectors"],
        contrast_targets=contrasts["targets"],
        letters=LetterTable(**load_tensors(members["letters.safetensors"])),
        keywords=KeywordTable.from_arrays(keywords),
        keyword_targets=keywords["targets"],
        keyword_likeness=bool(keywords["likeness"][0]),
        statements=_statements(members),
        words=tuple(filter(None, members["words.txt"].decode().split("\n"))),
        verbatim=RunFilters(**load_tensors(members["verbatim.safetensors"])),
        calibration_json=members["calibration.json"],
    )


def load_engine_bundle(root: Path, digest: str) -> EngineBundle:
    """Load and verify the engine's part of a bundle.

    Raises:
        BundleError: not there, altered in any byte that is read, or of another format.
    """
    names = ("targets.txt", "phrases.txt", "phrases.safetensors", "verbatim.safetensors")
    _, members = _load_members(root, digest, names)
    columns = load_tensors(members["phrases.safetensors"])
    return EngineBundle(
        digest=digest,
        target_ids=tuple(members["targets.txt"].decode().split("\n")),
        until=columns["until"],
        phrases=_phrase_table(members),
        verbatim=RunFilters(**load_tensors(members["verbatim.safetensors"])),
    )


def _target(row: Mapping[str, Any]) -> BundleTarget:
    stand_ins = tuple(StandIn(**each) for each in row["stand_ins"])
    return BundleTarget(**{**row, "aliases": tuple(row["aliases"]), "stand_ins": stand_ins})


def _statements(members: Mapping[str, bytes]) -> Statements:
    arrays = load_tensors(members["statements.safetensors"])
    return Statements(
        arrays["vectors"],
        arrays["targets"],
        tuple(tuple(facts) for facts in json.loads(members["statements.json"])),
        {int(target): float(least) for target, least in arrays["thresholds"]},
    )


def _phrase_table(members: Mapping[str, bytes]) -> PhraseTable:
    columns = load_tensors(members["phrases.safetensors"])
    return PhraseTable(
        members["phrases.txt"].decode(),
        columns["target"],
        columns["hard"],
        columns["slot"],
        columns["turn"],
    )


def _load_members(
    root: Path, digest: str, names: Sequence[str] | None = None
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A verified manifest, and the members of those names, or all.

    Raises:
        BundleError: as ``load_bundle``.
    """
    if not _DIGEST.fullmatch(digest):
        raise BundleError("bundle digest is not 64 hex digits", fix="send a plan made by the proxy")
    place = root / digest
    manifest_bytes = _read(place, "manifest.json")
    _verify(manifest_bytes, digest, place, "manifest.json")
    manifest: dict[str, Any] = json.loads(manifest_bytes)
    if manifest.get("format") != FORMAT:
        raise BundleError(
            f"bundle {digest[:12]} has format {manifest.get('format')}, not {FORMAT}",
            fix="compile the policy again with this version",
        )
    members = {name: _read(place, name) for name in names or manifest["members"]}
    for name, data in members.items():
        _verify(data, manifest["members"][name], place, name)
    return manifest, members


def _read(place: Path, name: str) -> bytes:
    try:
        return (place / name).read_bytes()
    except OSError as error:
        raise BundleError(
            f"bundle {place.name[:12]} has no readable `{name}` ({error.strerror})",
            fix="share the proxy's bundle folder with the engine, or compile the policy again",
        ) from error


def _verify(data: bytes, expected: str, place: Path, name: str) -> None:
    if hashlib.sha256(data).hexdigest() != expected:
        raise BundleError(
            f"bundle {place.name[:12]}: `{name}` does not match its digest",
            fix="delete the bundle folder and compile the policy again",
        )
