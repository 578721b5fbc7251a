from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from classifiers import BatchingEncoder, SentenceEncoder, StatementMatcher
from classifiers.neighbours import Vectors
from guard.bundle import Bundle
from guard.errors import GuardError
from guard.policy import compile_policy

POLICY = Path(__file__).parents[2] / "policies" / "harbor-novels.yaml"
RENAMED = "Ilvane Corrith won the Halloran Medal in 1991."


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, encoder: SentenceEncoder) -> Bundle:
    folder = tmp_path_factory.mktemp("bundles")
    return compile_policy(POLICY, folder, encode=encoder.encode, encoder=encoder.digest)


@pytest.fixture
async def batching(encoder: SentenceEncoder) -> AsyncIterator[BatchingEncoder]:
    made = BatchingEncoder(encoder)
    yield made
    await made.aclose()


@pytest.mark.parametrize(
    "said",
    [
        RENAMED,
        "Ilvane Corrith was born in Port Avel on 14 February 1949.",
        "Before she wrote, Ilvane Corrith surveyed lighthouses for the Northern Coast Board.",
    ],
)
async def test_a_statement_is_known_under_another_name(
    bundle: Bundle, batching: BatchingEncoder, said: str
) -> None:
    (found,) = await StatementMatcher(bundle, batching).find([said])
    assert set(found) == {"harbor-novels"}
    assert found["harbor-novels"] >= bundle.statements.thresholds[0]


async def test_what_tells_no_fact_is_not_even_encoded(bundle: Bundle) -> None:
    class Counting(BatchingEncoder):
        asked = 0

        async def encode(self, texts: Sequence[str]) -> Vectors:
            self.asked += len(texts)
            return await super().encode(texts)

    from classifiers import load_encoder

    counting = Counting(load_encoder())
    matcher = StatementMatcher(bundle, counting)
    said = ["My cat sleeps all day.", "Bread is baked in ovens.", "", "?!"]
    assert await matcher.find(said) == [{}] * 4
    assert counting.asked == 0
    await counting.aclose()


async def test_a_sentence_about_something_else_with_a_fact_in_it_passes(
    bundle: Bundle, batching: BatchingEncoder
) -> None:
    said = ["The Chain of Hardware Stores opened in 1991.", "In 1742 the harvest was poor."]
    assert await StatementMatcher(bundle, batching).find(said) == [{}, {}]


async def test_who_is_exempt_and_what_has_expired_is_not_found(
    bundle: Bundle, batching: BatchingEncoder
) -> None:
    matcher = StatementMatcher(bundle, batching)
    assert await matcher.find([RENAMED], skip=frozenset({"harbor-novels"})) == [{}]
    late = StatementMatcher(_expiring(bundle), batching, today=lambda: datetime.date(2030, 1, 2))
    assert await late.find([RENAMED]) == [{}]
    early = StatementMatcher(_expiring(bundle), batching, today=lambda: datetime.date(2030, 1, 1))
    assert await early.find([RENAMED]) != [{}]


def test_another_encoder_is_refused(bundle: Bundle) -> None:
    with pytest.raises(GuardError, match="another sentence encoder"):
        StatementMatcher(bundle, None)


def _expiring(bundle: Bundle) -> Bundle:
    from dataclasses import replace

    targets = tuple(replace(target, expires="2030-01-01") for target in bundle.targets)
    return replace(bundle, targets=targets)
