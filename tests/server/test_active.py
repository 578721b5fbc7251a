"""The sets of targets that requests are guarded for, and what each looks for."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from guard.policy import compile_policy
from server.active import ActivePolicy

POLICY = """
version: 1
targets:
  - id: names
    title: Names
    reason: privacy
    owner: a@example.com
    respond: suppress
    detect: {aliases: [Mirelle Quay]}
    forbid: {phrases: [Mirelle Quay, Ilvane Corrith], always: true}
  - id: city
    title: A city
    reason: secret
    owner: a@example.com
    detect: {aliases: [the old port]}
    forbid: {phrases: [Saltgate, old port]}
  - id: prize
    title: A prize
    reason: secret
    owner: a@example.com
    detect: {aliases: [the medal]}
    forbid: {phrases: [Halloran Medal]}
"""
NOBODY: frozenset[str] = frozenset()
TEXT = "Mirelle Quay of Saltgate, an old port, gave Ilvane Corrith the Halloran Medal."


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> ActivePolicy:
    folder: Path = tmp_path_factory.mktemp("policy")
    (folder / "policy.yaml").write_text(POLICY)
    return ActivePolicy(
        compile_policy(folder / "policy.yaml", folder / "bundles", encode=None), None
    )


def said(text: str, spans: list[tuple[int, int]]) -> list[str]:
    return [text[start:end] for start, end in spans]


@pytest.mark.parametrize(
    ("targets", "turns", "found"),
    [
        ([], [], ["Mirelle Quay", "Ilvane Corrith"]),
        (["names"], [], ["Mirelle Quay", "Ilvane Corrith"]),
        (["city"], [], ["Mirelle Quay", "Saltgate", "old port", "Ilvane Corrith"]),
        # Who has said a name may have it said back, in force for every answer or not.
        ([], ["Is Mirelle Quay well?"], ["Ilvane Corrith"]),
        (["prize"], ["Is Mirelle Quay well?"], ["Ilvane Corrith", "Halloran Medal"]),
    ],
)
async def test_what_is_forbidden_is_found(
    policy: ActivePolicy, targets: list[str], turns: list[str], found: list[str]
) -> None:
    active = await policy.active_set(targets, NOBODY, turns)
    assert active.any
    assert active.holds("names")
    assert said(TEXT, [(match.start, match.end) for _, match in active.search(TEXT)]) == found
    for phrase in ["Mirelle Quay", "Saltgate", "Ilvane Corrith", "Halloran Medal"]:
        hidden = base64.b64encode(f"It is {phrase}.".encode()).decode()
        assert (active.hides(hidden) is not None) == (phrase in found)


async def test_what_holds_in_every_answer_does_not_bind_who_is_exempt(
    policy: ActivePolicy,
) -> None:
    skip = frozenset(["names", "prize"])
    nothing = await policy.active_set([], skip)
    assert not nothing.any
    assert not nothing.scanner.active
    active = await policy.active_set(["city"], skip, ["Is Mirelle Quay well?"])
    assert active.any
    assert not active.holds("names")
    assert said(TEXT, [(match.start, match.end) for _, match in active.search(TEXT)]) == [
        "Saltgate",
        "old port",
    ]
    assert active.said == ()
    assert policy.plan(active, skip).exempt == ("names",)


async def test_of_what_holds_in_every_answer_the_expired_does_not(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    (over, until) = (
        POLICY.replace("id: names", f"id: {name}\n    expires: {day}").partition("  - id: city")[0]
        for name, day in (("over", "2020-01-31"), ("names", "2999-12-31"))
    )
    path.write_text(until + over.partition("targets:\n")[2].replace("Mirelle", "Orsolya"))
    policy = ActivePolicy(compile_policy(path, tmp_path / "bundles", encode=None), None)
    active = await policy.active_set([], NOBODY)
    assert active.any
    assert [active.holds("names"), active.holds("over")] == [True, False]
    text = "Mirelle Quay met Orsolya Quay."
    assert said(text, [(match.start, match.end) for _, match in active.search(text)]) == [
        "Mirelle Quay"
    ]
    assert not (await policy.active_set([], frozenset(["names"]))).any


async def test_what_holds_in_every_answer_does_to_the_end_of_its_last_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY.replace("id: names", "id: names\n    expires: 2999-12-31"))
    policy = ActivePolicy(compile_policy(path, tmp_path / "bundles", encode=None), None)

    class Clock(datetime):
        moment = datetime(2999, 12, 31, 23, 59, tzinfo=UTC)

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return cls.moment

    monkeypatch.setattr("server.active.datetime", Clock)
    assert (await policy.active_set([], NOBODY)).holds("names")
    Clock.moment += timedelta(minutes=1)
    assert not (await policy.active_set([], NOBODY)).any


async def test_what_holds_in_every_answer_is_compiled_once(policy: ActivePolicy) -> None:
    (shared,) = (await policy.active_set([], NOBODY)).scanner.parts
    for targets, turns in ((["city"], []), ([], ["Mirelle Quay?"])):
        active = await policy.active_set(targets, NOBODY, turns)
        assert active.scanner.parts[-1] is shared
        assert active.in_views[-1] is (await policy.active_set([], NOBODY)).in_views[-1]
    one, other = [["city", "prize"], ["prize", "names", "city"]]
    assert await policy.active_set(one, NOBODY) is await policy.active_set(other, NOBODY)
