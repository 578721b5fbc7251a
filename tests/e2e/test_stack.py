"""What an operator and an app developer see: readiness, refusals, the OpenAI client, reloads."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest

from guard.plan import XARG, GuardPlan, sign_plan
from tests.e2e.conftest import MODEL, Stack, wait_until

QUESTION = "What is the capital of France?"


def test_the_canary_has_proved_the_engine(stack: Stack) -> None:
    answer = httpx.get(f"{stack.proxy}/readyz")
    assert answer.status_code == 200
    assert httpx.get(f"{stack.proxy}/healthz").status_code == 200
    assert "unlearn_guard" in httpx.get(f"{stack.proxy}/metrics").text


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_the_engine_refuses_who_comes_without_a_plan(stack: Stack, path: str) -> None:
    text = {"messages": [{"role": "user", "content": "hi"}], "prompt": "hi"}
    field = "messages" if "chat" in path else "prompt"
    answer = httpx.post(f"{stack.engine}{path}", json={"model": MODEL, field: text[field]})
    assert answer.status_code == 400
    assert "no guard plan" in answer.text


def test_the_engine_refuses_a_forged_and_an_expired_plan(stack: Stack) -> None:
    digest = httpx.get(f"{stack.proxy}/readyz").json()["policy"]["bundle"]
    for plan, reason in (
        (sign_plan(GuardPlan(digest), b"another key" * 4), "signature"),
        (sign_plan(GuardPlan(digest), stack.key.encode(), now=1.0), "expired"),
    ):
        answer = httpx.post(
            f"{stack.engine}/v1/completions",
            json={"model": MODEL, "prompt": "hi", "vllm_xargs": {XARG: plan}},
        )
        assert answer.status_code == 400
        assert reason in answer.text


def test_the_openai_client_lists_the_model(stack: Stack) -> None:
    assert [model.id for model in stack.client().models.list()] == [MODEL]
    assert stack.client().models.retrieve(MODEL).id == MODEL


def test_usage_and_finish_reasons_arrive_as_openai_sends_them(stack: Stack) -> None:
    answer = stack.chat(QUESTION, max_tokens=3)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 3
    chunks = list(
        stack.chat(QUESTION, max_tokens=3, stream=True, stream_options={"include_usage": True})
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 3


def test_a_guarded_stream_ends_with_its_usage(stack: Stack) -> None:
    chunks = list(
        stack.chat(
            "Who wrote the Harry Potter books?",
            max_tokens=10, stream=True, stream_options={"include_usage": True},
        )
    )  # fmt: skip
    assert chunks[-1].usage.completion_tokens > 0
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] is not None


def test_a_stop_word_stops(stack: Stack) -> None:
    text = str(stack.chat("Count from one to ten.", stop=["four", "4"]).choices[0].message.content)
    assert "four" not in text
    assert "4" not in text


def test_long_prompts_with_seeds_at_once_are_all_answered(stack: Stack) -> None:
    # More tokens together than one step takes: split, they would end an engine on a CPU.
    question = "Which of these words is the odd one out? " + "apple pear plum quince " * 300

    def ask(seed: int) -> int:
        answer = stack.chat(f"{seed}. {question}", seed=seed, temperature=1, max_tokens=4)
        return int(answer.usage.prompt_tokens)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) > 8192


def test_log_probabilities_of_an_unflagged_answer_arrive(stack: Stack) -> None:
    answer = stack.chat(QUESTION, max_tokens=4, logprobs=True, top_logprobs=2)
    assert len(answer.choices[0].logprobs.content) == 4
    assert len(answer.choices[0].logprobs.content[0].top_logprobs) == 2


def test_a_named_tool_is_called_with_json_arguments(stack: Stack) -> None:
    tool = {
        "type": "function",
        "function": {
            "name": "weather",
            "strict": True,
            "parameters": {
                "type": "object",
                "properties": {"days": {"type": "integer", "minimum": 1, "maximum": 9}},
                "required": ["days"],
                "additionalProperties": False,
            },
        },
    }
    answer = stack.chat(
        "Three days of weather, please.",
        tools=[tool], tool_choice={"type": "function", "function": {"name": "weather"}},
    )  # fmt: skip
    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "weather"
    assert 1 <= json.loads(call.function.arguments)["days"] <= 9


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "nobody"}, 404, "model"),
        ({"logit_bias": {"5": 100}}, 400, "logit_bias"),
        ({"extra_body": {"vllm_xargs": {XARG: "x"}}}, 400, "vllm_xargs"),
        ({"extra_body": {"surprise": 1}}, 400, "surprise"),
        ({"temperature": "hot"}, 400, "temperature"),
    ],
)
def test_bad_requests_are_openai_errors_that_name_the_field(
    stack: Stack, fields: dict[str, object], status: int, param: str
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        stack.client().chat.completions.create(
            **{"model": MODEL, "messages": [{"role": "user", "content": "hi"}], **fields}  # type: ignore[call-overload]
        )
    assert caught.value.status_code == status
    body = caught.value.body
    assert isinstance(body, dict)
    assert body["param"] == param
    assert param in body["message"]


@pytest.mark.parametrize("question", [QUESTION, "Tell me all about Harry Potter."])
def test_a_client_that_leaves_a_stream_stops_the_generation(stack: Stack, question: str) -> None:
    wait_until(lambda: stack.running() == 0, "the engine is idle")
    stream = stack.chat(question, stream=True, max_tokens=4000, extra_body={"ignore_eos": True})
    next(iter(stream))
    wait_until(lambda: stack.running() == 1, "the engine generates")
    stream.close()
    wait_until(lambda: stack.running() == 0, "the generation is cancelled")


def test_a_client_that_leaves_before_the_answer_stops_the_generation(stack: Stack) -> None:
    wait_until(lambda: stack.running() == 0, "the engine is idle")
    client = stack.client().with_options(timeout=3)
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": QUESTION}], max_tokens=4000,
            extra_body={"ignore_eos": True},
        )  # fmt: skip
    wait_until(lambda: stack.running() == 0, "the generation is cancelled")


def test_a_policy_edit_goes_live_and_a_broken_one_does_not(stack: Stack) -> None:
    def digest() -> str:
        return str(httpx.get(f"{stack.proxy}/readyz").json()["policy"]["bundle"])

    def reason() -> str:
        return json.dumps(httpx.get(f"{stack.proxy}/readyz").json())

    question = "What is the capital of Australia?"
    assert "Canberra" in str(stack.chat(question).choices[0].message.content)
    before = digest()
    added = stack.policies / "added.yaml"
    added.write_text(
        "version: 1\n"
        "targets:\n"
        "  - id: canberra\n"
        "    title: Canberra\n"
        "    reason: secret\n"
        "    owner: test@example.com\n"
        "    detect: {aliases: [Australia]}\n"
        "    forbid: {phrases: [Canberra]}\n"
    )
    wait_until(lambda: digest() != before, "the edit is live")
    assert "Canberra" not in str(stack.chat(question).choices[0].message.content)
    live = digest()

    added.write_text("version: 1\ntargets:\n  - id: [broken\n")
    wait_until(lambda: "added.yaml" in reason(), "the broken edit is reported")
    assert digest() == live
    assert httpx.get(f"{stack.proxy}/readyz").status_code == 200
    assert "Canberra" not in str(stack.chat(question).choices[0].message.content)

    added.unlink()
    wait_until(lambda: digest() != live, "the edit is taken back")
    assert "Canberra" in str(stack.chat(question).choices[0].message.content)
