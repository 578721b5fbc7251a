"""What chat a request for a response becomes, and what its errors call the places of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import FieldError
from server.responses.chat import as_chat
from server.responses.request import parse_responses
from server.wire.chat import parse_chat
from server.wire.texts import chat_texts


def chat(**fields: Any) -> dict[str, Any]:
    return as_chat(parse_responses(json.dumps({"model": "demo", **fields}).encode())[1])[0]


def place(chat_place: str, **fields: Any) -> str:
    request = parse_responses(json.dumps({"model": "demo", **fields}).encode())[1]
    return as_chat(request)[1].of(chat_place)


CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"q": 1}'}
TURNS: list[dict[str, Any]] = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": [{"type": "input_text", "text": "Look it up."}]},
    {"type": "reasoning", "id": "rs", "summary": [],
     "content": [{"type": "reasoning_text", "text": "I should"}]},
    {"type": "message", "id": "msg", "role": "assistant", "status": "completed",
     "content": [{"type": "output_text", "text": "Let me.", "annotations": [], "parsed": None}]},
    {**CALL, "id": "fc", "status": "completed"},
    {**CALL, "call_id": "c2"},
    {"type": "function_call_output", "call_id": "c1", "output": "Nothing."},
    {"type": "function_call_output", "call_id": "c2",
     "output": [{"type": "input_text", "text": "Nor here."}]},
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "I won't."}]},
    {"role": "user", "content": "Why?"},
]  # fmt: skip


def test_a_text_is_what_the_user_says_after_the_instructions() -> None:
    assert chat(input="Tides?", instructions="Be brief.")["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Tides?"},
    ]


def test_a_turn_of_the_model_is_one_message() -> None:
    called = {"type": "function", "function": {"name": "look", "arguments": '{"q": 1}'}}
    assert chat(input=TURNS)["messages"] == [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Look it up."}]},
        {"role": "assistant", "reasoning": "I should",
         "content": [{"type": "text", "text": "Let me."}],
         "tool_calls": [{"id": "c1", **called}, {"id": "c2", **called}]},
        {"role": "tool", "tool_call_id": "c1", "content": "Nothing."},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "Nor here."}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "I won't."}]},
        {"role": "user", "content": "Why?"},
    ]  # fmt: skip


def test_what_follows_a_call_is_another_message() -> None:
    said = {"role": "assistant", "content": "Done."}
    made = chat(input=[CALL, said, {"role": "user", "content": "Go on"}])["messages"]
    assert [message["role"] for message in made] == ["assistant", "assistant", "user"]
    assert made[1] == said


def test_a_summary_stands_for_thoughts_that_are_not_there() -> None:
    summary = [{"type": "summary_text", "text": "In short"}]
    made = chat(input=[{"type": "reasoning", "summary": summary}, {"role": "user", "content": "?"}])
    assert made["messages"][0] == {"role": "assistant", "reasoning": "In short"}


def test_settings_go_by_the_names_of_a_chat() -> None:
    schema = {"type": "object", "properties": {"a": {"default": None}}}
    made = chat(
        input="Tides?",
        stream=True,
        max_output_tokens=5,
        temperature=0.5,
        reasoning={"effort": "low", "summary": "auto"},
        tools=[{"type": "function", "name": "look", "parameters": schema, "strict": True}],
        tool_choice={"type": "function", "name": "look"},
        text={"format": {"type": "json_schema", "name": "a", "schema": schema}, "verbosity": "low"},
        metadata={"a": "b"},
        store=True,
        user="me",
    )
    del made["messages"]
    function = {"name": "look", "parameters": schema, "strict": True}
    assert made == {
        "model": "demo",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": 5,
        "temperature": 0.5,
        "reasoning_effort": "low",
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
    }
    assert chat(input="?", tool_choice="required", tools=[])["tool_choice"] == "required"
    assert chat(input="?", text={"format": {"type": "text"}})["response_format"] == {"type": "text"}


@pytest.mark.parametrize(
    ("in_chat", "in_request"),
    [
        ("messages[0].content", "instructions"),
        ("messages[2].content[0].text", "input[1].content[0].text"),
        ("messages[3].reasoning", "input[2].content"),
        ("messages[3].content", "input[3].content"),
        ("messages[3].tool_calls[0].function.arguments#0", "input[4].arguments#0"),
        ("messages[3].tool_calls[1].id", "input[5].call_id"),
        ("messages[4].content", "input[6].output"),
        ("messages[4].tool_call_id", "input[6].call_id"),
        ("tools[0].function#3", "tools[0]#3"),
        ("response_format#names", "text.format#names"),
        ("response_format.json_schema.schema", "text.format.schema"),
        ("max_completion_tokens", "max_output_tokens"),
        ("messages", "input"),
        ("messages[30].content", "input[30].content"),
        ("temperature", "temperature"),
    ],
)
def test_places_are_called_as_in_the_request(in_chat: str, in_request: str) -> None:
    tools = [{"type": "function", "name": "look"}]
    assert place(in_chat, input=TURNS, instructions="Be brief.", tools=tools) == in_request


def test_an_error_about_the_chat_speaks_of_the_request() -> None:
    _, places = as_chat(parse_responses(json.dumps({"model": "demo", "input": "?"}).encode())[1])
    error = FieldError("`messages[0].content` is too long", param="messages[0].content")
    places.rename(error)
    assert (error.param, error.message) == ("input", "`input` is too long")
    nowhere = FieldError("it is too long")
    places.rename(nowhere)
    assert nowhere.message == "it is too long"


TEXTS = st.text(min_size=1, max_size=8)
SAID = st.builds(
    lambda role, text, kind: {
        "role": role,
        "content": [{"type": kind, "text": text}] if kind else text,
    },
    st.sampled_from(["user", "assistant", "system", "developer"]),
    TEXTS,
    st.sampled_from(["", "input_text", "output_text"]),
)
ITEMS = st.one_of(
    SAID,
    TEXTS.map(lambda text: {**CALL, "arguments": json.dumps({"q": text})}),
    TEXTS.map(lambda text: {"type": "function_call_output", "call_id": "c", "output": text}),
    TEXTS.map(lambda text: {"type": "reasoning", "summary": [],
                            "content": [{"type": "reasoning_text", "text": text}]}),
)  # fmt: skip


def strings(item: dict[str, Any]) -> list[str]:
    """What an item says, by itself."""
    if "arguments" in item:
        return [json.loads(item["arguments"])["q"]]
    said = item.get("content", item.get("output"))
    return [part["text"] for part in said] if isinstance(said, list) else [str(said)]


@given(items=st.lists(ITEMS, min_size=1, max_size=8), instructions=st.none() | TEXTS)
def test_every_text_is_one_that_the_guard_reads_where_the_request_says_it(
    items: list[dict[str, Any]], instructions: str | None
) -> None:
    fields = {"model": "demo", "input": items, "instructions": instructions}
    made, places = as_chat(parse_responses(json.dumps(fields).encode())[1])
    parse_chat(made)
    read = [(places.of(text.place).split(".")[0], text.text) for text in chat_texts(made)]
    for index, item in enumerate(items):
        for said in strings(item):
            assert any(place == f"input[{index}]" and said in text for place, text in read)
    if instructions:
        assert ("instructions", instructions) in read
