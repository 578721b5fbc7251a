"""A policy's own tests, run through the detector that serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from classifiers.base import PlacedText
from classifiers.conversation import conversation_views
from classifiers.detector import Detector, merge
from guard.policy.model import Place, PolicyTarget


@dataclass(frozen=True, slots=True)
class PolicyTestResult:
    """One test and what the detector said.

    Attributes:
        place: where the test is written.
        score: the target's best score where it was detected, else None.
    """

    target: str
    place: Place
    prompt: str
    expect: Literal["detected", "clean"]
    score: float | None

    @property
    def passed(self) -> bool:
        """Whether the detector agrees with the test."""
        return (self.score is not None) == (self.expect == "detected")


async def run_policy_tests(
    targets: Sequence[PolicyTarget], detector: Detector
) -> list[PolicyTestResult]:
    """Run the tests of all targets; ``clean`` speaks of the test's own target only."""
    results = []
    for target in targets:
        for index, test in enumerate(target.spec.tests):
            views = conversation_views([PlacedText("prompt", test.prompt)])
            found = merge(await detector.detect(views))
            score = next((item.score for item in found if item.target == target.spec.id), None)
            results.append(
                PolicyTestResult(
                    target=target.spec.id,
                    place=target.place.at("tests", index),
                    prompt=test.prompt,
                    expect=test.expect,
                    score=score,
                )
            )
    return results
