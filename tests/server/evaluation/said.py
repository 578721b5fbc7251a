"""Answers by arm without an endpoint, for the tests of what suites make of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from server.evaluation.findings import Finding, Section
from server.evaluation.requests import Answer, Request

Say = Callable[[str, dict[str, Any]], Answer | str]


@dataclass(frozen=True)
class Canned:
    """Each arm says what its function makes of the last text that was asked."""

    by_arm: Mapping[str, Say]

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(self.by_arm)

    def __call__(self, arm: str, request: Request) -> Answer:
        fields = request.fields()
        asked = fields["messages"][-1]["content"] if "messages" in fields else fields["prompt"]
        said = self.by_arm[arm](asked, {**fields, "again": request.again})
        return said if isinstance(said, Answer) else Answer((said,), ("stop",), tokens=4, seconds=1)

    def holds(self, arm: str, request: Request) -> bool:
        return arm in self.by_arm


def by_id(sections: list[Section]) -> dict[str, Finding]:
    """All findings, none twice."""
    every = [finding for section in sections for finding in section.findings]
    found = {finding.id: finding for finding in every}
    assert len(found) == len(every)
    return found
