"""Structured output under the guard: other ways on are taken, and where there is none it ends."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from tests.e2e.asking import Asking, says, together
from tests.e2e.conftest import MODEL, Stack

PROMPT = "Name the capital of France.\nAnswer:\n"
TOUCHING = "Who wrote the Harry Potter books?"


def one_of(*names: str) -> dict[str, Any]:
    return {
        "type": "object", "properties": {"city": {"type": "string", "enum": list(names)}},
        "required": ["city"], "additionalProperties": False,
    }  # fmt: skip


# Each holds "Paris" and something else.
OPEN: list[dict[str, Any]] = [
    {"choice": ["Paris", "Rome"]},
    {"regex": "(Paris|Rome)[.!]"},
    {"json": one_of("Paris", "Rome")},
    {"grammar": 'root ::= "Paris" | "Rome"'},
]
# Each holds "Paris" alone, some of them with a beginning that may be said.
SHUT: list[dict[str, Any]] = [
    {"choice": ["Paris"]},
    {"choice": ["The old city of Paris"]},
    {"regex": "Par(is|is!)"},
    {"json": one_of("Paris")},
    {"grammar": 'root ::= "It is " "Paris"'},
]
SAMPLED: list[dict[str, Any]] = [
    {}, {"temperature": 1.0, "top_p": 0.9, "top_k": 20, "min_p": 0.05, "seed": 1, "logprobs": 2},
]  # fmt: skip


@pytest.fixture(scope="module")
def asking(stack: Stack) -> Asking:
    return Asking.of(stack.engine, stack.key, stack.bundles, MODEL)


@pytest.mark.parametrize("grammar", OPEN)
def test_a_grammar_with_another_way_on_takes_it_or_ends(
    asking: Asking, grammar: dict[str, Any]
) -> None:
    fields: dict[str, Any] = {"structured_outputs": grammar, "max_tokens": 40}
    assert says(asking.ask(PROMPT, **fields)[0].text, "Paris")
    hot: list[dict[str, Any]] = [{"temperature": 1.0, "seed": seed} for seed in range(6)]
    calls = [partial(asking.send, PROMPT, ("Paris",), **fields, **way) for way in ({}, *hot)]
    taken = 0
    for answer in together(calls):
        # One that has begun with the letters of "Paris" cannot go back, and ends.
        assert answer.status_code in (200, 500)
        assert not says(answer.text, "Paris")
        taken += says(answer.text, "Rome")
    assert taken >= 2


@pytest.mark.parametrize("sampled", SAMPLED)
@pytest.mark.parametrize("grammar", SHUT)
def test_a_grammar_with_no_other_way_ends_without_the_word_and_harms_no_one_else(
    asking: Asking, grammar: dict[str, Any], sampled: dict[str, Any]
) -> None:
    fields = {"structured_outputs": grammar, "max_tokens": 40, **sampled}
    (free,) = asking.ask(PROMPT, **fields)
    assert says(free.text, "Paris")
    ended = asking.send(PROMPT, ("Paris",), **fields)
    assert ended.status_code == 500
    assert ended.json()["error"]["message"] == "Internal server error"
    streamed = asking.send(PROMPT, ("Paris",), stream=True, **fields).text.splitlines()
    events = [json.loads(line[6:]) for line in streamed if line.startswith("data: {")]
    assert events[-1]["error"]["message"] == "Internal server error"
    text = "".join(event["choices"][0]["text"] for event in events[:-1])
    assert not says(text, "Paris")
    assert asking.ask(PROMPT, ("Paris",))[0].finish in ("stop", "length")


def test_a_special_token_parts_the_answer_from_the_last_word_of_the_prompt(asking: Asking) -> None:
    # As in the templates of many models, where nothing else stands between the two.
    prompt, grammar = "The capital of France<|im_end|>", {"choice": ["Paris"]}
    assert says(asking.ask(prompt, structured_outputs=grammar)[0].text, "Paris")
    assert asking.send(prompt, ("Paris",), structured_outputs=grammar).status_code == 500


# Names no phrase, says nothing that detection knows, and leaves nothing else to say than a phrase.
SPLIT = {
    "type": "json_schema",
    "json_schema": {
        "name": "parts",
        "schema": {
            "type": "array", "prefixItems": [{"const": "Hermi"}, {"const": "one"}],
            "items": False, "minItems": 2, "maxItems": 2,
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
def test_through_the_proxy_such_an_answer_ends_as_filtered(stack: Stack, stream: bool) -> None:
    free = stack.chat("Say something.", response_format=SPLIT).choices[0]
    assert json.loads(free.message.content) == ["Hermi", "one"]
    if stream:
        chunks = list(stack.chat(TOUCHING, response_format=SPLIT, stream=True))
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        reasons = [c.choices[0].finish_reason for c in chunks if c.choices]
    else:
        choice = stack.chat(TOUCHING, response_format=SPLIT).choices[0]
        text, reasons = choice.message.content, [choice.finish_reason]
    assert reasons[-1] == "content_filter"
    assert text == ""


def test_a_guarded_answer_in_a_free_form_is_json_without_the_phrases(stack: Stack) -> None:
    schema = {
        "type": "object",
        "properties": {"author": {"type": "string", "maxLength": 40}},
        "required": ["author"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "author", "schema": schema}}
    choice = stack.chat(TOUCHING, response_format=form, max_tokens=100).choices[0]
    assert choice.finish_reason in ("stop", "length")
    assert not says(choice.message.content, "Rowling")
    if choice.finish_reason == "stop":
        assert set(json.loads(choice.message.content)) == {"author"}
