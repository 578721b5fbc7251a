"""The Responses API as OpenAI's client uses it, guarded like a chat."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai
import pydantic
import pytest

from guard.context import REDACTED
from tests.server.harness import POLICY, TENANTS, Proxy, proxied

URL = "/v1/responses"
TOOL: Any = {"type": "function", "name": "look", "parameters": {}, "strict": True}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"q":1}'}}


@pytest.fixture
def client(proxy: Proxy) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key="unused", max_retries=0)


async def test_a_response(client: openai.AsyncOpenAI, proxy: Proxy) -> None:
    for asked in ("Harbor novels?", "Tides?"):
        answer = await client.responses.create(
            model="demo", instructions="Be brief.", input=asked, max_output_tokens=9, store=False
        )
        assert (answer.output_text, answer.status) == ("Hello there.", "completed")
        assert answer.usage is not None
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (5, 3)
    sent = proxy.engine.requests[-1]
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    assert sent["max_completion_tokens"] == 9
    assert "store" not in sent


async def test_a_stream(client: openai.AsyncOpenAI) -> None:
    for asked in ("Harbor novels?", "Tides?"):
        async with client.responses.stream(model="demo", input=asked) as stream:
            said = [e.delta async for e in stream if e.type == "response.output_text.delta"]
            final = await stream.get_final_response()
        assert "".join(said) == final.output_text == "Hello there."
        assert final.usage is not None
        assert final.usage.total_tokens == 8


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_is_cut_where_it_says_what_is_forbidden(proxy: Proxy, stream: bool) -> None:
    proxy.engine.pieces = ["It is by Mir", "elle Qu", "ay, in Salt", "gate."]
    body = {"model": "demo", "input": "Harbor novels?", "stream": stream}
    answer = await proxy.client.post(URL, json=body)
    assert "Mirelle" not in answer.text
    assert "gate" not in answer.text
    last = json.loads(answer.text.rpartition("data: ")[2])
    response = last["response"] if stream else last
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "content_filter"}
    assert response["output"][0]["content"][0]["text"].startswith("It is by")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusing_target_answers_with_its_refusal(proxy: Proxy, stream: bool) -> None:
    body = {"model": "demo", "input": "Project Vault?", "stream": stream}
    answer = await proxy.client.post(URL, json=body)
    last = json.loads(answer.text.rpartition("data: ")[2])
    response = last["response"] if stream else last
    assert response["output"][0]["content"][0]["text"] == "I can't discuss that project."
    assert response["incomplete_details"] == {"reason": "content_filter"}
    assert proxy.engine.requests == []


async def test_a_conversation_goes_on_with_what_it_got(
    client: openai.AsyncOpenAI, proxy: Proxy
) -> None:
    proxy.engine.finish = "tool_calls"
    proxy.engine.deltas = [{"content": None, "reasoning": "I should look", "tool_calls": [CALL]}]
    said: list[Any] = [{"role": "user", "content": "Tides?"}]
    first = await client.responses.create(model="demo", input=said, tools=[TOOL])
    call = first.output[1]
    assert call.type == "function_call"
    assert (call.name, call.arguments) == ("look", '{"q":1}')
    said += first.output
    said.append({"type": "function_call_output", "call_id": call.call_id, "output": "High."})
    proxy.engine.finish, proxy.engine.deltas = "stop", None
    second = await client.responses.create(model="demo", input=said, tools=[TOOL])
    assert second.output_text == "Hello there."
    assert proxy.engine.requests[-1]["messages"][1:] == [
        {"role": "assistant", "reasoning": "I should look", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "High."},
    ]
    said += [*second.output, {"role": "user", "content": "And now?"}]
    third = await client.responses.create(model="demo", input=said, tools=[TOOL])
    assert third.output_text == "Hello there."


async def test_an_answer_in_a_form_is_parsed_and_sent_back(
    client: openai.AsyncOpenAI, proxy: Proxy
) -> None:
    class City(pydantic.BaseModel):
        city: str

    proxy.engine.pieces = ['{"city": "Paris"}']
    said: list[Any] = [{"role": "user", "content": "Where?"}]
    answer = await client.responses.parse(model="demo", input=said, text_format=City)
    assert answer.output_parsed == City(city="Paris")
    sent = proxy.engine.requests[-1]["response_format"]
    assert sent["json_schema"]["schema"]["properties"]["city"] == {
        "title": "City", "type": "string"
    }  # fmt: skip
    said += [*answer.output, {"role": "user", "content": "Again"}]
    await client.responses.create(model="demo", input=said)
    assert "parsed" not in json.dumps(proxy.engine.requests[-1]["messages"])


async def test_calls_are_streamed_as_they_come(client: openai.AsyncOpenAI, proxy: Proxy) -> None:
    proxy.engine.finish = "tool_calls"
    proxy.engine.deltas = [
        {"tool_calls": [{"index": 0, **CALL}]},
        {"tool_calls": [{"index": 1, **CALL, "id": "c2"}]},
    ]
    async with client.responses.stream(model="demo", input="Tides?", tools=[TOOL]) as stream:
        pieces = [e async for e in stream if e.type == "response.function_call_arguments.delta"]
        final = await stream.get_final_response()
    assert [(piece.output_index, piece.delta) for piece in pieces] == [
        (0, '{"q":1}'),
        (1, '{"q":1}'),
    ]
    assert [item.type for item in final.output] == ["function_call"] * 2


async def test_what_a_tool_returned_is_filtered_and_the_decision_says_where(proxy: Proxy) -> None:
    items = [
        {"role": "user", "content": "Harbor novels?"},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "Calm. Saltgate burns. Dry."},
        {"role": "user", "content": "And then?"},
    ]
    answer = await proxy.client.post(URL, json={"model": "demo", "input": items})
    assert answer.status_code == 200
    assert proxy.engine.requests[-1]["messages"][2]["content"] == f"Calm. {REDACTED} Dry."
    assert proxy.engine.plans[-1].targets == ("harbor",)
    (decision,) = await proxy.decisions()
    assert decision["endpoint"] == URL
    assert {edit["place"] for edit in decision["edits"]} == {"input[0].content", "input[2].output"}
    places = {e["place"] for found in decision["detections"] for e in found["evidence"]}
    assert places == {"input[0].content", "input[2].output", "input[3].content"}


async def test_errors_name_the_field_of_the_request(client: openai.AsyncOpenAI) -> None:
    call: Any = {"type": "function_call", "call_id": "c", "name": "look",
                 "arguments": '{"Mirelle Quay": 1}'}  # fmt: skip
    with pytest.raises(openai.BadRequestError) as named:
        await client.responses.create(model="demo", input=[{"role": "user", "content": "?"}, call])
    assert named.value.param == "input[1].arguments#names"
    with pytest.raises(openai.BadRequestError) as stored:
        await client.responses.create(model="demo", input="?", previous_response_id="resp_1")
    assert stored.value.param == "previous_response_id"
    with pytest.raises(openai.NotFoundError) as missing:
        await client.responses.create(model="other", input="?")
    assert missing.value.param == "model"


async def test_a_stream_that_breaks_says_so(proxy: Proxy) -> None:
    choice = b'{"index":0,"delta":{"content":"We"},"finish_reason":null}'
    proxy.engine.raw = [b'data: {"id":"1","choices":[' + choice + b"]}\n\n"]
    answer = await proxy.client.post(URL, json={"model": "demo", "input": "?", "stream": True})
    last = json.loads(answer.text.rpartition("data: ")[2])
    assert last["type"] == "response.failed"
    assert last["response"]["error"]["code"] == "server_error"
    (decision,) = await proxy.decisions()
    assert decision["outcome"] == "failed"


async def test_a_stream_of_an_unknown_shape_is_a_failure(proxy: Proxy) -> None:
    proxy.engine.raw = [b'data: {"choices": 1}\n\n', b"data: [DONE]\n\n"]
    answer = await proxy.client.post(URL, json={"model": "demo", "input": "?", "stream": True})
    assert answer.text.count("response.failed") == 2  # the event's name, and its type
    (decision,) = await proxy.decisions()
    assert (decision["outcome"], decision["error"]) == ("failed", "upstream_error")


async def test_nobody_without_a_key_learns_more_than_that(tmp_path: Path) -> None:
    policy = POLICY + TENANTS % ("0" * 64, "1" * 64)
    async with proxied(tmp_path, policy=policy) as proxy:
        answer = await proxy.client.post(URL, json={"nonsense": 1})
        assert answer.status_code == 401
