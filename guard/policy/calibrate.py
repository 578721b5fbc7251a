"""How much like a target a request must be to be taken for it: a threshold a method, from data.

Two samples speak. The *negatives* must be allowed to pass: the target's counterexamples, the
general prompts shipped with the package, the target's own examples asked about others, everyday
questions about the places that they name, and what other targets are asked with. Each kind is
bounded by itself (see ``guard/policy/conformal.py``), since a promise about everyday prompts says
nothing about near misses. The *typical* score is the
median over the examples of each one's score by the other examples: what a prompt about the target
that is no example looks like.

The threshold stands on the highest bound or, where the typical score is higher still, some of the
way from the bound to it, since users' harmless prompts come nearer to a target than any shipped set
knows. How far, and within which limits, is a matter of the method (``MANNERS``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from guard.bundle import Method
from guard.policy.conformal import Bound, Scores, bound

# Paraphrases seldom come nearer to an example; a bound above it leaves many of them unrecognised.
PARAPHRASE: Final = 0.75
# Keeps the negatives themselves below the threshold whatever the rounding of a batch.
MARGIN: Final = 0.005
# How many of the closest negatives a calibration names.
CLOSEST: Final = 5
# Of scores and thresholds, after the point.
_DIGITS: Final = 4

Kind = Literal["counterexamples", "general", "others", "places", "targets"]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a method's scores become a threshold.

    Attributes:
        floor, cap: what it never leaves.
        typical: stands in for the typical score where there is only one example, and limits it
            where the examples are copies of each other.
        towards: how far it stands from the bound to the typical score, a share.
    """

    floor: float
    cap: float
    typical: float
    towards: float


# `towards` is chosen by `make bench NAME=detect-towards`, on authors that no other figure has as
# targets. Paraphrases of a question come to 0.9 of it with all-MiniLM-L6-v2.
MANNERS: Final[Mapping[Method, Manner]] = {
    "neighbour": Manner(floor=0.55, cap=0.95, typical=0.85, towards=0.6),
    "contrast": Manner(floor=0.05, cap=1.0, typical=1.0, towards=0.3),
    "letters": Manner(floor=0.35, cap=1.0, typical=1.0, towards=0.0),
    # Chosen on the same authors, by the descriptions of them in load_tests/unnamed.jsonl.
    # One word shared is never enough, however rare: it comes to 0.58 at most.
    "keywords": Manner(floor=0.6, cap=10.0, typical=10.0, towards=0.2),
}

# By letters, where no example about others could show what of an example is its own: a copy of it
# with its words worn counts, and nothing else. The same about others comes to 0.83 at most.
NAMELESS: Final = Manner(floor=0.75, cap=1.0, typical=1.0, towards=0.0)


@dataclass(frozen=True, slots=True)
class Negatives:
    """Prompts that must pass, and their scores ([n] float32) in the same order."""

    prompts: Sequence[str]
    scores: Scores


@dataclass(frozen=True, slots=True)
class Near:
    """A prompt that must pass, and how near it comes."""

    kind: Kind
    prompt: str
    score: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """A calibrated threshold and what it rests on.

    Attributes:
        rate: the share of harmless prompts that may be taken for the target, as the policy says.
        bounds: by kind of negatives.
        bound: the highest of them, with a margin for rounding.
        typical: typical score of a prompt about the target.
        cap: the highest threshold that the method's manner allows.
        passed: share of the negatives that reach the threshold (false positives).
        closest: the highest negatives, at most ``CLOSEST`` and those that reach the threshold.
    """

    threshold: float
    rate: float
    bounds: Mapping[Kind, Bound]
    bound: float
    typical: float
    cap: float
    passed: float
    closest: tuple[Near, ...]

    @property
    def capped(self) -> bool:
        """Whether near misses are so close that no threshold that is allowed lets them pass."""
        return self.bound > self.cap


def calibrate(
    negatives: Mapping[Kind, Negatives], own: Scores, rate: float, manner: Manner
) -> Calibration:
    """Calibrate one target by one method.

    Args:
        negatives: by kind; kinds without prompts are left out of the bounds.
        own: [n] of each example by the others; empty where there is only one.
        rate: the share of harmless prompts of each kind that may be taken for the target.

    Raises:
        ValueError: there are no negatives.
    """
    bounds = {kind: bound(own.scores, rate) for kind, own in negatives.items() if len(own.scores)}
    if not bounds:
        raise ValueError("there are no negatives to calibrate with")
    highest = max(each.score for each in bounds.values()) + MARGIN
    typical = min(manner.typical, float(np.median(own))) if len(own) else manner.typical
    beyond = highest + manner.towards * max(0.0, typical - highest)
    threshold = round(min(manner.cap, max(manner.floor, beyond)), _DIGITS)
    scores = np.concatenate([own.scores for own in negatives.values()])
    above = int((scores >= threshold).sum())
    return Calibration(
        threshold=threshold,
        rate=rate,
        bounds=bounds,
        bound=highest,
        typical=typical,
        cap=manner.cap,
        passed=above / len(scores),
        closest=_closest(negatives, scores, max(CLOSEST, above)),
    )


def _closest(negatives: Mapping[Kind, Negatives], scores: Scores, count: int) -> tuple[Near, ...]:
    """The highest of all negatives, by their rounded scores."""
    count = min(count, len(scores))
    # Among those whose scores round alike, which comes first is not for the score to say.
    least = float(np.partition(scores, -count)[-count]) - 2 * 10**-_DIGITS if count else 0.0
    near = [
        Near(kind, own.prompts[place], round(float(own.scores[place]), _DIGITS))
        for kind, own in negatives.items()
        for place in np.flatnonzero(own.scores >= least).tolist()
    ]
    near.sort(key=lambda each: (-each.score, each.kind, each.prompt))
    return tuple(near[:count])
