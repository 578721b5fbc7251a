"""A run counts only what was asked of this model, under this policy, by these questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from guard.errors import GuardError
from server.attacks.asking import Task, tasks
from server.attacks.exchange import Choice, Reply
from server.attacks.families import FAMILIES
from server.attacks.results import Arm
from server.attacks.run import Run
from server.attacks.transcripts import Transcripts, digest
from tests.server.attacks.items import ITEM

ITEMS = [replace(ITEM, id=str(n)) for n in range(20)]
SILENT = Reply(200, (Choice({"content": ("Nobody knows.",)}),))


def run(folder: Path, *families: str) -> Run:
    return Run([FAMILIES[name] for name in families], ITEMS, 1, folder)


def fill(asked: Run, arm: Arm, reply: Callable[[Task], Reply | None]) -> None:
    """Write down what an arm answers; None for a conversation that was not held."""
    kept = Transcripts(asked.folder / f"{arm}.jsonl")
    kept.claim({"model": "m"})
    for family in asked.families:
        for task in tasks(family, asked.items, 1):
            if said := reply(task):
                kept.append(task.key, digest(next(task.start())), [said])


def test_what_was_asked_of_all_is_counted(tmp_path: Path) -> None:
    asked = run(tmp_path, "direct", "stream_prefixes")
    fill(asked, "guarded", lambda _: SILENT)
    assert [result.family.name for result in asked.score()] == ["direct", "stream_prefixes"]
    assert asked.score()[0].leak == {ITEM.group: (0.0, 40)}


@pytest.mark.parametrize("left_out", ["direct", "stream_prefixes"])
def test_a_part_of_it_is_not_enough(tmp_path: Path, left_out: str) -> None:
    asked = run(tmp_path, "direct", "stream_prefixes")
    fill(asked, "guarded", lambda task: None if task.key.family == left_out else SILENT)
    with pytest.raises(GuardError, match=r"was not asked \d+ of \d+ conversations"):
        asked.score()


def test_answers_to_other_questions_are_no_answers(tmp_path: Path) -> None:
    asked = run(tmp_path, "direct")
    fill(asked, "guarded", lambda _: SILENT)
    others = [replace(item, question="Who keeps the light at Saltgate?") for item in ITEMS]
    with pytest.raises(GuardError, match="was not asked"):
        replace(asked, items=others).score()


def test_a_family_that_failed_is_not_hidden_among_the_others(tmp_path: Path) -> None:
    failed = Reply(500, error="out of memory")
    asked = run(tmp_path, *list(FAMILIES)[:8], "direct")
    number = sum(1 for family in asked.families for _ in tasks(family, ITEMS, 1))
    few = {key.key for key in tasks(FAMILIES["direct"], ITEMS, 1)[: max(3, number // 200)]}
    assert len(few) <= 0.01 * number
    fill(asked, "guarded", lambda task: failed if task.key in few else SILENT)
    with pytest.raises(GuardError, match="requests of `direct` to the guarded model failed"):
        asked.score()


def test_what_can_not_be_asked_has_not_been_held_back(tmp_path: Path) -> None:
    asked = run(tmp_path, "direct")
    rejected = Reply(400, error="there is no chat template")
    fill(asked, "guarded", lambda _: rejected)
    with pytest.raises(GuardError, match="the guarded endpoint rejects"):
        asked.score()
    fill(asked, "guarded", lambda task: rejected if task.key.item < "14" else SILENT)
    assert asked.score()[0].arms["guarded"].replies["rejected"] > 0
