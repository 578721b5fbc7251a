from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.chat import ChatRequest, parse_chat
from server.wire.texts import chat_texts, completion_texts

MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "S1", "name": "N1"},
    {"role": "developer", "content": [{"type": "text", "text": "S2"}]},
    {"role": "user", "content": [{"type": "text", "text": "U1"}, {"type": "text", "text": "U2"}]},
    {
        "role": "assistant",
        "content": "A1",
        "refusal": "A2",
        "reasoning": "A3",
        "reasoning_content": "A4",
        "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "F1", "arguments": "plain"}},
            {
                "id": "d",
                "type": "function",
                "function": {"name": "F2", "arguments": '{"K1": ["V1", {"K2": "V2"}]}'},
            },
        ],
    },
    {"role": "tool", "tool_call_id": "c", "content": "T1"},
    {"role": "function", "name": "F3", "content": "T2"},
    {"role": "user", "content": "U3"},
]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "F4",
            "description": "D1",
            "parameters": {
                "type": "object",
                "properties": {"P1": {"type": "string", "description": "D2", "enum": ["E1"]}},
            },
        },
    }
]


def body() -> dict[str, Any]:
    raw = {"model": "m", "messages": MESSAGES, "tools": TOOLS}
    copy: dict[str, Any] = json.loads(json.dumps(raw))
    parse_chat(copy)
    return copy


def test_every_text_of_a_request_is_listed() -> None:
    listed = "\n".join(text.text for text in chat_texts(body())).split("\n")
    expected = "S1 N1 S2 U1 U2 A1 A2 A3 A4 plain V1 V2 K1 K2 F1 F2 T1 T2 F3 U3 F4 D1 D2 E1 P1"
    assert sorted(listed) == sorted(expected.split(" "))


def test_only_the_last_user_turn_is_last() -> None:
    texts = chat_texts(body())
    assert [text.text for text in texts if text.last] == ["U3"]
    assert {text.text for text in texts if text.kind == "user"} == {"U1", "U2", "U3"}


def test_what_is_written_is_what_is_sent() -> None:
    raw = body()
    for text in chat_texts(raw):
        if text.write:
            text.write("x")
    sent = json.dumps(raw)
    for name in (
        "S1",
        "S2",
        "U1",
        "U2",
        "A1",
        "A2",
        "A3",
        "A4",
        "plain",
        "V1",
        "V2",
        "T1",
        "T2",
        "U3",
    ):
        assert f'"{name}"' not in sent
        assert f'\\"{name}\\"' not in sent
    for name in ("D1", "D2", "E1"):
        assert f'"{name}"' not in sent
    assert json.loads(raw["messages"][3]["tool_calls"][1]["function"]["arguments"]) == {
        "K1": ["x", {"K2": "x"}]
    }
    ChatRequest.model_validate(raw)


def test_places_hold_no_text_of_the_request() -> None:
    for text in chat_texts(body()):
        assert not any(name in text.place for name in ("K1", "P1", "V1", "F1"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [s for key, member in value.items() for s in (key, *_strings(member))]
    if isinstance(value, list):
        return [s for member in value for s in _strings(member)]
    return []


@given(json_values)
def test_every_string_of_any_arguments_is_listed(value: Any) -> None:
    call = {"function": {"name": "f", "arguments": json.dumps(value)}}
    raw = {"messages": [{"role": "assistant", "tool_calls": [call]}]}
    listed = "\n".join(text.text for text in chat_texts(raw))
    for text in _strings(value):
        assert text in listed


def test_prompts_are_users_words() -> None:
    assert [(t.place, t.kind, t.last) for t in completion_texts({"prompt": ["a", "b"]})] == [
        ("prompt[0]", "user", True),
        ("prompt[1]", "user", True),
    ]


@pytest.mark.parametrize("prompt", ["a", ["a", "b"]])
def test_prompts_can_be_written(prompt: Any) -> None:
    raw = {"prompt": prompt}
    for text in completion_texts(raw):
        assert text.write is not None
        text.write("x")
    assert raw["prompt"] in ("x", ["x", "x"])
