"""The sets of targets that requests are guarded for, and what each looks for."""

from __future__ import annotations

import base64
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
        (["names"], [], ["Mirelle Quay", "Ilvane Corrith"]),
        (["city", "names"], [], ["Mirelle Quay", "Saltgate", "old port", "Ilvane Corrith"]),
        (["prize"], [], ["Halloran Medal"]),
        # Who has said a name may have it said back, in force for every answer or not.
        (["names"], ["Is Mirelle Quay well?"], ["Ilvane Corrith"]),
        (["names", "prize"], ["Is Mirelle Quay well?"], ["Ilvane Corrith", "Halloran Medal"]),
        ([], [], []),
    ],
)
async def test_what_is_forbidden_is_found(
    policy: ActivePolicy, targets: list[str], turns: list[str], found: list[str]
) -> None:
    active = await policy.active_set(targets, turns)
    assert said(TEXT, [(match.start, match.end) for _, match in active.search(TEXT)]) == found
    for phrase in ["Mirelle Quay", "Saltgate", "Ilvane Corrith", "Halloran Medal"]:
        hidden = base64.b64encode(f"It is {phrase}.".encode()).decode()
        assert (active.hides(hidden) is not None) == (phrase in found)


async def test_what_holds_in_every_answer_is_compiled_once(policy: ActivePolicy) -> None:
    (shared,) = (await policy.active_set(["names"])).scanner.parts
    for targets, turns in ((["names", "city"], []), (["names"], ["Mirelle Quay?"])):
        active = await policy.active_set(targets, turns)
        assert active.scanner.parts[-1] is shared
        assert active.in_views[-1] is (await policy.active_set(["names"])).in_views[-1]
    assert await policy.active_set(["city", "names"]) is await policy.active_set(["names", "city"])
