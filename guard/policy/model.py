"""A policy as loaded: every file it names read, every default applied, ready to compile."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from guard.bundle import Answers, Mode, OnError, Respond, StandIn
from guard.errors import PolicyError
from guard.policy.extraction import Extracted
from guard.policy.schema import Target, TenantEntry
from guard.policy.source import FieldPath, Source
from guard.statements import Statement
from guard.verbatim import RunFilter

if TYPE_CHECKING:
    from guard.policy.trained import Trained, TrainedTarget


@dataclass(frozen=True, slots=True)
class Place:
    """A value in a policy file, to speak of it in errors and warnings."""

    source: Source
    path: FieldPath

    def at(self, *more: str | int) -> Place:
        """A value inside this one."""
        return Place(self.source, (*self.path, *more))

    @property
    def field(self) -> str:
        """The dotted path, such as ``targets[0].detect.aliases``."""
        out = ""
        for part in self.path:
            out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else part
        return out

    @property
    def line(self) -> int:
        """1-based line in the file."""
        return self.source.line(self.path)

    def error(self, problem: str, fix: str) -> PolicyError:
        """A problem with this value."""
        return PolicyError(
            problem, fix=fix, file=self.source.file, line=self.line, field=self.field
        )

    def warning(self, problem: str, fix: str) -> PolicyWarning:
        """Something about this value that its owner should know."""
        return PolicyWarning(problem, fix, self.source.file, self.line, self.field)


@dataclass(frozen=True, slots=True)
class PolicyWarning:
    """Something that works but is likely not meant; its text reads like a ``PolicyError``'s.

    Attributes:
        field: empty where it is about the file as a whole; ``line`` then means nothing.
    """

    problem: str
    fix: str
    file: str
    line: int
    field: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: `{self.field}`" if self.field else self.file
        return f"{place}: {self.problem}; {self.fix}"


@dataclass(frozen=True, slots=True)
class PolicyTarget:
    """A target with its data.

    Attributes:
        spec: the target as written.
        place: where it is written.
        mode: the target's own, or the policy's default.
        respond: the target's own, or the policy's default; see ``guard.policy.load``.
        answers: (question, answer) pairs of the file that ``forbid.extract`` names.
        extracted: what ``forbid.extract`` found.
        statements: what the answers of ``forbid.extract`` say.
        verbatim: the corpus of ``forbid.verbatim``, as a filter.
        stand_ins: of the names in aliases and examples; empty unless it is to ``substitute``.
        learnt: what was trained of it, as it is now, if anything was.
    """

    spec: Target
    place: Place
    mode: Mode
    respond: Respond
    examples: tuple[str, ...] = ()
    counterexamples: tuple[str, ...] = ()
    answers: tuple[tuple[str, str], ...] = ()
    extracted: Extracted = field(default_factory=Extracted)
    statements: tuple[Statement, ...] = ()
    verbatim: RunFilter | None = None
    stand_ins: tuple[StandIn, ...] = ()
    learnt: TrainedTarget | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy folder or file, loaded and checked.

    Attributes:
        files: every file read or looked for, policies and data, and the folders where a pattern
            looks for them; for watching.
        trained: what `unlearn-guard train` has learnt from it, perhaps before it was changed.
    """

    targets: tuple[PolicyTarget, ...]
    tenants: tuple[TenantEntry, ...]
    on_error: OnError
    answers: Answers
    warnings: tuple[PolicyWarning, ...]
    files: tuple[Path, ...]
    trained: Trained | None = None
