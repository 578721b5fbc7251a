"""How prompts are scored while a policy is trained, and that requests are scored alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from classifiers.keywords import Keywords
from guard.keywords import LIKENESS, KeywordScores
from guard.pieces import pieces_of
from guard.policy.compile import compile_policy
from guard.policy.describing import Likeness, TargetScore
from guard.policy.load import load_policy
from guard.policy.model import Policy
from guard.policy.problems import InvalidPolicyError
from guard.policy.train import train
from guard.policy.trained import Trained, read_trained, trained_path, write_trained
from tests.guard.policy.test_trained import lives
from tests.guard.policy.test_vectors import encode_words


def learnt(path: Path) -> tuple[Policy, Trained]:
    """A policy, trained with answers compared; also written."""
    policy = load_policy(path)
    made = train(policy, encode=encode_words, encoder="e").trained
    write_trained(made, trained_path(path))
    return policy, made


def test_a_request_is_scored_as_training_scored_it(tmp_path: Path) -> None:
    path = lives(tmp_path)
    policy, made = learnt(path)
    bundle = compile_policy(path, tmp_path / "bundles", encode=encode_words, encoder="e")
    assert bundle.keyword_likeness
    keywords = Keywords(bundle)
    assert keywords.compare
    prompts = [
        "Who knows the Karachi geologist? Everybody who read them knows it is granite.",
        "It is granite, as everybody who read them knows.",
        "Where was the third novelist of the village born?",
        "Nothing of this.",
    ]
    scores, likeness = KeywordScores(made.table), Likeness(encode_words)
    asked = TargetScore(scores, made.targets["quay"].row, policy.targets[0], likeness)
    assert asked(prompts)[0] >= bundle.targets[0].thresholds["keywords"]
    for prompt, wanted in zip(prompts, asked(prompts), strict=True):
        pieces = pieces_of(prompt)
        found = keywords.best(pieces, encode_words(pieces)).get(0, 0.0)
        # What words alone leave out of reach is not compared with statements.
        if wanted >= bundle.targets[0].thresholds["keywords"]:
            assert found == pytest.approx(wanted, abs=1e-5)
        else:
            assert found <= wanted + 1e-5


def test_likeness_counts_only_beside_a_shared_word(tmp_path: Path) -> None:
    policy, made = learnt(lives(tmp_path))
    words = KeywordScores(made.table)
    row = made.targets["quay"].row
    alone = TargetScore(words, row, policy.targets[0], None)
    both = TargetScore(
        words, row, policy.targets[0], Likeness(lambda texts: np.ones((len(texts), 1), np.float32))
    )
    assert both(["zzz"]) == [0.0]
    assert both(["granite"]) == [pytest.approx(alone(["granite"])[0] + LIKENESS)]


def test_a_question_is_scored_without_its_own_answer(tmp_path: Path) -> None:
    policy, made = learnt(lives(tmp_path))
    target = policy.targets[0]
    score = TargetScore(
        KeywordScores(made.table), made.targets["quay"].row, target, Likeness(encode_words)
    )
    question = target.answers[0][0]
    # Of other answers only the frame is like it.
    assert score([question], own=True)[0] <= score([question])[0]
    said = [each.masked for each in target.statements]
    assert len(score._by_question) == len(target.answers)
    assert set.union(*score._by_question.values()) == set(said)


def test_another_encoder_is_told_from_the_one_it_was_trained_with(tmp_path: Path) -> None:
    path = lives(tmp_path)
    learnt(path)
    again = read_trained(trained_path(path))
    assert again is not None
    assert again.encoder == "e"
    with pytest.raises(InvalidPolicyError, match="`unlearn-guard train` with this encoder"):
        compile_policy(path, tmp_path / "bundles", encode=encode_words, encoder="other")


def test_words_alone_are_learnt_without_an_encoder_and_serve_with_any(tmp_path: Path) -> None:
    path = lives(tmp_path)
    write_trained(train(load_policy(path)).trained, trained_path(path))
    bundle = compile_policy(path, tmp_path / "bundles", encode=encode_words, encoder="any")
    assert not bundle.keyword_likeness
    assert not Keywords(bundle).compare
