"""The model is asked about stand-ins, and the user is answered about names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from guard.bundle_loading import load_bundle
from tests.server.harness import MODEL, FakeEngine, Proxy, events, proxied, streamed_text

POLICY = """
version: 1
targets:
  - id: harbor
    title: The Harbor novels
    reason: copyright
    owner: legal@example.com
    detect: {aliases: [Mirelle Quay, "Saltgate Rising", the Lantern Prize]}
    forbid: {phrases: [Mirelle Quay, Old Fen, "1911"]}
    respond: substitute
  - id: open
    title: A thing the user may hand in
    reason: accuracy
    owner: legal@example.com
    detect: {aliases: [Orrin Vale]}
    forbid: {phrases: [Orrin Vale, Old Fen]}
    context: allow
    respond: substitute
  - id: plain
    title: Only suppressed
    reason: copyright
    owner: legal@example.com
    detect: {aliases: [Blue Kestrel]}
    forbid: {phrases: [Kestrel nest]}
  - id: watched
    title: Only watched
    reason: accuracy
    owner: legal@example.com
    mode: observe
    detect: {aliases: [Tamar Reed]}
    forbid: {phrases: [Kestrel nest]}
    respond: substitute
  - id: vault
    title: Project Vault
    reason: secret
    owner: legal@example.com
    detect: {aliases: [Project Vault]}
    respond: refuse
tenants:
  - {name: app, keys: ["sha256:%s"]}
  - {name: research, keys: ["sha256:%s"], exempt: [harbor]}
"""


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    policy = POLICY.partition("tenants:")[0]
    async with proxied(tmp_path, policy=policy) as running:
        yield running


def stand_ins(proxy: Proxy, target: str = "harbor") -> dict[str, str]:
    """The stand-ins of a target, by name."""
    bundle = load_bundle(proxy.settings.bundles, proxy.engine.plans[-1].bundle)
    made = bundle.targets[bundle.index_of(target)].stand_ins
    return {each.text: each.instead for each in made}


async def asked(proxy: Proxy, content: str, **fields: Any) -> dict[str, Any]:
    """What the engine was asked."""
    (await proxy.chat(content, **fields)).raise_for_status()
    return proxy.engine.requests[-1]


async def test_the_model_is_asked_about_stand_ins_and_the_answer_is_about_names(
    proxy: Proxy,
) -> None:
    await proxy.chat("Is Mirelle Quay real?")
    names = stand_ins(proxy)
    proxy.engine.pieces = [
        f"{names['Mirelle Quay']}'s book",
        f" {names['Saltgate Rising'].upper()}",
    ]
    answer = (await proxy.chat("Did Mirelle QUAY write “Saltgate Rising”?")).json()
    sent = proxy.engine.requests[-1]["messages"][0]["content"]
    assert sent == f"Did {names['Mirelle Quay']} write “{names['Saltgate Rising']}”?"
    said = answer["choices"][0]["message"]["content"]
    assert said == "Mirelle Quay's book SALTGATE RISING"
    assert proxy.held() == ("harbor",)


async def test_a_surname_alone_is_swapped_for_its_part_of_the_stand_in(proxy: Proxy) -> None:
    await proxy.chat("Is Mirelle Quay real?")
    names = stand_ins(proxy)
    proxy.engine.pieces = [f"The {names['Quay']}s, {names['Mirelle']} and {names['Quay']}."]
    answer = (await proxy.chat("Mirelle Quay: who is Quay?")).json()
    sent = proxy.engine.requests[-1]["messages"][0]["content"]
    assert sent == f"{names['Mirelle Quay']}: who is {names['Quay']}?"
    assert answer["choices"][0]["message"]["content"] == "The Quays, Mirelle and Quay."


@pytest.mark.parametrize("channel", ["content", "reasoning", "reasoning_content", "refusal"])
async def test_a_stand_in_is_swapped_back_wherever_a_stream_is_split(
    proxy: Proxy, channel: str
) -> None:
    await proxy.chat("Is Mirelle Quay real?")
    text = f"By {stand_ins(proxy)['Mirelle Quay']}'s hand, {stand_ins(proxy)['Mirelle']}."
    for cut in range(1, len(text)):
        proxy.engine.deltas = [{channel: text[:cut]}, {channel: text[cut:]}]
        answer = await proxy.chat("Is Mirelle Quay real?", stream=True)
        said = [
            choice["delta"].get(channel) or ""
            for event in events(answer)
            for choice in event["choices"]
        ]
        assert "".join(said) == "By Mirelle Quay's hand, Mirelle."
        assert said[0].startswith("By ") or cut < 3


async def test_a_follow_up_gets_the_same_stand_in(proxy: Proxy) -> None:
    first = await asked(proxy, "Is Mirelle Quay real?")
    name = stand_ins(proxy)["Mirelle Quay"]
    assert first["messages"][0]["content"] == f"Is {name} real?"
    messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Is Mirelle Quay real, or Orrin Vale?"},
    ]
    again = await asked(proxy, "", messages=messages)
    assert f"Is {name} real" in again["messages"][2]["content"]
    assert "Orrin" not in json.dumps(again["messages"])


async def test_a_stand_in_that_the_conversation_holds_is_not_taken(proxy: Proxy) -> None:
    await proxy.chat("Is Mirelle Quay real?")
    names = stand_ins(proxy)
    sent = await asked(proxy, f"Is Mirelle Quay as good as {names['Quay']}?")
    text = sent["messages"][0]["content"]
    assert text.endswith(f"as good as {names['Quay']}?")
    assert text.count(names["Quay"]) == 1
    assert "Quay " not in text


async def test_every_text_is_swapped_tools_and_stop_words_included(proxy: Proxy) -> None:
    tool = {
        "type": "function",
        "function": {"name": "find", "description": "Finds works of Orrin Vale."},
    }
    messages = [
        {"role": "system", "content": "Orrin Vale is dear to us."},
        {"role": "user", "content": "Who is Orrin Vale?"},
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": "c", "type": "function",
                    "function": {"name": "find", "arguments": '{"who": "Orrin Vale"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": "Vale, Orrin: no entry."},
        {"role": "user", "content": [{"type": "text", "text": "And Orrin?"}]},
    ]  # fmt: skip
    sent = await asked(proxy, "", messages=messages, tools=[tool], stop=["Orrin Vale", "x"])
    names = stand_ins(proxy, "open")
    text = json.dumps(sent)
    assert "Orrin" not in text
    assert "Vale" not in text
    assert text.count(names["Orrin Vale"]) == 5
    assert sent["stop"] == [names["Orrin Vale"], "x"]
    assert json.loads(sent["messages"][2]["tool_calls"][0]["function"]["arguments"]) == {
        "who": names["Orrin Vale"]
    }


async def test_a_stop_word_that_was_met_is_told_as_it_was_given(proxy: Proxy) -> None:
    await proxy.chat("Is Mirelle Quay real?")
    name = stand_ins(proxy)["Quay"]
    choice = {
        "index": 0,
        "delta": {"content": "Who?"},
        "finish_reason": "stop",
        "stop_reason": name,
    }
    chunk = {"id": "x", "choices": [choice]}
    proxy.engine.raw = [b"data: " + json.dumps(chunk).encode() + b"\n\n", b"data: [DONE]\n\n"]
    answer = await proxy.chat("Is Mirelle Quay real?", stop="Quay", stream=True)
    assert events(answer)[0]["choices"][0]["stop_reason"] == "Quay"


async def test_arguments_of_a_call_are_swapped_back_unescaped(proxy: Proxy) -> None:
    await proxy.chat("Is Mirelle Quay real?")
    given, family = stand_ins(proxy)["Mirelle Quay"].split()
    arguments = f'{{"{family}": "a\\n{given}\\u0020{family}"}}'
    call = {"index": 0, "id": "c", "type": "function",
            "function": {"name": "find", "arguments": arguments}}  # fmt: skip
    proxy.engine.deltas = [{"tool_calls": [call]}]
    answer = (await proxy.chat("Look up Mirelle Quay")).json()
    (called,) = answer["choices"][0]["message"]["tool_calls"]
    assert json.loads(called["function"]["arguments"]) == {family: "a\nMirelle Quay"}


async def test_completions_are_swapped_alike(proxy: Proxy) -> None:
    await proxy.complete("Mirelle Quay wrote")
    name = stand_ins(proxy)["Mirelle Quay"]
    proxy.engine.pieces = ["what ", name, " wrote"]
    whole = await proxy.complete(["Mirelle Quay wrote", "Tides are"])
    assert proxy.engine.requests[-1]["prompt"] == [f"{name} wrote", "Tides are"]
    assert [choice["text"] for choice in whole.json()["choices"]] == ["what Mirelle Quay wrote"] * 2
    stream = await proxy.complete("Mirelle Quay wrote", stream=True)
    assert streamed_text(stream) == "what Mirelle Quay wrote"


async def test_json_content_is_swapped_back_and_stays_json(proxy: Proxy) -> None:
    await proxy.chat("Is Mirelle Quay real?")
    name = stand_ins(proxy)["Mirelle Quay"]
    proxy.engine.pieces = ['{"who": "', name, '", "n": 1.50}']
    answer = await proxy.chat(
        "Is Mirelle Quay real?", response_format={"type": "json_object"}, stream=True
    )
    assert streamed_text(answer) == '{"who": "Mirelle Quay", "n": 1.50}'


async def test_what_is_forbidden_is_cut_from_the_answer_as_it_is_read(proxy: Proxy) -> None:
    await proxy.chat("Is Mirelle Quay real?")
    name = stand_ins(proxy)["Mirelle Quay"]
    proxy.engine.pieces = [f"{name} of ", "Old", " Fen"]
    choice = (await proxy.chat("Is Mirelle Quay real?")).json()["choices"][0]
    assert choice["finish_reason"] == "content_filter"
    assert choice["message"]["content"] == "Mirelle Quay of "
    (*_, line) = await proxy.decisions(2)
    assert line["outcome"] == "cut"


async def test_a_name_that_only_the_context_says_is_not_said(proxy: Proxy) -> None:
    messages = [
        {"role": "system", "content": "Orrin Vale was here. So was Ann."},
        {"role": "user", "content": "Who was here?"},
    ]
    proxy.engine.pieces = ["Ann"]
    await proxy.chat(messages=messages)
    name = stand_ins(proxy, "open")["Orrin Vale"]
    assert proxy.engine.requests[-1]["messages"][0]["content"] == f"{name} was here. So was Ann."
    proxy.engine.pieces = [f"{name} and Ann"]
    answer = (await proxy.chat(messages=messages)).json()
    assert answer["choices"][0]["message"]["content"] == f"{name} and Ann"


async def test_withheld_context_stays_withheld(proxy: Proxy) -> None:
    messages = [
        {"role": "system", "content": "Rain fell. Mirelle Quay wrote Saltgate Rising."},
        {"role": "user", "content": "Is Mirelle Quay real?"},
    ]
    sent = await asked(proxy, "", messages=messages)
    assert sent["messages"][0]["content"] == "Rain fell. [passage withheld]"
    (line,) = await proxy.decisions()
    assert [edit["target"] for edit in line["edits"]] == ["harbor"]


async def test_the_decision_says_how_much_was_swapped_and_holds_no_name(proxy: Proxy) -> None:
    await proxy.chat("Is Mirelle Quay, is Quay, real? Saltgate Rising?", logprobs=True)
    (line,) = await proxy.decisions()
    assert line["outcome"] == "substituted"
    assert line["substituted"] == [{"target": "harbor", "names": 3, "places": 3}]
    assert "logprobs" in line["stripped"]
    assert "logprobs" not in proxy.engine.requests[-1]
    text = json.dumps(line)
    for name, instead in stand_ins(proxy).items():
        assert name not in text
        assert instead not in text


@pytest.mark.parametrize(
    ("question", "outcome"),
    [
        ("How do tides work?", "passed"),
        ("Where is the Blue Kestrel?", "constrained"),
        ("Who is Tamar Reed?", "observed"),
    ],
)
async def test_nothing_else_is_swapped(proxy: Proxy, question: str, outcome: str) -> None:
    sent = await asked(proxy, question)
    assert sent["messages"][0]["content"] == question
    (line,) = await proxy.decisions()
    assert (line["outcome"], line["substituted"]) == (outcome, [])


async def test_another_target_that_refuses_is_obeyed(proxy: Proxy) -> None:
    answer = (await proxy.chat("Did Mirelle Quay lead Project Vault?")).json()
    assert answer["choices"][0]["finish_reason"] == "content_filter"
    assert proxy.engine.requests == []


async def test_what_does_not_bind_a_tenant_is_not_swapped_for_it(tmp_path: Path) -> None:
    digests = tuple(hashlib.sha256(key.encode()).hexdigest() for key in ("one", "two"))
    async with proxied(tmp_path, policy=POLICY % digests) as proxy:
        for key, is_swapped in (("one", True), ("two", False)):
            body = {"model": MODEL, "messages": [{"role": "user", "content": "Mirelle Quay?"}]}
            headers = {"Authorization": f"Bearer {key}"}
            answer = await proxy.client.post("/v1/chat/completions", json=body, headers=headers)
            answer.raise_for_status()
            sent = proxy.engine.requests[-1]["messages"][0]["content"]
            assert (sent != "Mirelle Quay?") == is_swapped


async def test_a_swap_that_fails_lets_nothing_through(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("server.request_path.substitute", broken)
    answer = await proxy.chat("Is Mirelle Quay real?")
    assert answer.status_code == 503
    assert proxy.engine.requests == []


async def test_the_last_net_holds_where_the_engine_says_a_name_that_was_swapped(
    tmp_path: Path,
) -> None:
    """Two targets name one thing: what one of them may have said back the other forbids."""
    policy = POLICY.partition("tenants:")[0].replace("Kestrel nest]", "Kestrel nest, Quay]", 1)
    async with proxied(tmp_path, policy=policy, engine=FakeEngine()) as proxy:
        question = "Does Mirelle Quay like the Blue Kestrel?"
        await proxy.chat(question)
        name = stand_ins(proxy)["Mirelle Quay"]
        proxy.engine.pieces = [f"{name} does."]
        answer = (await proxy.chat(question)).json()["choices"][0]
        assert answer["message"]["content"] == f"Mirelle {name.split()[1]} does."
        assert answer["finish_reason"] == "stop"
