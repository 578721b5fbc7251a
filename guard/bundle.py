"""The bundle: a policy folder compiled, named by its digest, verified whenever it is loaded.

Proxy and engine share a folder of bundles; each bundle is a folder named by its digest::

    <root>/<digest>/manifest.json        sha256 of each member; the digest is the sha256 of this
                   /targets.json         what each target asks for
                   /targets.txt          ids of the targets, one a line
                   /phrases.txt          normalised phrases, one a line, by target
                   /phrases.safetensors  target, slot [n] int32, hard [n] bool, turn [n] int16;
                                         until [n_targets] int32
                   /keywords.safetensors words, and which targets hold them; see guard/keywords.py
                   /calibration.json     by target, what its threshold rests on
                   /tenants.json         API keys as sha256, exemptions
                   /examples.safetensors unit sentence vectors [n, d] float32, targets [n] int32
                   /contrasts.safetensors
                                         unit directions [n, d] float32, targets [n] int32
                   /letters.safetensors  runs of letters of examples; see guard/letters.py
                   /statements.safetensors, /statements.json
                                         what answers say, names masked; see guard/statements.py
                   /words.txt            words that people ask by; see classifiers/spelling.py
                   /verbatim.safetensors Bloom filters of protected texts; see guard/verbatim.py

A bundle is written beside its place and renamed into it, so a reader sees all of it or none. It
holds the protected phrases in clear: it is written readable by its owner and group only.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from guard.canonical import canonical_json, canonical_object
from guard.errors import BundleError
from guard.keywords import KeywordTable
from guard.letter_table import LetterTable
from guard.phrase_table import BundlePhrase, PhraseTable
from guard.plan import BUNDLES_VARIABLE
from guard.statements import Statements
from guard.verbatim import RunFilter, RunFilters

FORMAT: Final = 13
# The last day of what does not expire.
NEVER: Final = np.iinfo(np.int32).max
# The phrase that every bundle forbids for the canary's own target; see guard/plan.py.
CANARY_TARGET: Final = "_canary"
CANARY_PHRASE: Final = "unlearn guard canary"

Mode = Literal["enforce", "observe"]
Respond = Literal["suppress", "refuse", "substitute", "observe"]
# What a name that prompts hold is of; `given` and `family` are words of a person's name.
NameKind = Literal["person", "given", "family", "title", "place", "institution", "day", "number"]
# How a request is compared with a target; see guard/policy/scoring.py, letters.py, keywords.py.
Method = Literal["neighbour", "contrast", "letters", "keywords"]
ContextAction = Literal["redact", "drop", "refuse", "allow"]
OnError = Literal["closed", "open"]
# What is done about answers to questions that nobody recognised.
Answers = Literal["watch", "pass"]

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class StandIn:
    """What the model is told in place of a name that a target is asked about with.

    Attributes:
        text: the name, as the policy writes it.
        instead: the stand-in, unless it cannot be had in a conversation.
    """

    text: str
    kind: NameKind
    instead: str


@dataclass(frozen=True, slots=True)
class BundleTarget:
    """One forget target, ready to enforce.

    Attributes:
        expires: last day that the target holds, ISO 8601, or empty for never.
        thresholds: by each method that it can be detected by, the least score that counts.
        aliases: normalised names; an occurrence in a text is a detection.
        stand_ins: empty unless it responds with ``substitute``.
    """

    id: str
    title: str
    reason: str
    owner: str
    mode: Mode
    respond: Respond
    refusal: str
    context: ContextAction
    always: bool
    expires: str
    thresholds: Mapping[Method, float]
    aliases: tuple[str, ...]
    stand_ins: tuple[StandIn, ...] = ()

    @property
    def holds_always(self) -> bool:
        """Whether its phrases are forbidden in every answer, detected or not."""
        return self.always and not self.only_observed

    @property
    def only_observed(self) -> bool:
        """Whether it is detected and logged, and nothing else."""
        return self.mode == "observe" or self.respond == "observe"


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who may call, by sha256 of their API keys, and which targets do not bind them."""

    name: str
    key_digests: tuple[str, ...]
    exempt: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A compiled policy.

    Attributes:
        examples: [n, d] float32, rows of unit length, the encoder's vectors of example prompts.
        example_targets: [n] int32, index of the target of each row.
        contrasts: [n, d] float32, unit directions in which a text points that names a target.
        contrast_targets: [n] int32, index of the target of each row, ascending.
        letters: what runs of letters its examples hold.
        encoder: digest of the encoder that made the vectors; another encoder must not be used.
        keywords: words that targets are described by; empty if none were trained.
        keyword_targets: [n] int32, the target of each row of ``keywords``; -1 for what is none.
        keyword_likeness: whether the likeness to a target's statements is added to what words say.
        statements: what answers about its targets say.
        words: those of aliases and example prompts, and each two that follow each other;
            normalised, distinct, sorted.
        verbatim: what keeps answers from repeating protected texts.
        calibration_json: see ``calibrations``; a record for auditors, read by no request.
    """

    digest: str
    targets: tuple[BundleTarget, ...]
    phrases: PhraseTable
    tenants: tuple[Tenant, ...] = ()
    on_error: OnError = "closed"
    answers: Answers = "watch"
    encoder: str = ""
    examples: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    example_targets: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    contrasts: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    contrast_targets: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    letters: LetterTable = field(default_factory=LetterTable)
    keywords: KeywordTable = field(default_factory=lambda: KeywordTable.of([], []))
    keyword_targets: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    keyword_likeness: bool = False
    statements: Statements = field(default_factory=Statements)
    words: tuple[str, ...] = ()
    verbatim: RunFilters = field(default_factory=lambda: RunFilters.of([]))
    calibration_json: bytes = b"{}"

    @property
    def calibrations(self) -> dict[str, Any]:
        """By id of the targets that have examples and by method, what a threshold rests on.

        JSON types, read anew each time; see ``guard.policy.calibrate.Calibration``.
        """
        made: dict[str, Any] = json.loads(self.calibration_json)
        return made

    def index_of(self, target_id: str) -> int:
        """Position of a target in ``targets``.

        Raises:
            KeyError: no such target.
        """
        for index, target in enumerate(self.targets):
            if target.id == target_id:
                return index
        raise KeyError(target_id)


@dataclass(frozen=True, slots=True, eq=False)
class EngineBundle:
    """What the engine needs of a bundle, quick to load however many targets there are.

    Attributes:
        target_ids: in the order that ``phrases`` counts them.
        until: [n_targets] int32, for targets that hold always the ordinal of their last day
            (``datetime.date.toordinal``; ``NEVER`` without one), 0 for the others.
        verbatim: what keeps answers from repeating protected texts.
    """

    digest: str
    target_ids: tuple[str, ...]
    until: npt.NDArray[np.int32]
    phrases: PhraseTable
    verbatim: RunFilters

    def slot_owner(self) -> npt.NDArray[np.int32]:
        """[n_slots] int32, the target of each slot: the targets themselves, then those of cues."""
        cues = self.phrases.target[self.phrases.slot != self.phrases.target]
        return np.concatenate([np.arange(len(self.target_ids), dtype=np.int32), cues])


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
        if not place.exists():
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


def _until(target: BundleTarget) -> int:
    if not target.holds_always:
        return 0
    return date.fromisoformat(target.expires).toordinal() if target.expires else NEVER


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
