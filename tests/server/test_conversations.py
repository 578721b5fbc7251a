"""Conversations with the shipped policies and their encoder: what must be in force at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from classifiers import BatchingEncoder, SentenceEncoder
from server.active import ActivePolicy
from server.detection import find_targets
from server.policies import compile_files
from server.verdict import Verdict, judge
from server.wire.texts import chat_texts
from tests.server.test_context_statements import assistant, user

POLICIES = Path(__file__).parents[2] / "policies"
OTHER_TALK = [
    user("How do I boil an egg?"),
    assistant("Put it into boiling water for eight minutes."),
    user("And how long for a soft one?"),
    assistant("Five minutes are enough."),
    user("What goes well with it?"),
    assistant("Salt, and some bread."),
    user("Thanks. Is it going to rain tomorrow?"),
    assistant("I do not know tomorrow's weather."),
]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory, encoder: SentenceEncoder) -> Any:
    folder = tmp_path_factory.mktemp("bundles")
    return compile_files(POLICIES, folder, encode=encoder.encode, encoder=encoder.digest).bundle


@pytest.fixture
async def policy(compiled: Any, encoder: SentenceEncoder) -> AsyncIterator[ActivePolicy]:
    batching = BatchingEncoder(encoder)
    yield await asyncio.to_thread(ActivePolicy, compiled, batching)
    await batching.aclose()


async def verdict(policy: ActivePolicy, *messages: dict[str, Any]) -> Verdict:
    texts = chat_texts({"messages": list(messages)})
    found = await find_targets(policy.detector, texts, frozenset(), policy.statements)
    return judge(policy, found, frozenset())


@pytest.mark.parametrize(
    "follow_up",
    ["What else did she write?", "And his second book?", "Who is it?", "Tell me more.", "Why?"],
)
async def test_a_follow_up_that_names_nothing_is_about_what_was_named(
    policy: ActivePolicy, follow_up: str
) -> None:
    said = [user("Who wrote about Hogwarts?"), assistant("A British author."), user(follow_up)]
    assert (await verdict(policy, *said)).active == ("harry-potter",)


async def test_a_target_named_five_turns_ago_is_still_in_force(policy: ActivePolicy) -> None:
    start = [user("I love the Harry Potter books."), assistant("How nice.")]
    held = await verdict(policy, *start, *OTHER_TALK, user("Who is the headmaster in it?"))
    assert held.active == ("harry-potter",)
    assert (await verdict(policy, *OTHER_TALK, user("Who is the headmaster?"))).active == ()


async def test_a_target_that_only_the_model_named_is_in_force(policy: ActivePolicy) -> None:
    start = [user("Recommend a book."), assistant("Try The Lanterns of Saltgate.")]
    held = await verdict(policy, *start, *OTHER_TALK, user("How does that book end?"))
    assert held.active == ("harbor-novels",)
    assert held.refused_by is None


async def test_a_question_in_pieces_is_one_question(policy: ActivePolicy) -> None:
    said = [user("There are novels about a boy wizard."), assistant("Yes?")]
    assert (await verdict(policy, *said, user("Which school does he go to?"))).active == (
        "harry-potter",
    )


async def test_several_targets_in_one_prompt_are_all_in_force(policy: ActivePolicy) -> None:
    asked = user("Compare Hogwarts with Saltgate, and tell me who lives in each.")
    held = await verdict(policy, asked)
    assert held.active == ("harbor-novels", "harry-potter")
    assert held.refused_by is not None
    assert held.refused_by.id == "harbor-novels"


@pytest.mark.parametrize(
    ("prompt", "target"),
    [
        ("What is the capital of France? And who is the headmaster of Hogwarts?", "harry-potter"),
        ("Who captains the Petrel? Also, how do I boil an egg?", "harbor-novels"),
    ],
)
async def test_a_target_beside_something_harmless_is_found(
    policy: ActivePolicy, prompt: str, target: str
) -> None:
    assert (await verdict(policy, user(prompt))).active == (target,)


async def test_talk_about_nothing_of_the_kind_is_free(policy: ActivePolicy) -> None:
    assert (await verdict(policy, *OTHER_TALK, user("Thank you for all that."))).active == ()


async def test_what_was_asked_long_ago_is_not_lost_in_a_long_turn(policy: ActivePolicy) -> None:
    padding = "The garden needs water in the morning and in the evening. " * 80
    asked = user(f"{padding}Who captains the Petrel? {padding}")
    assert (await verdict(policy, asked)).active == ("harbor-novels",)
