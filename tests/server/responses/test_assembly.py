"""The events of a response say what its items say, whatever order a chat comes in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from server.errors import UpstreamFailedError
from server.responses.answer import ResponseAnswer

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
RAW = {"model": "demo", "input": "Tides?"}
PIECES = st.text(max_size=3)
DELTAS = st.one_of(
    PIECES.map(lambda text: {"content": text}),
    PIECES.map(lambda text: {"reasoning": text, "reasoning_content": text}),
    PIECES.map(lambda text: {"reasoning_content": text}),
    PIECES.map(lambda text: {"refusal": text}),
    st.builds(
        lambda index, text: {
            "tool_calls": [
                {"index": index, "id": f"c{index}", "function": {"name": "f", "arguments": text}}
            ]
        },
        st.integers(0, 2),
        PIECES,
    ),
    st.just({"role": "assistant", "content": ""}),
    st.just({"content": None, "tool_calls": None}),
)
FINISHES = st.sampled_from(["stop", "tool_calls", "length", "content_filter"])


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode()


def streamed(deltas: list[dict[str, Any]], finish: str) -> list[dict[str, Any]]:
    answer = ResponseAnswer("1", RAW)
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    sent = answer.begin()
    sent += b"".join(event for delta in deltas for event in answer.chunk(chunk(delta)))
    sent += b"".join(answer.chunk(chunk({}, finish)))
    sent += b"".join(answer.chunk(json.dumps({"choices": [], "usage": usage}).encode()))
    sent += answer.end()
    events = []
    for each in sent.decode().removesuffix("\n\n").split("\n\n"):
        name, data = each.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def texts(output: list[dict[str, Any]]) -> dict[str, str]:
    """What a response says, by kind; arguments by the call."""
    found: dict[str, str] = {}
    for item in output:
        if item["type"] == "function_call":
            found[item["call_id"]] = item["arguments"]
        for part in item.get("content", ()):
            said = part["refusal"] if part["type"] == "refusal" else part["text"]
            found[part["type"]] = found.get(part["type"], "") + said
    return found


@given(deltas=st.lists(DELTAS, max_size=12), finish=FINISHES)
def test_events_are_openais_and_add_up_to_the_response(
    deltas: list[dict[str, Any]], finish: str
) -> None:
    events = streamed(deltas, finish)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    for event in events:
        EVENT.validate_python(event)
    assert [e["type"] for e in events[:2]] == ["response.created", "response.in_progress"]
    last = events[-1]["response"]
    Response.model_validate(last)
    ended = "incomplete" if finish in ("length", "content_filter") else "completed"
    assert (events[-1]["type"], last["status"]) == (f"response.{ended}", ended)
    assert last["usage"]["total_tokens"] == 8

    # Each item is told of once when it begins and once when it has ended, as the response has it.
    begun = [e["item"]["id"] for e in events if e["type"] == "response.output_item.added"]
    done = {
        e["output_index"]: e["item"] for e in events if e["type"] == "response.output_item.done"
    }
    assert begun == [item["id"] for item in last["output"]]
    assert [done[place] for place in range(len(begun))] == last["output"]
    assert last["output"], "a response without an item says nothing"

    # The pieces of each part are the whole of it.
    pieces: dict[tuple[Any, ...], str] = {}
    for event in events:
        place = event.get("item_id"), event.get("content_index")
        if event["type"].endswith(".delta"):
            pieces[place] = pieces.get(place, "") + event["delta"]
        elif event["type"].endswith("_text.done"):
            assert pieces.get(place, "") == event["text"]
        elif event["type"] == "response.refusal.done":
            assert pieces.get(place, "") == event["refusal"]
        elif event["type"] == "response.function_call_arguments.done":
            assert pieces.get(place, "") == event["arguments"]

    # And nothing of the chat is lost, nor told twice.
    said: dict[str, str] = {}
    names = ("reasoning", "reasoning_content")
    thoughts = next((n for delta in deltas for n in names if delta.get(n)), "reasoning")
    for delta in deltas:
        for kind, text in (
            ("reasoning_text", delta.get(thoughts)),
            ("output_text", delta.get("content")),
            ("refusal", delta.get("refusal")),
        ):
            said[kind] = said.get(kind, "") + (text or "")
        for call in delta.get("tool_calls") or ():
            said[call["id"]] = said.get(call["id"], "") + call["function"]["arguments"]
    assert {k: v for k, v in texts(last["output"]).items() if v} == {
        k: v for k, v in said.items() if v
    }


@given(deltas=st.lists(DELTAS, max_size=6), finish=FINISHES)
def test_a_whole_answer_says_what_a_stream_would(deltas: list[dict[str, Any]], finish: str) -> None:
    message: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": []}
    for delta in deltas:
        for name in ("content", "reasoning", "reasoning_content", "refusal"):
            if delta.get(name):
                message[name] = (message.get(name) or "") + delta[name]
        for call in delta.get("tool_calls") or ():
            message["tool_calls"].append({**call, "index": len(message["tool_calls"])})
            message["tool_calls"][-1]["id"] = f"c{len(message['tool_calls'])}"
    for call in message["tool_calls"]:
        del call["index"]
    choice = {"index": 0, "message": message, "finish_reason": finish}
    body = ResponseAnswer("1", RAW).whole(json.dumps({"choices": [choice]}).encode())
    whole = json.loads(body)
    Response.model_validate(whole)
    again = streamed([message], finish)[-1]["response"]
    same = ("id", "status", "incomplete_details", "output")
    assert {name: whole[name] for name in same} == {name: again[name] for name in same}


def test_a_stream_that_fails_ends_with_that() -> None:
    answer = ResponseAnswer("1", RAW)
    answer.begin()
    list(answer.chunk(chunk({"content": "Well"})))
    error = {"error": {"message": "it broke", "type": "server_error", "code": "x", "param": None}}
    failed = b"".join(answer.chunk(json.dumps(error).encode())) + answer.end()
    assert failed.count(b"event:") == 1
    event = json.loads(failed.split(b"data: ")[1])
    EVENT.validate_python(event)
    assert event["response"]["status"] == "failed"
    assert event["response"]["error"]["message"] == "it broke"


@pytest.mark.parametrize(
    "answer", ["1", "[]", '{"choices": 1}', '{"choices": []}', '{"choices": [{"index": 0}]}', "{"]
)
def test_an_answer_of_an_unknown_shape_is_the_engines_fault(answer: str) -> None:
    with pytest.raises(UpstreamFailedError):
        ResponseAnswer("1", RAW).whole(answer.encode())


def test_what_was_scanned_apart_is_not_told_together() -> None:
    answer = ResponseAnswer("1", RAW)
    choices = [{"index": 1, "delta": {"content": "gate"}}]
    other = json.dumps({"choices": choices}).encode()
    sent = answer.chunk(chunk({"content": "Salt", "reasoning_content": "Mirelle"}))
    sent += answer.chunk(other) + answer.chunk(chunk({"reasoning": " Quay"}))
    said = texts(json.loads(answer.end().rpartition(b"data: ")[2])["response"]["output"])
    assert said == {"output_text": "Salt", "reasoning_text": "Mirelle"}


def test_what_was_asked_for_is_repeated_and_the_instructions_are_not() -> None:
    raw = {**RAW, "instructions": "Be brief.", "temperature": 0.5, "metadata": {"a": "b"},
           "tool_choice": "none", "max_output_tokens": 3, "store": True}  # fmt: skip
    message = {"role": "assistant", "content": "Hm."}
    choice = {"index": 0, "message": message, "finish_reason": "length"}
    made = json.loads(ResponseAnswer("1", raw).whole(json.dumps({"choices": [choice]}).encode()))
    assert (made["temperature"], made["metadata"], made["tool_choice"]) == (0.5, {"a": "b"}, "none")
    assert made["instructions"] is None
    assert made["store"] is False
    assert made["incomplete_details"] == {"reason": "max_output_tokens"}
    assert made["output"][0]["status"] == "incomplete"
