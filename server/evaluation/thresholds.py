"""Bounds that a report must keep, so that a change of policy can be gated in CI."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from guard.errors import GuardError
from server.evaluation.findings import ARMS, Finding, Section

# A figure that rests on more requests that were refused as such says nothing of the model.
_MOST_REJECTED: Final = 0.1
_FORM: Final = "`version: 1` and `thresholds: [{figure: tofu.forget.facts.guarded, at_most: 0.5}]`"


class _Threshold(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    figure: str = Field(min_length=1)
    at_most: float | None = None
    at_least: float | None = None
    edge: Literal["value", "interval"] = "value"

    @model_validator(mode="after")
    def _one_bound(self) -> _Threshold:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("give either `at_most` or `at_least`")
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    thresholds: list[_Threshold] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A bound on one figure.

    Attributes:
        edge: ``value``, or ``interval`` to hold the interval's worse edge to the bound, which asks
            for as much data as it takes to be sure.
    """

    figure: str
    at_most: float | None
    at_least: float | None
    edge: Literal["value", "interval"]

    def __str__(self) -> str:
        bound = f"<= {self.at_most:g}" if self.at_most is not None else f">= {self.at_least:g}"
        return f"{self.figure} {bound}" + (" (interval)" if self.edge == "interval" else "")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A threshold, what was measured, and whether it is kept."""

    threshold: Threshold
    measured: float
    met: bool

    def json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "threshold": str(self.threshold),
            "measured": round(self.measured, 4),
            "met": self.met,
        }


def read_thresholds(file: Path) -> list[Threshold]:
    """The bounds of a YAML file.

    Raises:
        GuardError: it cannot be used; with the field and the fix.
    """
    try:
        found = _File.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise GuardError(
            f"`--thresholds`: `{file}` cannot be read as YAML ({type(error).__name__})",
            fix=f"write {_FORM}",
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise GuardError(
            f"`{file}`: `{field}`: {first['msg'].removeprefix('Value error, ').lower()}",
            fix=f"write {_FORM}",
        ) from error
    return [
        Threshold(each.figure, each.at_most, each.at_least, each.edge) for each in found.thresholds
    ]


def judge(thresholds: Iterable[Threshold], sections: Sequence[Section]) -> list[Verdict]:
    """Which bounds are kept. A figure that was not measured keeps none.

    Raises:
        GuardError: the report has no such figure, or no interval where one is asked for; or it
            rests on requests that were refused as such.
    """
    known = {finding.id: (finding, own) for own in sections for finding in own.findings}
    return [_verdict(each, known) for each in thresholds]


def _refuse_if_rejected(figure: str, section: Section) -> None:
    """An empty answer holds nothing back where the request was refused before any model had it."""
    arms = [arm for arm in ARMS if figure.endswith(f".{arm}")] or list(ARMS)
    for arm in arms:
        share = section.rejected.get(arm, 0.0)
        if share > _MOST_REJECTED:
            raise GuardError(
                f"`{figure}`: the {arm} endpoint rejected {100 * share:.0f} % of the requests",
                fix='see "not measured" in the report, and mend what it names',
            )


def _verdict(threshold: Threshold, known: dict[str, tuple[Finding, Section]]) -> Verdict:
    found, section = known.get(threshold.figure, (None, None))
    if found is None or section is None:
        raise GuardError(
            f"a threshold names `{threshold.figure}`, which this run has not measured",
            fix="correct the name (report.json lists them), or run the suite that measures it",
        )
    _refuse_if_rejected(threshold.figure, section)
    measured: float | None = found.estimate.value
    if threshold.edge == "interval":
        upper = threshold.at_most is not None
        measured = found.estimate.high if upper else found.estimate.low
    if measured is None:
        raise GuardError(
            f"`{threshold.figure}` has no interval: all of it is about one entity",
            fix="give data about several, or leave `edge: interval` out",
        )
    met = (threshold.at_most is None or measured <= threshold.at_most) and (
        threshold.at_least is None or measured >= threshold.at_least
    )
    return Verdict(threshold, measured, met)
