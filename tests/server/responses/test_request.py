"""Which requests for a response are taken, and what is said of those that are not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from server.errors import FieldError, FieldRefusedError, RequestError, UnknownFieldError
from server.responses.request import parse_responses


def parse(**fields: Any) -> dict[str, Any]:
    return parse_responses(json.dumps({"model": "demo", "input": "Tides?", **fields}).encode())[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"store": True, "metadata": {"a": "b"}, "user": "me", "service_tier": "auto"},
        {"include": ["reasoning.encrypted_content"], "truncation": "disabled"},
        {"background": False, "previous_response_id": None, "top_logprobs": 0},
        {"text": {"verbosity": "low"}, "reasoning": {"effort": "minimal", "summary": "auto"}},
        {"stream": True, "stream_options": {"include_obfuscation": False}},
        {"prompt_cache_key": "k", "safety_identifier": "s", "parallel_tool_calls": False},
    ],
)
def test_what_openais_client_sends_is_taken(fields: dict[str, Any]) -> None:
    parse(**fields)


@pytest.mark.parametrize(
    ("fields", "kind", "param", "said"),
    [
        ({"previous_response_id": "resp_1"}, FieldRefusedError, "previous_response_id",
         "send the earlier turns in `input`"),
        ({"conversation": "conv_1"}, FieldRefusedError, "conversation", "no answer is stored"),
        ({"background": True}, FieldRefusedError, "background", "stream it"),
        ({"prompt": {"id": "p"}}, FieldRefusedError, "prompt", "`instructions`"),
        ({"truncation": "auto"}, FieldRefusedError, "truncation", "shorten"),
        ({"top_logprobs": 2}, FieldRefusedError, "top_logprobs", "`/v1/chat/completions`"),
        ({"logit_bias": {"1": 2}}, FieldRefusedError, "logit_bias", "past the guard"),
        ({"tools": [{"type": "web_search"}]}, FieldRefusedError, "tools[0]", "only functions"),
        ({"tools": [{"type": "function"}]}, FieldError, "tools[0].name", "required"),
        ({"input": []}, FieldError, "input", "at least 1"),
        ({"input": 3}, FieldError, "input", "valid"),
        ({"input": [3]}, FieldError, "input[0]", "valid"),
        ({"input": [{"type": "item_reference", "id": "msg"}]}, FieldRefusedError, "input[0]",
         "`item_reference`"),
        ({"input": [{"role": "user"}]}, FieldError, "input[0].content", "required"),
        ({"input": [{"role": "bard", "content": "?"}]}, FieldError, "input[0].role", "'user'"),
        ({"input": [{"role": "user", "content": "?", "mood": 1}]}, UnknownFieldError,
         "input[0].mood", "unknown"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
         FieldRefusedError, "input[0].content[0]", "only text"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, FieldError,
         "input[0].content[0].text", "required"),
        ({"input": [{"type": "function_call_output", "call_id": "c",
                     "output": [{"type": "input_file", "file_id": "f"}]}]},
         FieldRefusedError, "input[0].output[0]", "only text"),
        ({"input": [{"type": "function_call_output", "call_id": "c",
                     "output": [{"type": "refusal"}]}]},
         FieldError, "input[0].output[0].refusal", "required"),
        ({"input": [{"type": "reasoning", "summary": [], "encrypted_content": "x"}]},
         FieldRefusedError, "input[0].encrypted_content", "cannot read it"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, FieldError,
         "text.format.name", "required"),
        ({"text": {"format": {"type": "json_schema", "name": "a"}}}, FieldError,
         "text.format.schema", "required"),
        ({"max_tokens": 5}, UnknownFieldError, "max_tokens", "unknown"),
    ],
)  # fmt: skip
def test_what_cannot_be_guarded_is_named(
    fields: dict[str, Any], kind: type[RequestError], param: str, said: str
) -> None:
    with pytest.raises(kind) as refused:
        parse(**fields)
    assert refused.value.param == param
    assert f"`{param}`" in refused.value.message
    assert said in refused.value.message
