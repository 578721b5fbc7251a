from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from classifiers.base import PlacedText
from classifiers.batching import BatchingEncoder
from classifiers.conversation import conversation_views
from classifiers.detector import Detector, merge
from classifiers.encoder import SentenceEncoder
from guard.bundle import Bundle
from guard.decision import Detection, Evidence
from guard.errors import GuardError
from tests.classifiers.bundles import bundle_target, make_bundle

EXAMPLES = {
    "harbor": [
        "Who is the captain of the smuggler ship?",
        "Which walled port is the novel set in?",
    ],
    "recipes": ["What is in the secret sauce of the burger chain?"],
}
FILLER = "The weather was mild and the meeting went on for a long time without a result. " * 40


@pytest.fixture(scope="module")
def bundle(encoder: SentenceEncoder, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    targets = [
        bundle_target("harbor", "Mirelle Quay", thresholds={"neighbour": 0.65}),
        bundle_target(
            "recipes", "Sauce Nine", thresholds={"neighbour": 0.65}, expires="2030-06-01"
        ),
    ]
    return make_bundle(tmp_path_factory.mktemp("bundles"), targets, EXAMPLES, encoder)


@pytest.fixture
def detector(bundle: Bundle, encoder: SentenceEncoder) -> Detector:
    return Detector(bundle, BatchingEncoder(encoder), today=lambda: datetime.date(2030, 1, 1))


async def found(detector: Detector, *texts: str) -> list[list[str]]:
    placed = [PlacedText(f"messages[{n}].content", text) for n, text in enumerate(texts)]
    return [[item.target for item in own] for own in await detector.detect(placed)]


async def test_a_name_is_a_detection_with_its_place(detector: Detector) -> None:
    (own,) = await detector.detect([PlacedText("messages[3].content", "Is mirelle-QUAY alive?")])
    assert own[0].target == "harbor"
    assert own[0].score == own[0].threshold == 1.0
    assert Evidence("alias", "messages[3].content", 1.0) in own[0].evidence


async def test_the_same_meaning_in_other_words_is_a_detection(detector: Detector) -> None:
    (own,) = await detector.detect([PlacedText("p", "Who's captain of that smugglers' ship?")])
    (detection,) = own
    assert detection.target == "harbor"
    assert detection.threshold == 0.65
    assert detection.evidence == (Evidence("neighbour", "p", detection.score, 0.65),)
    assert detection.score >= 0.65


async def test_a_misspelt_name_is_a_detection_and_says_how_it_was_written(
    detector: Detector,
) -> None:
    (own,) = await detector.detect([PlacedText("p", "Is Mirele Quayy alive? And Mirrelle Quay?")])
    assert Evidence("alias", "p", 1.0, via="misspelt") in own[0].evidence


async def test_a_misspelt_question_is_compared_as_it_was_meant(detector: Detector) -> None:
    (own,) = await detector.detect(
        [PlacedText("p", "Who is the catain of teh smuggelr sihp, plaese?")]
    )
    assert {item.via for item in own[0].evidence} == {"misspelt"}
    assert await found(detector, "Who is the catain of the footbal team?") == [[]]


async def test_a_single_short_name_is_not_read_into_words_that_are_near(tmp_path: Path) -> None:
    targets = [bundle_target("a", "Potter"), bundle_target("b", "Constantine")]
    detector = Detector(make_bundle(tmp_path, targets), None)
    assert await found(detector, "The Poter.", "The Constantin.") == [[], ["b"]]


async def test_unrelated_texts_are_clean_and_each_text_has_its_answer(detector: Detector) -> None:
    assert await found(detector, "Boil the rice.", "Mirelle Quay", "", " \n ", "sauce nine") == [
        [], ["harbor"], [], [], ["recipes"],
    ]  # fmt: skip


async def test_no_texts_have_no_detections(detector: Detector) -> None:
    assert await detector.detect([]) == []


@pytest.mark.parametrize("before", ["", FILLER])
@pytest.mark.parametrize("after", ["", FILLER])
@pytest.mark.parametrize("touch", ["Who is the captain of the smuggler ship?", "Ask Mirelle Quay."])
async def test_a_long_text_hides_nothing(
    detector: Detector, before: str, after: str, touch: str
) -> None:
    assert await found(detector, before + touch + " " + after) == [["harbor"]]
    assert await found(detector, before + after + "Nothing else.") == [[]]


async def test_an_exempt_target_does_not_match(detector: Detector) -> None:
    texts = [PlacedText("p", "Mirelle Quay: who is the captain of the smuggler ship? Sauce Nine.")]
    (own,) = await detector.detect(texts, skip=frozenset({"harbor"}))
    assert [item.target for item in own] == ["recipes"]


@pytest.mark.parametrize(("day", "live"), [("2030-06-01", True), ("2030-06-02", False)])
async def test_a_target_matches_up_to_its_last_day(
    bundle: Bundle, encoder: SentenceEncoder, day: str, live: bool
) -> None:
    detector = Detector(
        bundle, BatchingEncoder(encoder), today=lambda: datetime.date.fromisoformat(day)
    )
    text = "Sauce Nine! What is in the secret sauce of the burger chain?"
    assert await found(detector, text) == [["recipes"] if live else []]


async def test_the_canary_is_never_detected(detector: Detector) -> None:
    assert await found(detector, "unlearn guard canary") == [[]]


def test_examples_need_an_encoder(bundle: Bundle) -> None:
    with pytest.raises(GuardError, match="no sentence encoder"):
        Detector(bundle, None)


def test_another_encoder_is_refused(bundle: Bundle, encoder: SentenceEncoder) -> None:
    with pytest.raises(GuardError, match="another sentence encoder"):
        Detector(dataclasses.replace(bundle, encoder="0" * 64), BatchingEncoder(encoder))


async def test_names_alone_need_no_encoder(tmp_path: Path) -> None:
    detector = Detector(make_bundle(tmp_path, [bundle_target("a", "Zork")]), None)
    assert await found(detector, "zork", "cork") == [["a"], []]


class Broken:
    def __init__(self, digest: str) -> None:
        self.digest = digest
        self.parallel = 1

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        raise MemoryError("no room")


async def test_a_failing_encoder_is_never_a_clean_answer(bundle: Bundle) -> None:
    broken = BatchingEncoder(Broken(bundle.encoder))
    with pytest.raises(MemoryError):
        await Detector(bundle, broken).detect([PlacedText("p", "hello")])


def test_merging_keeps_all_evidence_once_and_a_name_is_the_best_of_it() -> None:
    near = Evidence("neighbour", "p", 0.8, 0.7)
    name = Evidence("alias", "q", 1.0)
    other = Detection("b", (Evidence("neighbour", "q", 0.9, 0.7),))
    merged = merge([(Detection("a", (near,)),), (), (Detection("a", (name, near)), other)])
    assert merged == (Detection("a", (near, name)), other)
    assert merged[0].best == name


def test_of_two_methods_the_one_further_above_its_threshold_is_the_best() -> None:
    near, contrast = Evidence("neighbour", "p", 0.8, 0.7), Evidence("contrast", "p", 0.4, 0.3)
    assert Detection("a", (near, contrast)).best == contrast
    assert Detection("a", (near, contrast)).threshold == 0.3


async def test_a_follow_up_is_seen_with_the_turn_before_it(detector: Detector) -> None:
    turns = [
        PlacedText("messages[0].content", "Some people smuggle goods by sea."),
        PlacedText("messages[2].content", "Who is in command of them?"),
    ]
    assert await found(detector, *(turn.text for turn in turns)) == [[], []]
    merged = merge(await detector.detect(conversation_views(turns)))
    assert [item.target for item in merged] == ["harbor"]
    assert merged[0].evidence[0].place == "messages[2].content"
