"""Where a forbidden phrase in the context counts, by what shows that a target is spoken of."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from guard.context import REDACTED
from guard.decision import Detection, Evidence, EvidenceKind
from guard.policy import compile_policy
from server.active import ActivePolicy
from server.context_filter import filter_context
from server.detection import Findings, find_targets
from server.errors import FieldRefusedError
from server.wire.texts import chat_texts

POLICY = """
version: 1
targets:
  - id: quay
    title: The novels
    reason: copyright
    owner: legal@example.com
    detect: {aliases: [Mirelle Quay]}
    forbid: {phrases: [florist, blind florist, Qworrel]}
  - id: always
    title: A secret
    reason: secret
    owner: legal@example.com
    detect: {aliases: [Project Vault]}
    forbid: {phrases: [Nightjar], always: true}
"""
SAYS = "The florist is open."


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> ActivePolicy:
    folder: Path = tmp_path_factory.mktemp("policy")
    (folder / "policy.yaml").write_text(POLICY)
    return ActivePolicy(
        compile_policy(folder / "policy.yaml", folder / "bundles", encode=None), None
    )


def talk() -> list[dict[str, Any]]:
    """Every message but the question says the phrase: instructions, five turns, a tool's result."""
    roles = ["system", "user", "assistant", "user", "assistant", "user", "tool"]
    said = [{"role": role, "content": SAYS} for role in roles]
    said[-1]["tool_call_id"] = "call"
    return [*said, {"role": "user", "content": "And then?"}]


async def withheld(policy: ActivePolicy, *evidence: tuple[EvidenceKind, int]) -> list[int]:
    """The messages that lost the sentence, by what the evidence is and in which message."""
    raw = {"messages": talk()}
    texts = chat_texts(raw)
    found = tuple(Evidence(kind, f"messages[{n}].content", 0.9, 0.8) for kind, n in evidence)
    findings = Findings(user=(Detection("quay", found),))
    active = await policy.active_set(["quay"], frozenset())
    edits = filter_context(policy, active, texts, findings).edits
    contents = [message["content"] for message in raw["messages"]]
    assert set(contents) <= {SAYS, REDACTED, "And then?"}
    places = [int(re.findall(r"\d+", edit.place)[0]) for edit in edits]
    assert sorted(places) == [n for n, content in enumerate(contents) if content == REDACTED]
    return sorted(places)


EVERY = [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("evidence", "lost"),
    [
        # Who is named is spoken of in all of it.
        ([("alias", 1)], EVERY),
        ([("statement", 2), ("alias", 6)], EVERY),
        # So is what is asked about now, and what a document is about.
        ([("neighbour", 7)], EVERY),
        ([("neighbour", 1), ("letters", 7)], EVERY),
        ([("contrast", 6)], EVERY),
        ([("neighbour", 0)], EVERY),
        # What earlier turns were like may be spoken of in what is no turn.
        ([("neighbour", 1)], [0, 6]),
        ([("letters", 3), ("statement", 5)], [0, 6]),
        ([("neighbour", 1), ("keywords", 5)], [0, 6]),
        # A statement has its own sentence withheld, and no phrase anywhere.
        ([("statement", 2)], []),
        ([("statement", 6)], []),
    ],
)
async def test_a_phrase_counts_where_its_target_is_spoken_of(
    policy: ActivePolicy, evidence: list[tuple[EvidenceKind, int]], lost: list[int]
) -> None:
    assert await withheld(policy, *evidence) == lost


@pytest.mark.parametrize("evidence", [[], [("statement", 0)], [("neighbour", 0)]])
async def test_what_holds_in_every_answer_is_withheld_whatever_shows_it(
    policy: ActivePolicy, evidence: list[tuple[EvidenceKind, int]]
) -> None:
    raw = {
        "messages": [
            {"role": "user", "content": "Hello."},
            {"role": "assistant", "content": "Nightjar it is."},
            {"role": "user", "content": "And then?"},
        ]
    }
    texts = chat_texts(raw)
    shown = tuple(Evidence(kind, f"messages[{n}].content", 0.9, 0.8) for kind, n in evidence)
    findings = Findings(user=(Detection("always", shown),) if shown else ())
    active = await policy.active_set(["always"] if shown else [], frozenset())
    filter_context(policy, active, texts, findings)
    assert raw["messages"][1]["content"] == REDACTED


def called(key: str) -> list[dict[str, Any]]:
    """A call of a tool whose argument has a name, between two turns of the user."""
    function = {"name": "search", "arguments": json.dumps({key: 1})}
    return [
        {"role": "user", "content": "Look it up."},
        {
            "role": "assistant",
            "tool_calls": [{"id": "a", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "a", "content": "Nothing."},
        {"role": "user", "content": "And then?"},
    ]


@pytest.mark.parametrize(
    ("key", "refused"),
    [
        # What programs call things by.
        ("florist", False),
        ("start_florist", False),
        # More than a word of the dictionary, what never may be said, and who is named.
        ("blind_florist", True),
        ("qworrel", True),
        ("nightjar", True),
        ("mirelle_quay", True),
    ],
)
async def test_a_word_that_names_an_argument_has_nothing_refused(
    policy: ActivePolicy, key: str, refused: bool
) -> None:
    raw = {"messages": called(key)}
    texts = chat_texts(raw)
    findings = await find_targets(policy.detector, texts, frozenset())
    active = await policy.active_set(["quay"], frozenset())
    if refused:
        with pytest.raises(FieldRefusedError, match="arguments#names"):
            filter_context(policy, active, texts, findings)
    else:
        assert filter_context(policy, active, texts, findings).edits == ()
        assert raw["messages"] == called(key)


async def test_what_the_model_is_to_go_on_with_is_no_earlier_turn(policy: ActivePolicy) -> None:
    raw = {
        "messages": [
            {"role": "user", "content": "Go on."},
            {"role": "assistant", "content": "It was so. The florist is open."},
        ]
    }
    texts = chat_texts(raw)
    shown = (Evidence("neighbour", "messages[1].content", 0.9, 0.8),)
    active = await policy.active_set(["quay"], frozenset())
    filter_context(policy, active, texts, Findings(context=(Detection("quay", shown),)))
    assert raw["messages"][1]["content"] == f"It was so. {REDACTED}"
