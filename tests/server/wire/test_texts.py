from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.chat import ChatRequest, parse_chat
from server.wire.texts import chat_texts, completion_texts, document_texts

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
            {"id": "I1", "type": "function", "function": {"name": "F1", "arguments": "plain"}},
            {
                "id": "I2",
                "type": "function",
                "function": {"name": "F2", "arguments": '{"K1": ["V1", {"K2": "V2"}]}'},
            },
        ],
    },
    {"role": "tool", "tool_call_id": "I1", "content": "T1"},
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
    assert sorted(listed) == sorted(f"{expected} I1 I2 I1".split(" "))


def test_only_the_last_user_turn_is_last() -> None:
    texts = chat_texts(body())
    assert [text.text for text in texts if text.last] == ["U3"]
    assert {text.text for text in texts if text.kind == "user"} == {"U1\nU2", "U3"}


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


SCHEMA = {
    "name": "N1",
    "description": "V1",
    "schema": {
        "type": "object",
        "properties": {"K1": {"const": "V2"}, "K2": {"enum": ["V3"], "maximum": 5550142}},
        "required": ["K1", "K2", "K3"],
    },
}


@pytest.mark.parametrize("asked", [{"prompt": "U"}, {"messages": MESSAGES[-1:]}])
def test_a_schema_for_the_answer_is_listed_as_names_as_values_and_whole(
    asked: dict[str, Any],
) -> None:
    raw = asked | {"response_format": {"type": "json_schema", "json_schema": SCHEMA}}
    listed = completion_texts(raw) if "prompt" in raw else chat_texts(raw)
    names, values, whole = [text for text in listed if text.kind == "form"]
    assert names.text.split() == ["N1", "K1", "K2", "K3"]
    assert values.text.split() == ["V1", "V2", "V3", "5550142"]
    assert whole.text.split() == "N1 V1 K1 V2 K2 V3 5550142 K1 K2 K3".split()
    assert all(text.last and text.write is None for text in (names, values, whole))


@pytest.mark.parametrize("form", [None, {"type": "text"}, {"type": "json_object"}])
def test_without_a_schema_the_form_says_nothing(form: Any) -> None:
    assert {t.kind for t in completion_texts({"prompt": "U", "response_format": form})} == {"user"}


@given(st.lists(st.text(max_size=5), min_size=1, max_size=5))
def test_the_parts_of_a_message_are_one_text(parts: list[str]) -> None:
    content = [{"type": "text", "text": part} for part in parts]
    raw = {"messages": [{"role": "system", "content": content}]}
    said = [part for part in parts if part]
    listed = chat_texts(raw)
    assert [text.text for text in listed] == ["\n".join(said)] * bool(said)
    for text in listed:
        assert text.glued == ("".join(said) if len(said) > 1 else "")
        assert text.write is not None
        text.write("x")
        assert raw["messages"][0]["content"] == "x"


@pytest.mark.parametrize(
    ("number", "listed"), [(5550142, True), (-1911, True), (3.14159, True), (12, False)]
)
def test_long_numbers_are_texts_that_are_not_compared(number: float, listed: bool) -> None:
    documents = [{"n": [number, True], "text": "T"}]
    found = [text for text in document_texts(documents, "documents") if text.text != "n\ntext"]
    assert [(text.text, text.compared) for text in found] == (
        [(str(number), False), ("T", True)] if listed else [("T", True)]
    )
    for text in found:
        assert text.write is not None
        text.write("x")
    assert documents[0]["n"] == ["x" if listed else number, True]


def test_a_number_in_the_schema_of_a_tool_cannot_be_edited() -> None:
    parameters = {"properties": {"line": {"const": 5550142}}}
    raw = {"messages": [], "tools": [{"function": {"name": "call", "parameters": parameters}}]}
    (text,) = chat_texts(raw)
    assert (text.text, text.write) == ("call\nline\n5550142", None)


def test_what_would_stand_between_messages_and_is_never_read_is_not_sent() -> None:
    given = {"refusal": "x", "reasoning": "x", "reasoning_content": "x", "tool_call_id": "x"}
    calls = [{"id": "i", "function": {"name": "f", "arguments": "{}"}}]
    messages = [{"role": "system", "content": "S", "tool_calls": calls, **given}]
    raw = {"model": "m", "messages": messages}
    parse_chat(raw)
    assert raw["messages"] == [{"role": "system", "content": "S"}]


def test_of_equal_keys_in_arguments_the_model_gets_the_one_that_was_read() -> None:
    arguments = '{"q": "hidden", "q": "seen", "in": [{"a": 1, "a": 2}]}'
    call: dict[str, Any] = {"id": "i", "function": {"name": "f", "arguments": arguments}}
    raw = {"model": "m", "messages": [{"role": "assistant", "tool_calls": [call]}]}
    parse_chat(raw)
    assert call["function"]["arguments"] == '{"q": "seen", "in": [{"a": 2}]}'


@pytest.mark.parametrize("arguments", ['{"q":1,\t"r": "x"}', "", "plain", '{"a": "\\ud800"}'])
def test_other_arguments_are_sent_as_they_came(arguments: str) -> None:
    call: dict[str, Any] = {"id": "i", "function": {"name": "f", "arguments": arguments}}
    raw = {"model": "m", "messages": [{"role": "assistant", "tool_calls": [call]}]}
    parse_chat(raw)
    assert call["function"]["arguments"] == arguments


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


# Those that are as short; they are no texts, in arguments either.
SCHEMA_WORDS = {"$ref", "enum", "name", "not", "type"}


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        keys = [key for key in value if key not in SCHEMA_WORDS]
        return keys + [s for member in value.values() for s in _strings(member)]
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
