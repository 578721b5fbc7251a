"""What of an answer is counted as having left."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.policy import compile_policy
from load_tests.figures.answer_watch import WAYS, Left, left
from server.active import ActivePolicy
from server.answer_watch import AnswerWatch
from tests.server.harness import POLICY


@pytest.fixture(scope="module")
def watches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, AnswerWatch]:
    folder: Path = tmp_path_factory.mktemp("policy")
    (folder / "policy.yaml").write_text(POLICY)
    policy = ActivePolicy(
        compile_policy(folder / "policy.yaml", folder / "bundles", encode=None), None
    )
    look = policy.detector
    return {way: AnswerWatch(policy, look.detect, look.glimpse, hold=way == "held") for way in WAYS}


async def test_what_leaves_is_what_was_said_before_it_was_stopped(
    watches: dict[str, AnswerWatch],
) -> None:
    said = "Gladly. Mirelle Quay lives in Saltgate. More."
    out = {way: await left(watch, said, streamed=way != "whole") for way, watch in watches.items()}
    assert out == {
        "whole": Left("", stopped=True),
        "watched": Left("Gladly. Mirelle", stopped=True),
        "held": Left("Gladly.", stopped=True),
    }


async def test_all_of_any_other_answer_leaves(watches: dict[str, AnswerWatch]) -> None:
    said = " Tides come twice a day;  Saltgate has a harbour. "
    for way, watch in watches.items():
        assert await left(watch, said, streamed=way != "whole") == Left(said, stopped=False)
