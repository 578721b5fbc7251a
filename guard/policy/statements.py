"""A target's answers to statements that are known again under another name.

The threshold of a target is ``FLOOR``, or higher where prompts that must pass come nearer; it is a
bound like those of ``guard/policy/calibrate.py``. A sentence must tell one of the facts as well.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np

from guard.context import split_sentences
from guard.normalise import SEP, normalise
from guard.phrases import PhraseSearch
from guard.pieces import pieces_of
from guard.policy.conformal import bound
from guard.policy.extract import key_facts
from guard.policy.masking import MASK, without_names
from guard.policy.model import Policy, PolicyTarget
from guard.policy.named import names_in
from guard.policy.scoring import Vectors
from guard.policy.telling import telling_words
from guard.policy.vectors import Encode, general_prompts
from guard.statements import FactIndex, Statement, Statements

# Chosen on pairs of authors whom no figure has as targets: of sentences about ten others, one in
# 200 comes nearer and tells one of the facts; of renamed sentences with a key fact, four in five.
FLOOR: Final = 0.8
MARGIN: Final = 0.005
# A word that more of a target's answers tell is about its kind, not about it.
_MAX_ANSWERS: Final = 2
_NAMES: Final = frozenset({"person", "given", "family"})


def statements_of(
    pairs: Sequence[tuple[str, str]], aliases: Sequence[str], prompts: Sequence[str]
) -> tuple[Statement, ...]:
    """The sentences of some answers that tell a fact, each once.

    Args:
        pairs: (question, answer).
        aliases, prompts: what the target is asked by.
    """
    if not pairs:
        return ()
    asked = [*prompts, *(question for question, _ in pairs)]
    names = [name.text for name in names_in(aliases, asked) if name.kind in _NAMES]
    names = sorted({*aliases, *names}, key=len, reverse=True)
    own = {normalise(name) for name in names}
    told = [telling_words([answer]) for _, answer in pairs]
    counts = Counter(word for words in told for word in words)
    found: dict[Statement, None] = {}
    for (question, answer), words in zip(pairs, told, strict=True):
        asked_with = set(normalise(question).split(SEP))
        facts = [normalise(fact) for fact in key_facts(question, answer)]
        facts += [w for w in words if counts[w] <= _MAX_ANSWERS and w not in asked_with]
        for span in split_sentences(answer):
            text = answer[span.start : span.end].strip()
            said = f"{SEP}{normalise(text)}{SEP}"
            here = [f for f in dict.fromkeys(facts) if f and f not in own and _in(f, said)]
            if here:
                found.setdefault(Statement(masked(text, names), tuple(here)))
    return tuple(found)


def masked(text: str, names: Sequence[str]) -> str:
    """A text with ``MASK`` in the place of names, longer ones first."""
    for name in names:
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", MASK, text)
    return text


def _in(fact: str, said: str) -> bool:
    return f"{SEP}{fact}{SEP}" in said


class KnownStatements:
    """What the last compilation made of each target's statements, for the next by the same encoder.

    As ``guard.policy.vectors.KnownVectors``.
    """

    def __init__(self) -> None:
        self.made: dict[bytes, tuple[Vectors, float]] = {}


def compile_statements(
    policy: Policy, encode: Encode | None, known: KnownStatements | None = None
) -> Statements:
    """The statements of a policy's targets, with their thresholds; none without an encoder."""
    known = known or KnownStatements()
    made: dict[bytes, tuple[Vectors, float]] = {}
    rows: list[Vectors] = []
    owners: list[int] = []
    facts: list[tuple[str, ...]] = []
    thresholds: dict[int, float] = {}
    for index, target in enumerate(policy.targets):
        if encode is None or not target.statements:
            continue
        key = _key(target)
        vectors, thresholds[index] = made[key] = known.made.get(key) or _compile(target, encode)
        rows.append(vectors)
        owners += [index] * len(vectors)
        facts += [each.facts for each in target.statements]
    known.made = made
    if not rows:
        return Statements()
    return Statements(np.concatenate(rows), np.array(owners, np.int32), tuple(facts), thresholds)


def _key(target: PolicyTarget) -> bytes:
    detect = target.spec.detect
    said = (
        target.statements, target.counterexamples, target.examples, detect.aliases,
        detect.max_false_positive_rate,
    )  # fmt: skip
    return hashlib.sha256(repr(said).encode("utf-8", "surrogatepass")).digest()


def _compile(target: PolicyTarget, encode: Encode) -> tuple[Vectors, float]:
    """[n, d] a target's statements, and its threshold."""
    vectors = encode([each.masked for each in target.statements])
    index = FactIndex([each.facts for each in target.statements])
    own = PhraseSearch([normalise(alias) for alias in target.spec.detect.aliases])
    prompts = (
        [_pieces(prompt) for prompt in target.counterexamples],
        [pieces for prompt, pieces in _general().items() if not own.search(prompt)],
    )
    threshold = FLOOR
    for kind in prompts:
        scores = np.full(len(kind), -1.0, np.float32)
        for place, pieces in enumerate(kind):
            for piece, words in pieces:
                if told := sorted(index.told(words)):
                    near = encode(without_names(piece)) @ vectors[told].T
                    scores[place] = max(scores[place], near.max())
        if len(kind):
            highest = bound(scores, target.spec.detect.max_false_positive_rate).score
            threshold = max(threshold, highest + MARGIN)
    return vectors, round(threshold, 4)


def _pieces(prompt: str) -> list[tuple[str, str]]:
    """The pieces of a prompt, each normalised beside."""
    return [(piece, normalise(piece)) for piece in pieces_of(prompt)]


@cache
def _general() -> dict[str, list[tuple[str, str]]]:
    return {prompt: _pieces(prompt) for prompt in general_prompts()}
