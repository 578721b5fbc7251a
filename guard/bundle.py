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

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from guard.keywords import KeywordTable
from guard.letter_table import LetterTable
from guard.phrase_table import PhraseTable
from guard.statements import Statements
from guard.verbatim import RunFilters

FORMAT: Final = 15
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
