from __future__ import annotations

import json
from pathlib import Path

from tests.server.harness import POLICY, FakeEngine, Proxy, events, proxied, streamed_text, until


async def test_an_unflagged_answer_is_the_upstreams_bytes(proxy: Proxy) -> None:
    answer = await proxy.chat("How do tides work?")
    assert answer.status_code == 200
    expected = proxy.engine._whole({}, chat=True)
    assert answer.json() == expected
    assert proxy.held() == ()


async def test_an_unflagged_stream_is_the_upstreams_events(proxy: Proxy) -> None:
    answer = await proxy.chat("How do tides work?", stream=True)
    direct = [e async for e in proxy.engine._events({}, chat=True)]
    assert answer.content == b"".join(direct)
    assert answer.headers["content-type"].startswith("text/event-stream")


async def test_a_named_target_is_in_the_plan(proxy: Proxy) -> None:
    await proxy.chat("Who wrote the Harbor novels?")
    assert proxy.held() == ("harbor",)
    (line,) = await proxy.decisions()
    assert line["outcome"] == "constrained"
    assert line["detections"][0]["target"] == "harbor"
    assert line["detections"][0]["evidence"][0]["place"] == "messages[0].content"


async def test_a_target_named_in_an_earlier_turn_stays_active(proxy: Proxy) -> None:
    messages = [
        {"role": "user", "content": "Who wrote the Harbor novels?"},
        {"role": "assistant", "content": "I don't know."},
        {"role": "user", "content": "And the second book?"},
    ]
    await proxy.chat(messages=messages)
    assert proxy.held() == ("harbor",)


async def test_a_forbidden_phrase_ends_a_whole_answer(proxy: Proxy) -> None:
    proxy.engine.pieces = ["It was ", "mi", "relle **Q", "uay**, of Saltgate."]
    choice = (await proxy.chat("Who wrote the Harbor novels?")).json()["choices"][0]
    assert choice["finish_reason"] == "content_filter"
    assert choice["message"]["content"].strip() == "It was"
    (line,) = await proxy.decisions()
    assert line["outcome"] == "cut"
    assert line["cuts"] == [{"choice": 0, "channel": "content", "target": "harbor"}]


async def test_a_forbidden_phrase_ends_a_stream_before_its_first_letter(proxy: Proxy) -> None:
    proxy.engine.pieces = ["It was ", "Mi", "relle Q", "uay", ", of Salt", *["gate."] * 1000]
    proxy.engine.delay = 0.01
    answer = await proxy.chat("Who wrote the Harbor novels?", stream=True)
    assert streamed_text(answer).strip() == "It was"
    assert events(answer)[-1]["choices"][0]["finish_reason"] == "content_filter"
    for secret in ("Mi", "relle", "uay", "Salt"):
        assert secret not in answer.text
    await until(lambda: proxy.engine.aborted == 1)


async def test_a_harmless_stream_of_a_flagged_request_is_whole(proxy: Proxy) -> None:
    proxy.engine.pieces = ["Mire", "lle met Sal", "ly by the gate", " of Mirelle"]
    answer = await proxy.chat("Who wrote the Harbor novels?", stream=True)
    assert streamed_text(answer) == "".join(proxy.engine.pieces)
    assert events(answer)[-1]["choices"][0]["finish_reason"] == "stop"


async def test_each_choice_is_cut_for_itself(proxy: Proxy) -> None:
    proxy.engine.raw = [
        b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"In Saltgate, "}}]}\n\n',
        b'data: {"id":"x","choices":[{"index":1,"delta":{"content":"Somewhere."}}]}\n\n',
        b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"more"}}]}\n\n',
        b'data: {"id":"x","choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}\n\n',
        b'data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
        b"data: [DONE]\n\n",
    ]
    answer = await proxy.chat("Where are the Harbor novels set?", stream=True, n=2)
    assert streamed_text(answer, 0).strip() == "In"
    assert streamed_text(answer, 1) == "Somewhere."
    reasons = {
        choice["index"]: choice["finish_reason"]
        for event in events(answer)
        for choice in event["choices"]
        if choice["finish_reason"]
    }
    assert reasons == {0: "content_filter", 1: "stop"}


async def test_usage_is_told_even_when_every_choice_is_cut(proxy: Proxy) -> None:
    proxy.engine.pieces = ["One ", "Saltgate ", "two"]
    answer = await proxy.chat("Harbor novels?", stream=True, stream_options={"include_usage": True})
    last = events(answer)[-1]
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 2
    assert all("usage" not in event for event in events(answer)[:-1])


async def test_usage_is_the_upstreams_when_nothing_is_cut(proxy: Proxy) -> None:
    for content in ("Harbor novels?", "Tides?"):
        answer = await proxy.chat(content, stream=True, stream_options={"include_usage": True})
        assert events(answer)[-1]["usage"] == {
            "prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8
        }  # fmt: skip


async def test_completions_are_guarded_alike(proxy: Proxy) -> None:
    proxy.engine.pieces = ["It is ", "Saltgate."]
    whole = await proxy.complete("The Harbor novels are set in")
    assert whole.json()["choices"][0]["text"].strip() == "It is"
    assert whole.json()["choices"][0]["finish_reason"] == "content_filter"
    stream = await proxy.complete("The Harbor novels are set in", stream=True)
    assert streamed_text(stream).strip() == "It is"


async def test_every_prompt_of_a_list_is_looked_at(proxy: Proxy) -> None:
    answer = await proxy.complete(["Tides", "The Harbor novels are set in"])
    assert proxy.held() == ("harbor",)
    assert len(answer.json()["choices"]) == 2


async def test_a_refusal_is_an_ordinary_answer_without_the_upstream(proxy: Proxy) -> None:
    answer = await proxy.chat("Tell me about Project Vault", n=2)
    body = answer.json()
    assert [c["message"]["content"] for c in body["choices"]] == [
        "I can't discuss that project."
    ] * 2
    assert {c["finish_reason"] for c in body["choices"]} == {"content_filter"}
    assert body["usage"]["total_tokens"] == 0
    assert proxy.engine.requests == []
    stream = await proxy.chat(
        "Tell me about Project Vault", stream=True, stream_options={"include_usage": True}
    )
    assert streamed_text(stream) == "I can't discuss that project."
    assert events(stream)[-1]["usage"]["total_tokens"] == 0
    text = await proxy.complete("Project Vault is")
    assert text.json()["choices"][0]["text"] == "I can't discuss that project."
    lines = await proxy.decisions(3)
    assert [line["outcome"] for line in lines] == ["refused"] * 3


async def test_a_refusing_target_stays_refused_in_later_turns(proxy: Proxy) -> None:
    messages = [
        {"role": "user", "content": "Tell me about Project Vault"},
        {"role": "assistant", "content": "I can't discuss that project."},
        {"role": "user", "content": "Who leads it?"},
    ]
    answer = await proxy.chat(messages=messages)
    assert answer.json()["choices"][0]["message"]["content"] == "I can't discuss that project."


async def test_an_observed_target_is_only_logged(proxy: Proxy) -> None:
    proxy.engine.pieces = ["A Kestrel nest."]
    answer = await proxy.chat("What is Blue Kestrel?")
    assert answer.json()["choices"][0]["message"]["content"] == "A Kestrel nest."
    assert proxy.held() == ()
    (line,) = await proxy.decisions()
    assert line["outcome"] == "observed"
    assert line["observed"] == ["watched"]


async def test_an_observed_target_does_not_edit_the_context(proxy: Proxy) -> None:
    messages = [
        {"role": "system", "content": "Blue Kestrel is a codename. Be brief."},
        {"role": "user", "content": "Hi, Harbor novels"},
    ]
    await proxy.chat(messages=messages)
    sent = proxy.engine.requests[-1]["messages"][0]["content"]
    assert sent == "Blue Kestrel is a codename. Be brief."


async def test_only_the_forbidden_sentences_of_the_context_are_redacted(proxy: Proxy) -> None:
    messages = [
        {"role": "system", "content": "Be brief. Mirelle Quay wrote books. Be kind."},
        {"role": "user", "content": "Hello Mirelle Quay"},
        {"role": "assistant", "content": "It is set in Saltgate. Anything else?"},
        {"role": "tool", "tool_call_id": "c", "content": "Weather: fine.\nThe Harbor novels sell."},
        {"role": "user", "content": "Who is Mirelle Quay, I ask?"},
    ]
    await proxy.chat(messages=messages)
    sent = [message["content"] for message in proxy.engine.requests[-1]["messages"]]
    assert sent[0].startswith("Be brief. ")
    assert sent[0].endswith(" Be kind.")
    assert "Quay" not in sent[0]
    assert "Quay" not in sent[1]
    assert "Saltgate" not in sent[2]
    assert sent[2].endswith("Anything else?")
    assert "Harbor" not in sent[3]
    assert sent[3].startswith("Weather: fine.")
    assert sent[4] == "Who is Mirelle Quay, I ask?"
    (line,) = await proxy.decisions()
    assert {edit["place"] for edit in line["edits"]} == {f"messages[{i}].content" for i in range(4)}
    assert "Quay" not in json.dumps(line)


async def test_context_alone_activates_a_target(proxy: Proxy) -> None:
    messages = [
        {"role": "system", "content": "You know the Harbor novels."},
        {"role": "user", "content": "Where is it set?"},
    ]
    await proxy.chat(messages=messages)
    assert proxy.held() == ("harbor",)


async def test_a_dropping_target_withholds_the_whole_text(proxy: Proxy) -> None:
    messages = [
        {"role": "system", "content": "Be kind. Project Vault starts in May."},
        {"role": "user", "content": "What starts in May?"},
    ]
    answer = await proxy.chat(messages=messages)
    assert answer.status_code == 200
    sent = proxy.engine.requests[-1]["messages"][0]["content"]
    assert "Vault" not in sent
    assert "Be kind" not in sent


async def test_a_refusing_context_refuses_the_request(proxy: Proxy) -> None:
    messages = [
        {"role": "tool", "tool_call_id": "c", "content": "Fine. The Orrin merger closes."},
        {"role": "user", "content": "Summarise."},
    ]
    answer = await proxy.chat(messages=messages)
    assert answer.json()["choices"][0]["message"]["content"] == "I can't discuss the merger."
    assert proxy.engine.requests == []


async def test_an_allowed_context_stays_and_the_answer_is_still_guarded(proxy: Proxy) -> None:
    system = "The Lantern Act of 1911 matters."
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "Which act?"}]
    proxy.engine.pieces = ["See the Lantern Act of 1911."]
    answer = await proxy.chat(messages=messages)
    assert proxy.engine.requests[-1]["messages"][0]["content"] == system
    assert answer.json()["choices"][0]["finish_reason"] == "content_filter"


async def test_text_parts_names_tool_arguments_and_descriptions_are_context(proxy: Proxy) -> None:
    messages = [
        {"role": "user", "content": "Look it up"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {
                        "name": "search",
                        "arguments": '{"query": "Mir\\u0065lle Quay", "limit": 3}',
                    },
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "Saltgate."}]},
        {"role": "user", "content": [{"type": "text", "text": "And the Harbor novels?"}]},
    ]
    tools = [
        {
            "type": "function",
            "function": {
                "name": "search",
                "description": "Finds Mirelle Quay. Fast.",
                "parameters": {
                    "type": "object",
                    "properties": {"query": {"type": "string", "description": "A Saltgate name"}},
                },
            },
        }
    ]
    await proxy.chat(messages=messages, tools=tools)
    sent = proxy.engine.requests[-1]
    assert "Quay" not in json.dumps(sent["messages"][:3])
    assert json.loads(sent["messages"][1]["tool_calls"][0]["function"]["arguments"])["limit"] == 3
    assert "Saltgate" not in json.dumps(sent["messages"][2])
    assert "Quay" not in json.dumps(sent["tools"])
    assert "Saltgate" not in json.dumps(sent["tools"])
    assert sent["tools"][0]["function"]["name"] == "search"


async def test_a_name_that_cannot_be_edited_is_refused(proxy: Proxy) -> None:
    messages = [
        {"role": "system", "name": "mirelle_quay", "content": "x"},
        {"role": "user", "content": "Hi"},
    ]
    answer = await proxy.chat(messages=messages)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "messages[0].name"
    assert proxy.engine.requests == []


async def test_logprobs_are_stripped_while_a_target_is_active(proxy: Proxy) -> None:
    proxy.engine.logprobs = True
    for stream in (False, True):
        answer = await proxy.chat("Harbor novels?", logprobs=True, top_logprobs=5, stream=stream)
        assert "Mirelle" not in answer.text
        assert "logprobs" not in proxy.engine.requests[-1]
        assert "top_logprobs" not in proxy.engine.requests[-1]
        free = await proxy.chat("Tides?", logprobs=True, top_logprobs=5, stream=stream)
        assert "Mirelle" in free.text
    lines = await proxy.decisions(4)
    assert [line["stripped"] for line in lines] == [
        ["logprobs", "top_logprobs"],
        [],
    ] * 2


async def test_unknown_fields_of_a_flagged_answer_do_not_leave(proxy: Proxy) -> None:
    answer = await proxy.chat("Harbor novels?")
    assert "token_ids" not in answer.text
    assert "prompt_logprobs" not in answer.text


async def test_an_always_target_holds_without_detection(tmp_path: Path) -> None:
    policy = POLICY.replace("Saltgate]}", "Saltgate], always: true}")
    async with proxied(tmp_path, policy=policy) as proxy:
        proxy.engine.pieces = ["Try Saltgate."]
        answer = await proxy.chat("Name a town.")
        assert proxy.held() == ("harbor",)
        assert answer.json()["choices"][0]["message"]["content"].strip() == "Try"
        assert (await proxy.decisions())[0]["detections"] == []


async def test_what_the_user_named_the_target_by_may_be_said_back(proxy: Proxy) -> None:
    proxy.engine.pieces = ["Mirelle Quay lived in Saltgate."]
    answer = await proxy.chat("Where did Mirelle Quay live?")
    assert answer.json()["choices"][0]["message"]["content"].strip() == "Mirelle Quay lived in"
    assert proxy.engine.plans[-1].said == (0,)

    # Who does not say the name is not given it.
    answer = await proxy.chat("Who wrote the Harbor novels?")
    assert answer.json()["choices"][0]["message"]["content"].strip() == ""
    assert not proxy.engine.plans[-1].said


async def test_a_name_that_only_the_context_holds_is_not_said_back(proxy: Proxy) -> None:
    proxy.engine.pieces = ["Mirelle Quay lived there."]
    messages = [
        {"role": "system", "content": "You know Mirelle Quay."},
        {"role": "user", "content": "Who wrote the Harbor novels?"},
    ]
    answer = await proxy.client.post(
        "/v1/chat/completions", json={"model": "demo", "messages": messages}
    )
    assert answer.json()["choices"][0]["message"]["content"].strip() == ""


async def test_a_policy_may_forbid_what_the_user_said_too(tmp_path: Path) -> None:
    policy = POLICY.replace("Saltgate]}", "Saltgate], say_back: false}")
    async with proxied(tmp_path, policy=policy) as proxy:
        proxy.engine.pieces = ["Mirelle Quay lived there."]
        answer = await proxy.chat("Where did Mirelle Quay live?")
        assert answer.json()["choices"][0]["message"]["content"].strip() == ""


async def test_an_expired_target_does_not_hold(tmp_path: Path) -> None:
    policy = POLICY.replace("Saltgate]}", "Saltgate], always: true}\n    expires: 2020-01-31")
    async with proxied(tmp_path, policy=policy) as proxy:
        await proxy.chat("Who wrote the Harbor novels?")
        assert proxy.held() == ()


async def test_reasoning_and_refusal_are_scanned(proxy: Proxy) -> None:
    for channel in ("reasoning", "reasoning_content", "refusal"):
        proxy.engine.deltas = [{channel: "The town is Salt"}, {channel: "gate, so"}]
        stream = await proxy.chat("Harbor novels?", stream=True)
        assert "Salt" not in stream.text
        assert "The town is" in stream.text
        proxy.engine.deltas = [{channel: "The town is Saltgate, so", "content": "hm"}]
        whole = await proxy.chat("Harbor novels?")
        assert "Salt" not in whole.text
        assert whole.json()["choices"][0]["finish_reason"] == "content_filter"


def _call(arguments: str, **more: object) -> dict[str, object]:
    return {"tool_calls": [{"index": 0, "function": {"arguments": arguments, **more}}]}


async def test_tool_arguments_are_held_until_whole_and_scanned_unescaped(proxy: Proxy) -> None:
    first = {
        "tool_calls": [
            {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
        ]
    }
    proxy.engine.finish = "tool_calls"
    proxy.engine.deltas = [first, _call('{"q": "Salt'), _call('g\\u0061te"}')]
    stream = await proxy.chat("Harbor novels?", stream=True)
    assert "Salt" not in stream.text
    assert "tool_calls" not in stream.text
    assert events(stream)[-1]["choices"][0]["finish_reason"] == "content_filter"

    proxy.engine.deltas = [first, _call('{"q": '), _call('"tides"}')]
    stream = await proxy.chat("Harbor novels?", stream=True)
    last = events(stream)[-1]["choices"][0]
    assert last["finish_reason"] == "tool_calls"
    call = last["delta"]["tool_calls"][0]
    assert call == {
        "index": 0, "id": "c1", "type": "function",
        "function": {"name": "f", "arguments": '{"q": "tides"}'},
    }  # fmt: skip


async def test_tool_calls_of_whole_answers_are_scanned(proxy: Proxy) -> None:
    proxy.engine.finish = "tool_calls"
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"q": 1}'}}
    proxy.engine.deltas = [{"content": None, "tool_calls": [call]}]
    good = (await proxy.chat("Harbor novels?")).json()["choices"][0]
    assert good["message"]["tool_calls"] == [call]
    assert good["message"]["content"] is None
    bad_call = {"id": "c", "type": "function", "function": {"name": "saltgate", "arguments": ""}}
    proxy.engine.deltas = [{"content": None, "tool_calls": [call, bad_call]}]
    bad = (await proxy.chat("Harbor novels?")).json()["choices"][0]
    assert "tool_calls" not in bad["message"]
    assert bad["finish_reason"] == "content_filter"


async def test_json_answers_are_held_until_whole_and_scanned_unescaped(proxy: Proxy) -> None:
    wanted = {"type": "json_object"}
    proxy.engine.pieces = ['{"town": "', "S\\u0061lt", 'gate"}']
    stream = await proxy.chat("Harbor novels?", response_format=wanted, stream=True)
    assert streamed_text(stream) == ""
    whole = await proxy.chat("Harbor novels?", response_format=wanted)
    assert whole.json()["choices"][0]["message"]["content"] == ""
    proxy.engine.pieces = ['{"town": ', '"Hull"}']
    stream = await proxy.chat("Harbor novels?", response_format=wanted, stream=True)
    assert streamed_text(stream) == '{"town": "Hull"}'


async def test_a_schema_that_could_force_a_phrase_is_refused(proxy: Proxy) -> None:
    def wanted(schema: object) -> dict[str, object]:
        return {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}

    forcing = {"enum": ["S\u0061ltgate"]}
    for schema in (forcing, {"type": "string", "pattern": "S.ltg.te"}):
        answer = await proxy.chat("Harbor novels?", response_format=wanted(schema))
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "response_format"
        assert (await proxy.chat("Tides?", response_format=wanted(schema))).status_code == 200
    free = {"type": "object", "properties": {"pattern": {"type": "string"}}}
    assert (await proxy.chat("Harbor novels?", response_format=wanted(free))).status_code == 200
    tool = {"type": "function", "function": {"name": "f", "parameters": {"pattern": "S.lt"}}}
    answer = await proxy.chat("Harbor novels?", tools=[tool], tool_choice="required")
    assert answer.json()["error"]["param"] == "tools"


async def test_what_the_engine_is_sent(proxy: Proxy) -> None:
    await proxy.chat(
        "Hi", user="u-1", metadata={"a": "b"}, temperature=0, stop=["x"], max_tokens=5, seed=None
    )
    sent = proxy.engine.requests[-1]
    assert set(sent) == {"model", "messages", "temperature", "stop", "max_tokens", "vllm_xargs"}


async def test_a_stream_that_breaks_ends_with_an_error_and_nothing_unscanned(proxy: Proxy) -> None:
    good = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"Well, Mir"}}]}\n\n'
    for bad in (
        b"data: {broken\n\n",
        b'data: {"surprise": 1}\n\n',
        b'data: {"error": {"message": "guard plan ug1.x is bad", "code": 400}}\n\n',
        b"",
    ):
        proxy.engine.raw = [good, bad]
        for content in ("Harbor novels?", "Tides?"):
            answer = await proxy.chat(content, stream=True)
            error = events(answer)[-1]["error"]
            assert set(error) == {"message", "type", "param", "code"}
            assert "ug1" not in answer.text
            if content == "Harbor novels?":
                assert "Mir" not in answer.text


async def test_an_engine_that_refuses_the_plan_is_a_guard_failure(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with proxied(tmp_path, engine=engine) as proxy:
        engine.status = 400
        engine.error = {"message": "the guard plan's signature is not valid", "code": 400}
        answer = await proxy.chat("Hi")
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "guard_unavailable"
        assert "signature" not in answer.text


async def test_under_suppress_the_harmless_part_of_a_question_is_answered(proxy: Proxy) -> None:
    question = "What is two and two? And where are the Harbor novels set?"
    proxy.engine.pieces = ["Two and two is four. ", "They are set in ", "Saltgate."]
    answer = (await proxy.chat(question)).json()["choices"][0]
    assert proxy.engine.requests[-1]["messages"][0]["content"] == question
    assert answer["message"]["content"].startswith("Two and two is four.")
    assert "Saltgate" not in answer["message"]["content"]


async def test_under_refuse_the_whole_of_a_question_is_refused(proxy: Proxy) -> None:
    answer = await proxy.chat("What is two and two? And who leads Project Vault?")
    message = answer.json()["choices"][0]["message"]["content"]
    assert message == "I can't discuss that project."
    assert proxy.engine.requests == []
