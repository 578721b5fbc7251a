"""What of an answer is counted as having left."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.policy import compile_policy
from load_tests.figures.answer_watch import Left, left
from server.active import ActivePolicy
from server.answer_watch import AnswerWatch
from tests.server.harness import POLICY


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> AnswerWatch:
    folder: Path = tmp_path_factory.mktemp("policy")
    (folder / "policy.yaml").write_text(POLICY)
    policy = ActivePolicy(
        compile_policy(folder / "policy.yaml", folder / "bundles", encode=None), None
    )
    return AnswerWatch(policy, policy.detector.detect)


async def test_what_leaves_is_what_was_said_before_it_was_stopped(watch: AnswerWatch) -> None:
    said = "Gladly. Mirelle Quay lives in Saltgate. More."
    assert await left(watch, said, streamed=False) == Left("", stopped=True)
    assert await left(watch, said, streamed=True) == Left("Gladly.", stopped=True, late=5)


async def test_all_of_any_other_answer_leaves(watch: AnswerWatch) -> None:
    said = " Tides come twice a day;  Saltgate has a harbour. "
    assert await left(watch, said, streamed=False) == Left(said, stopped=False)
    assert await left(watch, said, streamed=True) == Left(said, stopped=False, late=5)
