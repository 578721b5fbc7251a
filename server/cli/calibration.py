"""What ``unlearn-guard calibrate`` says of each target, as one record that all its outputs show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np

from guard.policy.assess import Kept, Tradeoff, kept, share_above, tradeoffs
from guard.policy.calibrate import Kind, Near
from guard.policy.compile import Compiled, CompiledTarget
from guard.policy.conformal import CONFIDENCE, Bound, bound, needed
from guard.policy.model import Policy, PolicyTarget

# How a target's threshold came about.
Origin = Literal["calibrated", "given", "names only"]

CLOSEST: Final = 5


@dataclass(frozen=True, slots=True)
class TargetReport:
    """One target's threshold and what it rests on.

    Attributes:
        rate: the share of harmless prompts that the policy allows to be taken for the target.
        bounds: by kind of harmless prompts; empty for a target of names only.
        recognised: share of its examples that the others recognise; None if they are too few.
        taken: of harmless prompts, by kind, the share that reaches the threshold.
        closest: harmless prompts that come nearest.
        remarks: what the policy's owner should know or do, in sentences.
    """

    id: str
    title: str
    origin: Origin
    threshold: float | None
    rate: float
    examples: int
    bounds: dict[Kind, Bound]
    recognised: float | None
    taken: dict[Kind, float]
    closest: tuple[Near, ...]
    remarks: tuple[str, ...]
    tradeoffs: tuple[Tradeoff, ...]
    kept: tuple[Kept, ...]

    def json(self) -> dict[str, Any]:
        """The record in JSON types."""
        out = asdict(self)
        for kind, own in self.bounds.items():
            out["bounds"][kind] |= {"holds": own.holds, "needed": needed(own.rate)}
        return out


def percent(share: float | None) -> str:
    """A share in per cent with one digit after the point; a dash for none."""
    return "-" if share is None else f"{share:.1%}"


def report(policy: Policy, compiled: Compiled) -> list[TargetReport]:
    """The record of each target, in the policy's order."""
    return [
        _target(target, made) for target, made in zip(policy.targets, compiled.targets, strict=True)
    ]


def _target(target: PolicyTarget, made: CompiledTarget) -> TargetReport:
    compared, rate = made.compared, target.spec.detect.max_false_positive_rate
    if compared is None:
        return TargetReport(
            made.id, target.spec.title, "names only", None, rate, 0, {}, None, {}, (),
            ("Only its names are looked for; there is nothing to calibrate.",), (), (),
        )  # fmt: skip
    negatives = {kind: own for kind, own in compared.negatives.items() if len(own.scores)}
    bounds = {kind: bound(own.scores, rate) for kind, own in negatives.items()}
    taken = {kind: float((own.scores >= made.threshold).mean()) for kind, own in negatives.items()}
    scored = [
        Near(kind, prompt, round(float(score), 4))
        for kind, own in negatives.items()
        for prompt, score in zip(own.prompts, own.scores, strict=True)
    ]
    scored.sort(key=lambda near: (-near.score, near.kind, near.prompt))
    above = sum(near.score >= made.threshold for near in scored)
    every = np.concatenate([own.scores for own in negatives.values()])
    return TargetReport(
        id=made.id,
        title=target.spec.title,
        origin="given" if compared.calibration is None else "calibrated",
        threshold=made.threshold,
        rate=rate,
        examples=len(target.examples),
        bounds=bounds,
        recognised=share_above(compared.own, made.threshold),
        taken=taken,
        closest=tuple(scored[: max(CLOSEST, above)]),
        remarks=tuple(_remarks(target, made, bounds, taken)),
        tradeoffs=tuple(tradeoffs(compared.own, every)) if len(compared.own) else (),
        kept=tuple(kept(compared.negatives["general"].scores)),
    )


def _remarks(
    target: PolicyTarget, made: CompiledTarget, bounds: dict[Kind, Bound], taken: dict[Kind, float]
) -> Sequence[str]:
    rate = target.spec.detect.max_false_positive_rate
    out = []
    near = bounds.get("counterexamples")
    if near is None:
        out.append(
            "It has no counterexamples: how many near misses are taken for it is not known. Add"
            f" `detect.counterexamples`; {needed(rate)} of them could promise {rate:.1%}."
        )
    elif not near.holds:
        out.append(
            f"{_count(near.n, 'counterexample')} cannot promise {rate:.1%} of near misses:"
            f" {near.expected:.1%} is to be expected at most, and {near.at_most:.1%} is sure"
            f" ({CONFIDENCE:.0%}). {needed(rate)} could promise it."
        )
    general = bounds.get("general")
    if general is not None and not general.holds:
        out.append(
            f"The {general.n} general prompts cannot promise {rate:.1%} of everyday prompts:"
            f" {general.at_most:.1%} is sure ({CONFIDENCE:.0%}). Counterexamples of your own help."
        )
    for kind, share in taken.items():
        if share > rate:
            what = "counterexamples" if kind == "counterexamples" else "general prompts"
            out.append(
                f"{share:.1%} of its {what} are taken for it, more than {rate:.1%}. "
                + (
                    "Remove counterexamples that say the same as an example."
                    if made.compared is not None and made.compared.calibration is not None
                    else "Raise `detect.threshold`, or remove it to have it calibrated."
                )
            )
    return out


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
