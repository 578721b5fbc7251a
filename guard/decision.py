"""What was decided about one request, as data: detections, context edits, outcome.

These are made by the code that enforces, and are what the decision log records. They hold ids,
digests, offsets and scores, never protected text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

EvidenceKind = Literal["alias", "neighbour", "contrast", "letters", "keywords", "statement"]
Outcome = Literal["passed", "constrained", "substituted", "refused", "cut", "observed", "failed"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a target counts as touched.

    Attributes:
        place: which text, as a path into the request, such as ``messages[2].content``.
        score: 1.0 for an alias; else as ``guard.policy.scoring``, ``guard.letters`` and
            ``guard.keywords`` say.
        threshold: the least score of its kind that counts.
        via: how the text hid it, outermost first (``base64 of rot13``); empty if it did not.
    """

    kind: EvidenceKind
    place: str
    score: float
    threshold: float = 1.0
    via: str = ""

    @property
    def reason(self) -> str:
        """In words: ``alias via base64``."""
        return f"{self.kind} via {self.via}" if self.via else self.kind

    @property
    def strength(self) -> float:
        """How sure it is, to order by: how far above its threshold; a name is certain."""
        return math.inf if self.kind == "alias" else self.score / self.threshold


@dataclass(frozen=True, slots=True)
class Detection:
    """A forget target that a request touches, with all evidence that counts; at least one piece."""

    target: str
    evidence: tuple[Evidence, ...]

    @property
    def best(self) -> Evidence:
        """The strongest."""
        return max(self.evidence, key=lambda each: each.strength)

    @property
    def score(self) -> float:
        """The strongest evidence's score."""
        return self.best.score

    @property
    def threshold(self) -> float:
        """The strongest evidence's threshold."""
        return self.best.threshold


@dataclass(frozen=True, slots=True)
class Substitution:
    """How many names of a target the model was told stand-ins for, and in how many places."""

    target: str
    names: int
    places: int


@dataclass(frozen=True, slots=True)
class ContextEdit:
    """A span of the prompt that was withheld from the model.

    Attributes:
        start: offset of the first withheld character in the text at ``place``.
        end: offset after the last.
    """

    place: str
    start: int
    end: int
    target: str
    action: Literal["redact", "drop"]
