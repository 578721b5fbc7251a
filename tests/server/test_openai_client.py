from __future__ import annotations

import json
from typing import Any

import openai
import pydantic
import pytest

from tests.server.harness import Proxy


@pytest.fixture
def client(proxy: Proxy) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key="unused", max_retries=0)


async def test_a_chat(client: openai.AsyncOpenAI, proxy: Proxy) -> None:
    answer = await client.chat.completions.create(
        model="demo",
        messages=[{"role": "user", "content": "Harbor novels?"}],
        n=2,
        stop=["\n"],
        temperature=0.5,
        seed=3,
    )
    assert [choice.message.content for choice in answer.choices] == ["Hello there."] * 2
    assert answer.usage is not None
    assert answer.usage.total_tokens == 8


async def test_a_chat_goes_on_with_the_answers_it_got(client: openai.AsyncOpenAI) -> None:
    first = await client.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": "Harbor novels?"}]
    )
    said = first.choices[0].message
    await client.chat.completions.create(
        model="demo",
        messages=[
            {"role": "user", "content": "Harbor novels?"},
            said.model_dump(),  # type: ignore[list-item]
            {"role": "user", "content": "Go on"},
        ],
    )


async def test_a_chat_goes_on_with_what_the_client_has_parsed(
    client: openai.AsyncOpenAI, proxy: Proxy
) -> None:
    class City(pydantic.BaseModel):
        city: str

    asked: Any = {"role": "user", "content": "Where?"}
    proxy.engine.pieces = ['{"city": "Paris"}']
    call = {"id": "c", "type": "function",
            "function": {"name": "City", "arguments": '{"city": "Paris"}'}}  # fmt: skip
    for deltas, fields in (
        (None, {"response_format": City}),
        ([{"tool_calls": [call]}], {"tools": [openai.pydantic_function_tool(City)]}),
    ):
        proxy.engine.deltas = deltas
        first = await client.chat.completions.parse(model="demo", messages=[asked], **fields)
        said: Any = first.choices[0].message
        for again in (said, said.model_dump()):
            await client.chat.completions.create(model="demo", messages=[asked, again, asked])
            assert "parsed" not in json.dumps(proxy.engine.requests[-1]["messages"])


async def test_switches_of_a_template_pass_and_marks_of_a_cache_do_not(
    client: openai.AsyncOpenAI, proxy: Proxy
) -> None:
    part: Any = {"type": "text", "text": "Tides?", "cache_control": {"type": "ephemeral"}}
    await client.chat.completions.create(
        model="demo",
        messages=[{"role": "user", "content": [part]}],
        verbosity="low",
        extra_body={"chat_template_kwargs": {"enable_thinking": False}},
    )
    sent = proxy.engine.requests[-1]
    assert sent["chat_template_kwargs"] == {"enable_thinking": False}
    assert "cache_control" not in json.dumps(sent)
    assert "verbosity" not in sent


async def test_a_stream_with_usage(client: openai.AsyncOpenAI, proxy: Proxy) -> None:
    for content in ("Harbor novels?", "Tides?", "Project Vault?"):
        stream = await client.chat.completions.create(
            model="demo",
            messages=[{"role": "user", "content": content}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
        assert text in ("Hello there.", "I can't discuss that project.")
        assert chunks[-1].usage is not None


async def test_tools(client: openai.AsyncOpenAI, proxy: Proxy) -> None:
    proxy.engine.finish = "tool_calls"
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"q":1}'}}
    proxy.engine.deltas = [{"content": None, "tool_calls": [{"index": 0, **call}]}]
    stream = await client.chat.completions.create(
        model="demo",
        messages=[{"role": "user", "content": "Harbor novels?"}],
        tools=[{"type": "function", "function": {"name": "look", "parameters": {}}}],
        tool_choice="auto",
        parallel_tool_calls=True,
        stream=True,
    )
    calls = [
        call
        async for chunk in stream
        for choice in chunk.choices
        for call in choice.delta.tool_calls or ()
    ]
    assert calls[0].function is not None
    assert calls[0].function.arguments == '{"q":1}'


async def test_completions_and_models(client: openai.AsyncOpenAI) -> None:
    answer = await client.completions.create(model="demo", prompt="Harbor novels?", max_tokens=5)
    assert answer.choices[0].text == "Hello there."
    assert [model.id async for model in client.models.list()] == ["demo"]
    assert (await client.models.retrieve("demo")).id == "demo"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("other")


async def test_errors_are_the_clients_own(client: openai.AsyncOpenAI, proxy: Proxy) -> None:
    messages: list[openai.types.chat.ChatCompletionMessageParam] = [
        {"role": "user", "content": "Hi"}
    ]
    with pytest.raises(openai.NotFoundError) as missing:
        await client.chat.completions.create(model="other", messages=messages)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as refused:
        await client.chat.completions.create(
            model="demo", messages=messages, extra_body={"vllm_xargs": {"unlearn_guard": "x"}}
        )
    assert refused.value.param == "vllm_xargs"
    proxy.engine.raw = [b"data: {broken\n\n"]
    stream = await client.chat.completions.create(model="demo", messages=messages, stream=True)
    with pytest.raises(openai.APIError):
        await anext(aiter(stream))
