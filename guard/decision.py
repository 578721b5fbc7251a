"""What was decided about one request, as data: detections, context edits, outcome.

These are made by the code that enforces, and are what the decision log records. They hold ids,
digests, offsets and scores, never protected text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

EvidenceKind = Literal["alias", "neighbour"]
Outcome = Literal["passed", "constrained", "substituted", "refused", "cut", "observed", "failed"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a target counts as touched.

    Attributes:
        place: which text, as a path into the request, such as ``messages[2].content``.
        score: 1.0 for an alias; cosine similarity for a neighbour.
        via: how the text hid it, outermost first (``base64 of rot13``); empty if it did not.
    """

    kind: EvidenceKind
    place: str
    score: float
    via: str = ""

    @property
    def reason(self) -> str:
        """In words: ``alias via base64``."""
        return f"{self.kind} via {self.via}" if self.via else self.kind


@dataclass(frozen=True, slots=True)
class Detection:
    """A forget target that a request touches, with all evidence at or above its threshold."""

    target: str
    score: float
    threshold: float
    evidence: tuple[Evidence, ...]


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
