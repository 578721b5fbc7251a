"""What a suite finds: figures with their intervals, what to draw, and the worst cases in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, Protocol

from server.evaluation.estimates import Estimate
from server.evaluation.requests import Answer, Request

Arm = Literal["guarded", "unguarded", "retain_only"]
ARMS: Final[tuple[Arm, ...]] = ("guarded", "unguarded", "retain_only")
Better = Literal["lower", "higher", "neither"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One figure.

    Attributes:
        id: dotted, such as ``tofu.forget.facts.guarded``; thresholds name it.
        what: in words.
        unit: such as ``% of facts``.
        better: which way is better for the guard; ``neither`` where it only informs.
        note: what a reader must know to read it right.
    """

    id: str
    what: str
    unit: str
    better: Better
    estimate: Estimate
    note: str = ""

    def json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "id": self.id,
            "what": self.what,
            "unit": self.unit,
            "better": self.better,
            **self.estimate.json(),
            **({"note": self.note} if self.note else {}),
        }


@dataclass(frozen=True, slots=True)
class Case:
    """One answer to be read: what was asked, what must not be said, and what was.

    Attributes:
        said: why it stands here, such as the facts that it says.
        answers: by arm.
    """

    id: str
    entity: str
    asked: str
    gold: str
    said: str
    answers: Mapping[str, str]

    def json(self) -> dict[str, Any]:
        """For the report."""
        return {**asdict(self), "answers": dict(self.answers)}


@dataclass(frozen=True, slots=True)
class Chart:
    """Figures side by side.

    Attributes:
        kind: ``bars`` (one row for each label), ``lines`` (x over y) or ``shares`` (a cumulative
            distribution; each series' points are one value for each thing).
        series: by arm; points as (label or x, value, low, high).
    """

    title: str
    kind: Literal["bars", "lines", "shares"]
    unit: str
    series: Mapping[str, Sequence[tuple[str | float, float, float | None, float | None]]]
    x_label: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """What one suite found.

    Attributes:
        about: how it was measured, in a few sentences.
        not_applicable: what was not measured, and why: never left out in silence.
        rejected: by arm, the share of its requests that were refused as such, where there are any.
    """

    id: str
    title: str
    about: str
    findings: Sequence[Finding]
    charts: Sequence[Chart] = ()
    cases: Sequence[Case] = ()
    not_applicable: Sequence[tuple[str, str]] = ()
    rejected: Mapping[str, float] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "id": self.id,
            "title": self.title,
            "about": self.about,
            "findings": [each.json() for each in self.findings],
            "worst_cases": [each.json() for each in self.cases],
            "not_applicable": [{"what": w, "why": why} for w, why in self.not_applicable],
            **({"rejected": dict(self.rejected)} if self.rejected else {}),
        }


class Said(Protocol):
    """The answers of every arm."""

    @property
    def arms(self) -> tuple[str, ...]:
        """Those that have answered everything, in the order of `ARMS`."""

    def __call__(self, arm: str, request: Request) -> Answer:
        """What an arm said; every first request of a suite was asked of every arm."""

    def holds(self, arm: str, request: Request) -> bool:
        """Whether an arm has answered what was asked more."""


class Suite(Protocol):
    """One kind of measurement."""

    @property
    def name(self) -> str:
        """By which it is chosen."""

    def requests(self, arm: str) -> list[Request]:
        """What it asks of an arm."""

    def follow_up(self, said: Said) -> Mapping[str, list[Request]]:
        """What it asks more, by arm, once the first answers are there; often nothing."""

    def score(self, said: Said) -> list[Section]:
        """What the answers show."""


def finding(
    id_: str, what: str, unit: str, better: Better, estimate: Estimate | None, note: str = ""
) -> list[Finding]:
    """A finding where there is an estimate, else none."""
    return [] if estimate is None else [Finding(id_, what, unit, better, estimate, note)]


def bars(title: str, unit: str, rows: Sequence[tuple[str, str, Estimate | None]]) -> Chart:
    """A chart of (label, arm, estimate)."""
    series: dict[str, list[tuple[str | float, float, float | None, float | None]]] = {}
    for label, arm, each in rows:
        if each is not None:
            series.setdefault(arm, []).append((label, each.value, each.low, each.high))
    return Chart(title, "bars", unit, series)


def lines(
    title: str, unit: str, x_label: str, rows: Sequence[tuple[float, str, Estimate | None]]
) -> Chart:
    """A chart of (x, arm, estimate)."""
    series: dict[str, list[tuple[str | float, float, float | None, float | None]]] = {}
    for x, arm, each in rows:
        if each is not None:
            series.setdefault(arm, []).append((x, each.value, each.low, each.high))
    return Chart(title, "lines", unit, series, x_label)


def shares(title: str, unit: str, values: Mapping[str, Sequence[float]]) -> Chart:
    """A chart of cumulative distributions."""
    return Chart(
        title, "shares", "share of items",
        {arm: [(value, value, None, None) for value in own] for arm, own in values.items()},
        unit,
    )  # fmt: skip
