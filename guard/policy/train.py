"""What a whole policy teaches of each of its targets: the words that few others are asked with.

Which words those are, one target alone does not show: "author" and "born" stand in no everyday
prompt and in every biography. So training looks at all targets together, and takes the others'
prompts and answers for the near misses that a target must let pass. Where there are too few of
them, nothing is learnt: the words would only tell the target's subject from everyday talk. Too few
are fewer than can promise the rate that the policy allows.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, get_args

import numpy as np

from guard.bundle import Method
from guard.keywords import KeywordScores, KeywordTable, key_words
from guard.normalise import normalise
from guard.phrases import PhraseSearch
from guard.policy.calibrate import MANNERS, Calibration, Kind, Negatives, calibrate
from guard.policy.conformal import needed
from guard.policy.describing import Likeness, TargetScore
from guard.policy.model import Policy, PolicyTarget
from guard.policy.trained import Trained, TrainedTarget, digest_of
from guard.policy.vectors import Compared, Encode, general_prompts

# Of other targets' texts, evenly chosen.
MOST_OTHERS: Final = 2_000
# Among which a target's rate is shared.
METHODS: Final = len(get_args(Method))


@dataclass(frozen=True, slots=True)
class Text:
    """A prompt or an answer of a target; ``about`` is the same for a question and its answer."""

    text: str
    about: str


@dataclass(frozen=True, slots=True)
class Learnt:
    """What training came to.

    Attributes:
        compared: by target's id, how its prompts score; without those that have too few near
            misses.
        near: by target's id, how many near misses there were: counterexamples, and other targets'
            prompts and answers.
        asked: by target's id, how many it takes.
    """

    trained: Trained
    compared: dict[str, Compared]
    near: dict[str, int]
    asked: dict[str, int]


def texts_of(target: PolicyTarget) -> list[Text]:
    """The prompts and answers of a target that its words are taken from."""
    texts = [Text(prompt, normalise(prompt)) for prompt in target.examples]
    texts += [Text(answer, normalise(question)) for question, answer in target.answers]
    return texts


def train(
    policy: Policy,
    progress: Callable[[Sequence[PolicyTarget]], Iterable[PolicyTarget]] = iter,
    *,
    encode: Encode | None = None,
    encoder: str = "",
) -> Learnt:
    """Learn from a policy; the same policy always teaches the same.

    Args:
        progress: goes through the targets, and may show how far it has come.
        encode: the sentence encoder that texts are compared with answers by; None for words alone.
        encoder: the digest of that encoder.
    """
    texts = [texts_of(target) for target in policy.targets]
    held = [frozenset(word for own in each for word in key_words(own.text)) for each in texts]
    general = general_prompts()
    table = KeywordTable.of(held, general)
    scores = KeywordScores(table)
    likeness = None if encode is None else Likeness(encode)
    learnt: dict[str, TrainedTarget] = {}
    compared: dict[str, Compared] = {}
    near: dict[str, int] = {}
    asked = {
        target.spec.id: needed(target.spec.detect.max_false_positive_rate)
        for target in policy.targets
    }
    for row, target in enumerate(progress(policy.targets)):
        others = _evenly([own.text for other in (*texts[:row], *texts[row + 1 :]) for own in other])
        near[target.spec.id] = len(others) + len(target.counterexamples)
        made = None
        if texts[row] and near[target.spec.id] >= asked[target.spec.id]:
            score = TargetScore(scores, row, target, likeness)
            made = _compare(score, target, texts[row], others, general)
            compared[target.spec.id] = made
        learnt[target.spec.id] = TrainedTarget(
            row,
            digest_of(target),
            None if made is None else made.threshold,
            {} if made is None else _in_json_types(made.calibration),
        )
    return Learnt(Trained(table, learnt, encoder), compared, near, asked)


def _in_json_types(calibration: Calibration | None) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(asdict(calibration))) if calibration else {}
    return made


def _compare(
    score: TargetScore,
    target: PolicyTarget,
    texts: Sequence[Text],
    others: Sequence[str],
    general: Sequence[str],
) -> Compared:
    search = PhraseSearch([normalise(alias) for alias in target.spec.detect.aliases])

    def scored(prompts: Sequence[str]) -> Negatives:
        kept = [prompt for prompt in prompts if not search.search(prompt)]
        return Negatives(kept, np.array(score(kept), np.float32))

    negatives: dict[Kind, Negatives] = {
        "counterexamples": scored(target.counterexamples),
        "general": scored(general),
        "targets": scored(others),
    }
    own = np.array(_own(score, target, texts), np.float32)
    rate = target.spec.detect.max_false_positive_rate / METHODS
    calibration = calibrate(negatives, own, rate, MANNERS["keywords"])
    return Compared(calibration.threshold, rate, own, negatives, calibration)


def _own(score: TargetScore, target: PolicyTarget, texts: Sequence[Text]) -> list[float]:
    """Scores of the examples, each with what it and its answer alone hold left out."""
    words = [key_words(own.text) for own in texts]
    count = Counter(word for own in words for word in own)
    about: dict[str, Counter[str]] = {}
    for own, held in zip(texts, words, strict=True):
        about.setdefault(own.about, Counter()).update(held)
    alone = [
        frozenset(word for word, times in here.items() if times == count[word])
        for here in (about[normalise(prompt)] for prompt in target.examples)
    ]
    return score(target.examples, alone, own=True)


def _evenly(texts: Sequence[str]) -> list[str]:
    if len(texts) <= MOST_OTHERS:
        return list(texts)
    return [texts[place * len(texts) // MOST_OTHERS] for place in range(MOST_OTHERS)]
