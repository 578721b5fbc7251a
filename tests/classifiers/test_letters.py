from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from classifiers import BatchingEncoder, Detector, PlacedText, SentenceEncoder
from classifiers.letters import Letters
from guard.bundle import Bundle
from guard.letter_table import ExampleRuns, LetterTable
from guard.letters import LetterScores, runs_of
from guard.phrase_table import PhraseTable
from guard.policy.compile import compile_policy
from tests.classifiers.bundles import bundle_target
from tests.guard.policy.writing import target, write

EXAMPLES = [
    "Where was Hina Ameen born?",
    "What did Hina Ameen write?",
    "Who taught Hina Ameen geology?",
    "Which prize did Hina Ameen win?",
]
OWN = [(0, "mirelle quay"), (0, "saltgate"), (2, "hina ameen")]
TEXTS = ["mirelle quay of saltgate", "hina ameen", "hinaa meen, mirele quai", "nobody"]


def letters_of(*least: float | None) -> Letters:
    targets = [
        bundle_target(f"t{place}", thresholds={} if each is None else {"letters": each})
        for place, each in enumerate(least)
    ]
    table = LetterTable.of((owner, ExampleRuns(runs_of(text))) for owner, text in OWN)
    return Letters(Bundle("d", tuple(targets), PhraseTable.of([], 0), letters=table))


def test_of_several_texts_and_examples_the_nearest_count_for_each_target() -> None:
    table = LetterTable.of((owner, ExampleRuns(runs_of(text))) for owner, text in OWN)
    shared = LetterScores(table).scores(TEXTS)
    wanted: dict[int, float] = {}
    for example, score in zip(shared.examples.tolist(), shared.scores.tolist(), strict=True):
        wanted[OWN[example][0]] = max(score, wanted.get(OWN[example][0], 0.0))
    found = letters_of(0.01, 0.01, 0.01).best_of_each([TEXTS, []])
    assert found == [pytest.approx(wanted), {}]


def test_each_group_of_texts_has_its_own_scores_above_the_thresholds() -> None:
    found = letters_of(0.6, None, 0.9).best_of_each([[text] for text in TEXTS])
    assert [sorted(own) for own in found] == [[0], [2], [], []]


def test_a_target_without_a_threshold_is_never_found() -> None:
    assert letters_of(None, None, None).best_of_each([["hina ameen"]]) == [{}]


def test_a_bundle_without_letters_scores_nothing() -> None:
    letters = Letters(Bundle("d", (), PhraseTable.of([], 0)))
    assert not letters
    assert letters.best_of_each([["hina ameen"], []]) == [{}, {}]


@pytest.mark.parametrize(
    "asked",
    [
        "whrwas hnmeen brnn where hinaameen born",
        "Hiina Ameeen, wehre brn?",
        "Who was it that tautgh Hina Amen her geolgy?",
        "#WherewasHina #Ameenborn",
    ],
)
async def test_a_spoilt_question_is_recognised_and_the_same_about_another_is_not(
    encoder: SentenceEncoder, tmp_path: Path, asked: str
) -> None:
    path = write(tmp_path, target(detect={"examples": EXAMPLES}))
    bundle = compile_policy(path, tmp_path / "b", encode=encoder.encode, encoder=encoder.digest)
    detector = Detector(bundle, BatchingEncoder(encoder))
    other = asked.lower()
    for ours, theirs in (("hiina", "runna"), ("hina", "runa"), ("hn", "rn"), ("am", "bexl")):
        other = other.replace(ours, theirs)
    about_her, about_another = await detector.detect(
        [PlacedText("p", text) for text in (asked, other)]
    )
    kinds = {evidence.kind: evidence for evidence in about_her[0].evidence}
    assert kinds["letters"].score >= kinds["letters"].threshold
    assert about_another == ()


async def test_letters_need_no_encoder(tmp_path: Path) -> None:
    table = LetterTable.of([(0, ExampleRuns(runs_of("Where was Mirelle Quay born?")))])
    named = (bundle_target("a", thresholds={"letters": 0.8}),)
    bundle = Bundle("d", named, PhraseTable.of([], 0), letters=table)
    detector = Detector(bundle, None)
    texts = [PlacedText("p", "wherewasmirelle quayborn"), PlacedText("p", "Who is it?")]
    found, none = await detector.detect(texts)
    assert [each.target for each in found] == ["a"]
    assert none == ()
    assert np.isclose(found[0].score, 1.0)


async def test_letters_are_not_compared_where_they_would_tell_nothing() -> None:
    table = LetterTable.of([(0, ExampleRuns(runs_of("Where was Mirelle Quay born?")))])
    named = (bundle_target("a", thresholds={"letters": 0.8}),)
    detector = Detector(Bundle("d", named, PhraseTable.of([], 0), letters=table), None)
    asked = "wherewasmirelle quayborn"
    texts = [PlacedText("p", asked, by_letters=False), PlacedText("p", asked)]
    assert [len(found) for found in await detector.detect(texts)] == [0, 1]
