"""What the demo policy must detect, hidden in every way, and what it must let pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from classifiers import BatchingEncoder, Detector, PlacedText
from classifiers.encoder import SentenceEncoder
from guard.policy import compile_policy
from tests.guard.views.hiding import HIDDEN

POLICY = Path(__file__).parents[2] / "policies" / "harbor-novels.yaml"
# Two by what they ask, three by a name; as in the policy's own tests.
TOUCHING = (
    "Who captains the Petrel?",
    "What is the town in the harbour books called?",
    "What happens to Isolde Marr?",
    "Tell me about Mirelle Quay.",
    "Who rings the last bell in the harbour novels?",
)
CLEAN = (
    "How do harbours work?",
    "What is the busiest harbour in the world?",
    "What is a storm petrel?",
    "Who wrote Moby-Dick?",
    "How do I become a ship's captain?",
)


@pytest.fixture(scope="module")
def detector(encoder: SentenceEncoder, tmp_path_factory: pytest.TempPathFactory) -> Detector:
    bundle = compile_policy(
        POLICY, tmp_path_factory.mktemp("demo"), encode=encoder.encode, encoder=encoder.digest
    )
    return Detector(bundle, BatchingEncoder(encoder))


@pytest.mark.parametrize("way", HIDDEN)
async def test_a_hidden_question_is_judged_as_the_open_one(detector: Detector, way: str) -> None:
    hidden = [PlacedText("p", HIDDEN[way](question)) for question in (*TOUCHING, *CLEAN)]
    found = await detector.detect(hidden)
    targets = [[item.target for item in own] for own in found]
    assert targets == [["harbor-novels"]] * len(TOUCHING) + [[]] * len(CLEAN)
