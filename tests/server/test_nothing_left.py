"""Answers that vLLM gave up, because grammar and guard together left it no token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.server.harness import Proxy, events

ABANDONED = {
    "message": "Internal server error", "type": "InternalServerError", "param": None, "code": 500
}  # fmt: skip
JSON = {"response_format": {"type": "json_object"}}
TOOL = {
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "tool_choice": "required",
}
TOUCHING, HARMLESS = "Who captains the Petrel in the Harbor novels?", "How do tides work?"


def error_event(error: Mapping[str, Any] = ABANDONED) -> bytes:
    return b"data: " + json.dumps({"error": error}).encode() + b"\n\n"


def chunk(index: int, content: str, finish: str | None = None) -> bytes:
    choice = {"index": index, "delta": {"content": content}, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "up-1", "choices": [choice]}).encode() + b"\n\n"


@pytest.mark.parametrize("grammar", [JSON, TOOL])
async def test_an_answer_that_could_not_go_on_ends_as_filtered(
    proxy: Proxy, grammar: dict[str, Any]
) -> None:
    proxy.engine.status, proxy.engine.error = 500, dict(ABANDONED)
    answer = await proxy.chat(TOUCHING, n=2, **grammar)
    assert answer.status_code == 200
    choices = answer.json()["choices"]
    assert [choice["index"] for choice in choices] == [0, 1]
    for choice in choices:
        assert choice["finish_reason"] == "content_filter"
        assert choice["message"]["content"] == ""
    assert (await proxy.decisions())[-1]["outcome"] == "cut"
    assert (await proxy.decisions())[-1]["finish"] == ["content_filter"] * 2


async def test_completions_that_could_not_go_on_end_alike(proxy: Proxy) -> None:
    proxy.engine.status, proxy.engine.error = 500, dict(ABANDONED)
    answer = await proxy.complete(TOUCHING, **JSON)
    (choice,) = answer.json()["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("", "content_filter")


@pytest.mark.parametrize(("content", "grammar"), [(HARMLESS, JSON), (TOUCHING, {}), (HARMLESS, {})])
@pytest.mark.parametrize("stream", [False, True])
async def test_where_the_guard_cannot_be_the_reason_it_is_a_failure(
    proxy: Proxy, content: str, grammar: dict[str, Any], stream: bool
) -> None:
    if stream:
        proxy.engine.raw = [chunk(0, "{"), error_event()]
        answer = await proxy.chat(content, stream=True, **grammar)
        assert events(answer)[-1]["error"]["code"] == "upstream_error"
    else:
        proxy.engine.status, proxy.engine.error = 500, dict(ABANDONED)
        answer = await proxy.chat(content, **grammar)
        assert answer.status_code == 502
        assert answer.json()["error"]["code"] == "upstream_error"
    assert (await proxy.decisions())[-1]["outcome"] == "failed"


async def test_another_failure_of_a_bound_answer_stays_one(proxy: Proxy) -> None:
    proxy.engine.status, proxy.engine.error = 500, {**ABANDONED, "message": "out of memory"}
    assert (await proxy.chat(TOUCHING, **JSON)).status_code == 502
    proxy.engine.status, proxy.engine.error = 503, dict(ABANDONED)
    assert (await proxy.chat(TOUCHING, **JSON)).status_code == 502


async def test_a_stream_that_could_not_go_on_keeps_what_is_done_and_ends_the_rest(
    proxy: Proxy,
) -> None:
    proxy.engine.raw = [
        chunk(0, '{"name": '), chunk(1, '{"a": 1'), chunk(1, "}", "stop"), error_event(),
        b"data: [DONE]\n\n",
    ]  # fmt: skip
    answer = await proxy.chat(TOUCHING, stream=True, n=3, **JSON)
    sent: dict[int, str] = {0: "", 1: "", 2: ""}
    ended: dict[int, str] = {}
    for event in events(answer):
        assert event["id"] == "up-1"
        for choice in event["choices"]:
            sent[choice["index"]] += choice["delta"].get("content", "")
            if choice["finish_reason"]:
                assert choice["index"] not in ended
                ended[choice["index"]] = choice["finish_reason"]
    assert sent == {0: "", 1: '{"a": 1}', 2: ""}
    assert ended == {0: "content_filter", 1: "stop", 2: "content_filter"}
    assert (await proxy.decisions())[-1]["finish"] == ["content_filter", "stop", "content_filter"]


async def test_a_stream_that_could_not_begin_is_a_whole_stream_all_the_same(proxy: Proxy) -> None:
    proxy.engine.raw = [error_event(), b"data: [DONE]\n\n"]
    answer = await proxy.chat(TOUCHING, stream=True, **JSON)
    (event,) = events(answer)
    assert event["object"] == "chat.completion.chunk"
    assert event["model"] == "demo"
    assert event["choices"][0]["finish_reason"] == "content_filter"
