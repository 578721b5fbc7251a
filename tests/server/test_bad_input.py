from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.wire.fields import REFUSED
from tests.server.harness import FakeEngine, Proxy, proxied


def error_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The error, after a check that it has OpenAI's shape and gives nothing away."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert "Traceback" not in answer.text
    assert 'File "' not in answer.text
    return error


def _field(name: str, value: Any) -> dict[str, Any]:
    return {name: value}


async def test_malformed_json(proxy: Proxy) -> None:
    bodies = [b"", b"{", b"[1]", b'"x"', b'{"a": NaN}', b"\xff", b"[" * 5000]
    for path, body in itertools.product(("/v1/chat/completions", "/v1/completions"), bodies):
        answer = await proxy.client.post(path, content=body)
        error = error_of(answer, 400)
        assert error["code"] == "malformed_json"
        assert answer.headers["x-guard-decision"].startswith("gd_")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"messages": "hi"}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
    ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
     "messages[0].content[0].text"),
    ({"messages": [{"role": "user", "content": "x", "mood": "sad"}]}, "messages[0].mood"),
    ({"model": 3}, "model"),
    ({"model": None}, "model"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": 9}, "temperature"),
    ({"n": 0}, "n"),
    ({"n": 65}, "n"),
    ({"n": True}, "n"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"stop": ["x"] * 5}, "stop"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]},
     "messages[0].content[0].text"),
    ({"messages": [{"role": "assistant", "content": [{"type": "refusal", "text": "x"}]}]},
     "messages[0].content[0].refusal"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
     "response_format.json_schema.schema"),
    ({"chat_template_kwargs": {"enable_thinking": "no"}}, "chat_template_kwargs"),
    ({"chat_template_kwargs": {"enable_thinking": False, "tools": "x"}}, "chat_template_kwargs"),
    ({"stop": [1]}, "stop[0]"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": {"extra": 1}}, "stream_options.extra"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ({"tool_choice": "always"}, "tool_choice"),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    ({"made_up": 1}, "made_up"),
    ({"messages": [{"role": "assistant", "continue": 1}]}, "messages[0].continue"),
]  # fmt: skip


async def test_a_wrong_field_is_named(proxy: Proxy) -> None:
    for fields, param in WRONG:
        error = error_of(await proxy.chat(**fields), 400)
        assert error["param"] == param
        assert param in error["message"]
    assert proxy.engine.requests == []


@pytest.mark.parametrize(
    ("prompt", "says"),
    [([], "at least 1 item"), (["x"] * 65, "at most 64 items"), (3, "valid string")],
)
async def test_a_list_that_is_too_long_or_empty_is_not_called_a_wrong_type(
    proxy: Proxy, prompt: Any, says: str
) -> None:
    error = error_of(await proxy.complete(prompt=prompt), 400)
    assert error["param"] == "prompt"
    assert says in error["message"]


async def test_missing_fields_are_named(proxy: Proxy) -> None:
    answer = await proxy.client.post("/v1/chat/completions", json={"messages": []})
    assert error_of(answer, 400)["param"] in ("model", "messages")
    answer = await proxy.client.post("/v1/completions", json={"model": "demo"})
    assert error_of(answer, 400)["param"] == "prompt"


# Each would carry text past the guard, change what the guard sees, or give away what was not said.
# Written out here, so that none can be dropped from the proxy's own list unnoticed.
NEVER = (
    "vllm_xargs", "extra_body", "prompt_logprobs", "logit_bias", "prompt_embeds", "chat_template",
    "chat_template_kwargs", "mm_processor_kwargs", "kv_transfer_params", "add_generation_prompt",
    "continue_final_message", "echo", "return_token_ids", "allowed_token_ids", "bad_words",
    "logits_processors",
)  # fmt: skip


@pytest.mark.parametrize("name", NEVER)
async def test_what_would_pass_the_guard_is_refused(proxy: Proxy, name: str) -> None:
    for call in (proxy.chat, proxy.complete):
        assert error_of(await call(**_field(name, {"something": "else"})), 400)["param"] == name
    assert proxy.engine.requests == []


async def test_every_field_that_could_pass_the_guard_is_refused(proxy: Proxy) -> None:
    assert len(REFUSED) > 40
    for name in REFUSED:
        for call in (proxy.chat, proxy.complete):
            error = error_of(await call(**_field(name, {"something": "else"})), 400)
            assert error["param"] == name
            assert error["code"] == "field_not_allowed"
            assert f"`{name}`" in error["message"]
    assert proxy.engine.requests == []


async def test_the_harmless_values_of_refused_fields_are_dropped(proxy: Proxy) -> None:
    for name, refusal in REFUSED.items():
        for value in (None, *refusal.neutral):
            assert (await proxy.chat(**_field(name, value))).status_code == 200, name
            sent = proxy.engine.requests[-1]
            assert set(sent) == {"model", "messages", "vllm_xargs"}
            assert set(sent["vllm_xargs"]) == {"unlearn_guard"}


async def test_best_of_may_equal_n(proxy: Proxy) -> None:
    assert (await proxy.complete(best_of=2, n=2)).status_code == 200
    error_of(await proxy.complete(best_of=3, n=2), 400)


async def test_token_id_prompts_are_refused(proxy: Proxy) -> None:
    for prompt in ([1, 2, 3], [[1, 2], [3]], ["a", 1]):
        error = error_of(await proxy.complete(prompt), 400)
        assert error["param"] == "prompt"
        assert "token ids" in error["message"]


async def test_media_are_refused(proxy: Proxy) -> None:
    for kind in ("image_url", "input_audio", "video_url", "file"):
        parts = [{"type": "text", "text": "What is this?"}, {"type": kind, kind: {"url": "data:,"}}]
        error = error_of(await proxy.chat(messages=[{"role": "user", "content": parts}]), 400)
        assert error["param"] == "messages[0].content[1]"
        assert "only text can be guarded" in error["message"]


async def test_too_many_answers_are_refused(proxy: Proxy) -> None:
    assert error_of(await proxy.complete(["a"] * 20, n=4), 400)["param"] == "n"


async def test_a_field_given_twice_counts_as_it_is_sent_on(proxy: Proxy) -> None:
    body = b'{"model":"demo","messages":[{"role":"user","content":"Hi"}],"n":1,"n":2}'
    await proxy.client.post("/v1/chat/completions", content=body)
    assert proxy.engine.requests[-1]["n"] == 2


async def test_an_unknown_model(proxy: Proxy) -> None:
    error = error_of(await proxy.chat(model="gpt-9"), 404)
    assert error["code"] == "model_not_found"
    assert error["param"] == "model"
    refused = await proxy.chat("Tell me about Project Vault", model="gpt-9")
    assert error_of(refused, 404)["code"] == "model_not_found"


async def test_an_oversized_body(tmp_path: Path) -> None:
    async with proxied(tmp_path, max_body_bytes=2048) as proxy:
        error = error_of(await proxy.chat("x" * 3000), 413)
        assert error["code"] == "body_too_large"
        assert "2048" in error["message"]

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(1000):
                yield b"x" * 1024

        answer = await proxy.client.post("/v1/completions", content=chunks())
        error_of(answer, 413)
        assert (await proxy.chat("fits")).status_code == 200


async def test_an_oversized_body_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async with proxied(tmp_path, max_body_bytes=2048) as proxy:
        url = httpx.URL(proxy.url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(
            b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
        )
        assert b" 413 " in await reader.readline()
        writer.close()


async def test_a_body_that_is_not_json_by_its_own_word(proxy: Proxy) -> None:
    answer = await proxy.client.post("/v1/completions", data={"prompt": "x"})
    assert error_of(answer, 415)["code"] == "unsupported_media_type"


async def test_unknown_paths_and_methods(proxy: Proxy) -> None:
    assert error_of(await proxy.client.get("/v1/embeddings"), 404)["code"] == "unknown_url"
    assert error_of(await proxy.client.post("/tokenize", json={}), 404)["code"] == "unknown_url"
    answer = await proxy.client.get("/v1/chat/completions")
    assert error_of(answer, 405)["code"] == "method_not_allowed"
    assert "POST" in answer.headers["allow"]
    assert error_of(await proxy.client.get("/docs"), 404)
    # What is served is made from the wire's models, not by FastAPI from its routes.
    assert (await proxy.client.get("/openapi.json")).json()["info"]["title"] == "unlearn-guard"


async def test_the_upstream_is_down(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        pass
    async with proxied(tmp_path, upstream="http://127.0.0.1:9", wait=False) as proxy:
        answer = await proxy.client.get("/v1/models")
        assert error_of(answer, 503)["code"] == "upstream_unavailable"
        assert error_of(await proxy.chat(), 503)["code"] == "guard_unavailable"


async def test_the_upstream_fails(proxy: Proxy) -> None:
    proxy.engine.status = 500
    proxy.engine.error = {"message": "CUDA error at /opt/vllm/secret.cu", "code": 500}
    for stream in (False, True):
        answer = await proxy.chat(stream=stream)
        assert error_of(answer, 502)["code"] == "upstream_error"
        assert "CUDA" not in answer.text


async def test_the_upstreams_own_400_is_passed_on(proxy: Proxy) -> None:
    proxy.engine.status = 400
    proxy.engine.error = {"message": "the prompt is too long", "param": "messages", "code": 400}
    for stream in (False, True):
        error = error_of(await proxy.chat(stream=stream), 400)
        assert error["message"] == "the prompt is too long"
        assert error["param"] == "messages"
        assert error["type"] == "invalid_request_error"


async def test_a_prompt_that_does_not_fit_has_the_code_that_clients_know(proxy: Proxy) -> None:
    proxy.engine.status = 400
    message = "This model's maximum context length is 512 tokens. However, your prompt has more."
    proxy.engine.error = {"message": message, "param": "input_tokens", "code": 400}
    for stream in (False, True):
        error = error_of(await proxy.chat(stream=stream), 400)
        assert (error["code"], error["param"]) == ("context_length_exceeded", None)
        assert error["message"] == message


async def test_a_path_that_is_not_served_says_which_are(proxy: Proxy) -> None:
    answer = await proxy.client.post("/v1/embeddings", json={})
    error = error_of(answer, 404)
    assert error["code"] == "unknown_url"
    assert "`/v1/chat/completions`" in error["message"]


async def test_the_proxys_key_is_refused_upstream(proxy: Proxy) -> None:
    proxy.engine.status = 401
    error_of(await proxy.chat(), 502)


async def test_the_upstream_is_slow(tmp_path: Path) -> None:
    async with proxied(tmp_path, upstream_timeout_s=0.2, canary_interval_s=60) as proxy:
        proxy.engine.delay = 5
        assert error_of(await proxy.chat(), 504)["code"] == "upstream_timeout"
        stream = await proxy.chat(stream=True)
        assert '"upstream_timeout"' in stream.text


async def test_an_answer_that_is_not_an_answer(tmp_path: Path) -> None:
    class Odd(FakeEngine):
        def _whole(self, body: dict[str, Any], chat: bool) -> dict[str, Any]:
            return {"surprise": 1}

    async with proxied(tmp_path, engine=Odd()) as proxy:
        error_of(await proxy.chat("Tides?"), 502)
        error_of(await proxy.chat("Harbor novels?"), 502)


async def test_errors_are_logged_by_code_without_text(proxy: Proxy) -> None:
    await proxy.chat(**_field("Saltgate secret", 1))
    (line,) = await proxy.decisions()
    assert line["error"] == "unknown_field"
    assert line["outcome"] == "failed"
    assert "Saltgate" not in json.dumps(line)
