"""Bodies of any bytes, texts of any characters, and JSON of any depth and size."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.fuzz.live import ADMIN, SAYS, Live, fuzzed, says
from tests.server.harness import MODEL

MODELS: Final = ["/v1/chat/completions", "/v1/responses", "/v1/completions"]
TEXTS_OF: Final = [*MODELS, "/v1/guard/context", "/v1/guard/detect"]
PATHS: Final = [*TEXTS_OF, "/admin/targets"]
HEADERS: Final = {"Content-Type": "application/json", "Authorization": f"Bearer {ADMIN}"}
# Surrogates that stand alone included: JSON may hold them, UTF-8 may not.
TEXTS: Final = st.text(alphabet=st.characters(exclude_categories=()), max_size=60)
ROLES: Final = st.sampled_from(["system", "developer", "user", "assistant", "tool", "function"])
MESSAGES: Final = st.lists(
    st.fixed_dictionaries({"role": ROLES, "content": TEXTS}), min_size=1, max_size=4
)
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)
FIELDS: Final = st.sampled_from(
    """temperature top_p n stop max_tokens logprobs top_logprobs seed response_format tools
    tool_choice documents stream_options logit_bias structured_outputs vllm_xargs user metadata
    include_reasoning min_tokens echo prompt_logprobs chat_template_kwargs anything
    instructions text reasoning include truncation max_output_tokens""".split()
)


def post(proxy: Live, path: str, body: bytes) -> int:
    answer = proxy.client.post(path, content=body, headers=HEADERS)
    proxy.check(answer)
    return answer.status_code


@pytest.mark.parametrize("path", PATHS)
def test_any_bytes(proxy: Live, path: str) -> None:
    @fuzzed(0.02)
    @given(body=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
    def each(body: bytes) -> None:
        assert post(proxy, path, body) >= 400

    each()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", MODELS[:2])
def test_any_characters_in_a_chat(proxy: Live, path: str, stream: bool) -> None:
    name = "input" if path == "/v1/responses" else "messages"

    @fuzzed(0.04)
    @given(messages=MESSAGES)
    def each(messages: list[dict[str, Any]]) -> None:
        post(proxy, path, encoded(**{name: messages}, stream=stream))

    each()


@pytest.mark.parametrize("path", MODELS)
def test_any_value_in_any_field(proxy: Live, path: str) -> None:
    bases: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": {"messages": [{"role": "user", "content": "Tides?"}]},
        "/v1/responses": {"input": "Tides?"},
        "/v1/completions": {"prompt": "Tides?"},
    }

    @fuzzed(0.06)
    @given(fields=st.dictionaries(FIELDS, JSON, min_size=1, max_size=3))
    def each(fields: dict[str, Any]) -> None:
        post(proxy, path, encoded(**bases[path], **fields))

    each()


@pytest.mark.parametrize("path", TEXTS_OF)
def test_any_characters_in_texts_and_prompts(proxy: Live, path: str) -> None:
    def made(text: str) -> dict[str, Any]:
        parts = [{"type": "text", "text": text}]
        bodies: dict[str, dict[str, Any]] = {
            "/v1/chat/completions": {"messages": [{"role": "user", "content": parts}]},
            "/v1/responses": {"input": text, "instructions": text},
            "/v1/completions": {"prompt": [text, text]},
            "/v1/guard/context": {"texts": [text], "query": text},
            "/v1/guard/detect": {"texts": [text]},
        }
        return bodies[path]

    model = {"model": MODEL} if path in MODELS else {}

    @fuzzed(0.03)
    @given(text=TEXTS)
    def each(text: str) -> None:
        post(proxy, path, json.dumps({**model, **made(text)}).encode())

    each()


@pytest.mark.parametrize("opened", ["[", '{"a":', '[{"a":['])
@pytest.mark.parametrize("path", PATHS)
def test_any_depth(proxy: Live, path: str, opened: str) -> None:
    for depth in (10, 1_000, 100_000):
        assert post(proxy, path, (opened * depth).encode()) == 400
        body = {"tools": 1, "metadata": 2}
        text = json.dumps(body).replace("2", opened * depth + "1" + closed(opened) * depth)
        assert post(proxy, path, text.encode()) == 400


def closed(opened: str) -> str:
    return "".join({"[": "]", "{": "}"}[c] for c in reversed(opened) if c in "[{")


def encoded(**fields: Any) -> bytes:
    return json.dumps({"model": MODEL, **fields}).encode()


def test_the_engine_says_what_is_forbidden_or_all_this_would_prove_nothing(proxy: Live) -> None:
    assert len(says("".join(SAYS))) == 3
    asked = proxy.client.post("/v1/completions", content=encoded(prompt="Tides?"), headers=HEADERS)
    assert asked.json()["choices"][0]["finish_reason"] == "content_filter"
