"""What follows from the findings: which targets hold, and whether the request is refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from guard.bundle import BundleTarget
from guard.decision import Detection
from server.active import ActivePolicy
from server.detection import Findings


@dataclass(frozen=True, slots=True)
class Verdict:
    """Attributes:
    active: ids of the targets that the request touches and that are enforced for it: by the
        engine, the context filter and the scanner. Those that hold in every answer are, too.
    observed: ids of those that are only logged.
    refused_by: the target whose refusal is the answer, if one is.
    standing: how many targets hold in every answer to the caller.
    """

    active: tuple[str, ...]
    observed: tuple[str, ...] = ()
    refused_by: BundleTarget | None = None
    standing: int = 0


def judge(policy: ActivePolicy, findings: Findings, skip: frozenset[str]) -> Verdict:
    """Decide from the policy's settings alone.

    A target that any turn of the user touches has the request refused if it asks for that, in
    later turns too; one that only the context touches is enforced, and the context filter decides.

    Args:
        skip: ids of targets that do not bind the caller.
    """
    touched = [policy.targets[detection.target] for detection in findings.merged]
    return Verdict(
        active=tuple(sorted(target.id for target in touched if not target.only_observed)),
        observed=tuple(sorted(target.id for target in touched if target.only_observed)),
        refused_by=_refusing(policy, findings.user),
        standing=len(policy.standing) - len(policy.lifted(skip)),
    )


def _refusing(policy: ActivePolicy, detections: Iterable[Detection]) -> BundleTarget | None:
    """The best detected of the targets that refuse."""
    best = sorted(detections, key=lambda each: (-each.best.strength, each.target))
    for detection in best:
        target = policy.targets[detection.target]
        if target.respond == "refuse" and not target.only_observed:
            return target
    return None
