"""What ``unlearn-guard calibrate`` says of each target, as one record that all its outputs show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np

from guard.bundle import Method
from guard.policy.assess import Kept, Tradeoff, kept, share_above, tradeoffs
from guard.policy.calibrate import Kind, Near
from guard.policy.compile import Compiled, CompiledTarget
from guard.policy.conformal import CONFIDENCE, Bound, bound, needed
from guard.policy.model import Policy, PolicyTarget
from guard.policy.vectors import Compared

# How a threshold came about.
Origin = Literal["calibrated", "given"]

CLOSEST: Final = 5


@dataclass(frozen=True, slots=True)
class MethodReport:
    """A target's threshold by one method, and what it rests on.

    Attributes:
        rate: the share of harmless prompts that may be taken for the target by this method.
        bounds: by kind of harmless prompts.
        recognised: share of its examples that the others recognise; None if they are too few.
        taken: of harmless prompts, by kind, the share that reaches the threshold.
        closest: harmless prompts that come nearest.
    """

    method: Method
    origin: Origin
    threshold: float
    rate: float
    bounds: dict[Kind, Bound]
    recognised: float | None
    taken: dict[Kind, float]
    closest: tuple[Near, ...]
    tradeoffs: tuple[Tradeoff, ...]
    kept: tuple[Kept, ...]

    def json(self) -> dict[str, Any]:
        """The record in JSON types."""
        out = asdict(self)
        for kind, own in self.bounds.items():
            out["bounds"][kind] |= {"holds": own.holds, "needed": needed(own.rate)}
        return out


@dataclass(frozen=True, slots=True)
class TargetReport:
    """What is known of how well one target is detected.

    Attributes:
        rate: the share of harmless prompts that the policy allows to be taken for the target.
        recognised: share of its examples that the others recognise by any method; None if they
            are too few.
        methods: none where only names are looked for.
        remarks: what the policy's owner should know or do, in sentences.
    """

    id: str
    title: str
    rate: float
    examples: int
    recognised: float | None
    methods: tuple[MethodReport, ...]
    remarks: tuple[str, ...]

    def json(self) -> dict[str, Any]:
        """The record in JSON types."""
        return asdict(self) | {"methods": [method.json() for method in self.methods]}


def percent(share: float | None) -> str:
    """A share in per cent with one digit after the point, small ones with more; a dash for none."""
    if share is None:
        return "-"
    return f"{share:.1%}" if share >= 0.005 or share == 0 else f"{share * 100:.3g}%"


def report(policy: Policy, compiled: Compiled) -> list[TargetReport]:
    """The record of each target, in the policy's order."""
    return [
        _target(target, made) for target, made in zip(policy.targets, compiled.targets, strict=True)
    ]


def _target(target: PolicyTarget, made: CompiledTarget) -> TargetReport:
    methods = tuple(method_report(method, each) for method, each in made.compared.items())
    remarks = [remark for method in methods for remark in _remarks(target, method)]
    if target.learnt is not None:
        remarks.append("Its key words were trained; `unlearn-guard train` shows how sure they are.")
    elif not methods:
        remarks = ["Only its names are looked for; there is nothing to calibrate."]
    return TargetReport(
        id=made.id,
        title=target.spec.title,
        rate=target.spec.detect.max_false_positive_rate,
        examples=len(target.examples),
        recognised=_by_any(list(made.compared.values())),
        methods=methods,
        remarks=tuple(dict.fromkeys(remarks)),
    )


def _by_any(methods: Sequence[Compared]) -> float | None:
    """The share of the examples that the others recognise by any method that can tell.

    Methods may cut a long example into windows, each in its own way; then the best of them speaks.
    """
    own = [each.own >= each.threshold for each in methods if len(each.own)]
    if not own:
        return None
    if len({len(each) for each in own}) > 1:
        return max(float(each.mean()) for each in own)
    return float(np.logical_or.reduce(own).mean())


def method_report(method: Method, compared: Compared) -> MethodReport:
    """The record of one method, by which something is compared."""
    negatives = {kind: own for kind, own in compared.negatives.items() if len(own.scores)}
    scored = [
        Near(kind, prompt, round(float(score), 4))
        for kind, own in negatives.items()
        for prompt, score in zip(own.prompts, own.scores, strict=True)
    ]
    scored.sort(key=lambda near: (-near.score, near.kind, near.prompt))
    above = sum(near.score >= compared.threshold for near in scored)
    every = np.concatenate([own.scores for own in negatives.values()])
    return MethodReport(
        method=method,
        origin="given" if compared.calibration is None else "calibrated",
        threshold=compared.threshold,
        rate=compared.rate,
        bounds={kind: bound(own.scores, compared.rate) for kind, own in negatives.items()},
        recognised=share_above(compared.own, compared.threshold),
        taken={
            kind: float((own.scores >= compared.threshold).mean())
            for kind, own in negatives.items()
        },
        closest=tuple(scored[: max(CLOSEST, above)]),
        tradeoffs=tuple(tradeoffs(compared.own, every)) if len(compared.own) else (),
        kept=tuple(kept(compared.negatives["general"].scores)),
    )


def _remarks(target: PolicyTarget, method: MethodReport) -> Sequence[str]:
    rate = method.rate
    out = []
    near = method.bounds.get("counterexamples")
    if near is None:
        out.append(
            "It has no counterexamples: how many near misses are taken for it is not known. Add"
            f" `detect.counterexamples`; {needed(rate)} of them could promise {percent(rate)}."
        )
    elif not near.holds:
        out.append(
            f"{_count(near.n, 'counterexample')} cannot promise {percent(rate)} of near misses:"
            f" {near.expected:.1%} is to be expected at most, and {near.at_most:.1%} is sure"
            f" ({CONFIDENCE:.0%}). {needed(rate)} could promise it."
        )
    general = method.bounds.get("general")
    if general is not None and not general.holds:
        out.append(
            f"The {general.n} general prompts cannot promise {percent(rate)} of everyday prompts:"
            f" {general.at_most:.1%} is sure ({CONFIDENCE:.0%}). Counterexamples of your own help."
        )
    whats: dict[Kind, str] = {"counterexamples": "counterexamples", "general": "general prompts"}
    for kind, what in whats.items():
        share = method.taken.get(kind, 0.0)
        if share > target.spec.detect.max_false_positive_rate:
            out.append(
                f"{share:.1%} of its {what} are taken for it, more than"
                f" {percent(target.spec.detect.max_false_positive_rate)}. "
                + (
                    "Remove counterexamples that say the same as an example."
                    if method.origin == "calibrated"
                    else "Raise `detect.threshold`, or remove it to have it calibrated."
                )
            )
    return out


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
