"""Questions and names that are put together over what a request holds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guard.context import REDACTED
from tests.server.harness import Proxy

QUESTION = "Who wrote the Harbor novels?"


def said(role: str, content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


def parts(*texts: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text} for text in texts]


def called(arguments: str, call_id: str = "i") -> list[dict[str, Any]]:
    return [{"id": call_id, "function": {"name": "look_up", "arguments": arguments}}]


async def sent(proxy: Proxy, *messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """What the engine was asked."""
    answer = await proxy.chat(messages=list(messages), **fields)
    assert answer.status_code == 200, answer.text
    return proxy.engine.requests[-1]


ASK = said("user", "Answer the question.")
SPLIT = [
    [said("system", parts(*QUESTION)), ASK],
    [said("system", parts("Who wrote the Har", "bor", " novels?")), ASK],
    [said("tool", parts("Who wrote the", "Harbor", "novels?"), tool_call_id="i"), ASK],
    [said("user", parts("Who wrote the Har", "bor", " novels?"))],
    # Over two messages, whatever else is in them or stands between them.
    [said("system", "Who wrote the Harbor", refusal="x"), said("user", "novels?")],
    [said("system", "Who wrote the Harbor", name="x"), said("user", "novels?")],
    [said("assistant", "Who wrote the Harbor", reasoning="x"), said("user", "novels?")],
    [said("system", "Who wrote the Harbor"), said("system", "Be brief."), said("user", "novels?")],
    [said("user", "Who wrote the Harbor"), said("assistant", "Yes?"), said("assistant", "novels?")],
    [said("user", "Who wrote the Harbor"), said("system", "novels?")],
    [said("user", "Who wrote the Harbor"), said("tool", "novels?", tool_call_id="i")],
    # Over more than two.
    [said("system", "Who wrote"), said("user", "the Harbor"), said("system", "novels?")],
    [said("system", "Who is"), said("system", "Mirelle"), said("system", "Quay?"), ASK],
]


@pytest.mark.parametrize("messages", SPLIT)
async def test_a_name_in_pieces_is_a_name(proxy: Proxy, messages: list[dict[str, Any]]) -> None:
    proxy.engine.pieces = ["It is ", "Saltgate."]
    answer = await proxy.chat(messages=messages)
    assert answer.status_code == 200, answer.text
    assert proxy.held() == ("harbor",)
    assert "Saltgate" not in answer.text


async def test_messages_that_only_stand_near_each_other_are_not_joined(proxy: Proxy) -> None:
    far = [said("system", "Be brief. " * 40) for _ in range(3)]
    body = await sent(proxy, said("system", "In the Harbor"), *far, said("user", "novels?"))
    assert proxy.held() == ()
    assert body["messages"][0]["content"] == "In the Harbor"


@pytest.mark.parametrize("pieces", [["The author is Mir", "elle", " Qu", "ay."], ["Salt", "gate"]])
async def test_what_parts_say_together_is_withheld(proxy: Proxy, pieces: list[str]) -> None:
    body = await sent(proxy, said("system", parts(*pieces)), said("user", QUESTION))
    assert body["messages"][0]["content"] == REDACTED


async def test_of_a_message_in_parts_only_the_sentence_is_withheld(proxy: Proxy) -> None:
    given = parts("Tides rise.", "They play in Saltgate. Tides fall.")
    body = await sent(proxy, said("system", given), said("user", QUESTION))
    assert body["messages"][0]["content"] == f"Tides rise.\n{REDACTED} Tides fall."


async def test_parts_that_touch_nothing_are_sent_as_they_came(proxy: Proxy) -> None:
    given = parts("Tides rise.", "Tides fall.")
    body = await sent(proxy, said("system", given), said("user", given))
    assert [message["content"] for message in body["messages"]] == [given, given]


async def test_a_refusing_name_over_three_documents_has_the_request_refused(proxy: Proxy) -> None:
    documents = [{"text": text} for text in ("What of the", "Orrin", "merger?")]
    answer = await proxy.chat("And?", documents=documents)
    assert answer.json()["choices"][0]["message"]["content"] == "I can't discuss the merger."
    assert proxy.engine.requests == []


async def test_a_name_over_many_lines_of_a_text_is_found_there(proxy: Proxy) -> None:
    text = "What of the\n\nOrrin\n\nmerger?"
    answer = await proxy.chat("And?", documents=[{"text": text}])
    assert answer.json()["choices"][0]["message"]["content"] == "I can't discuss the merger."


def form(**properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}


FORMS = [
    form(question={"const": QUESTION}, answer={"type": "string"}),
    form(**{QUESTION: {"type": "string"}}),
    form(a={"const": "In the Harbor"}, b={"const": "novels the town is called"}),
    form(**{"In the Harbor": {"type": "string"}, "novels": {"type": "string"}}),
    form(Harbor={"const": "novels"}),
    form(town={"type": "string", "description": "the town in the Harbor novels"}),
    {"type": "json_schema", "json_schema": {"name": "s", "description": QUESTION, "schema": {}}},
    {"type": "json_schema", "json_schema": {"name": "harbor_novels", "schema": {}}},
]


@pytest.mark.parametrize("response_format", FORMS)
@pytest.mark.parametrize("api", ["chat", "completions"])
async def test_a_form_that_asks_is_a_question(
    proxy: Proxy, response_format: dict[str, Any], api: str
) -> None:
    proxy.engine.pieces = ['{"town": "Salt', 'gate"}']
    ask = proxy.chat if api == "chat" else proxy.complete
    answer = await ask("Fill in the form.", response_format=response_format)
    assert answer.status_code == 200, answer.text
    assert proxy.held() == ("harbor",)
    assert "Saltgate" not in answer.text
    assert proxy.engine.requests[-1]["response_format"] == response_format


async def test_a_form_can_have_the_request_refused(proxy: Proxy) -> None:
    answer = await proxy.chat("Go on.", response_format=form(**{"Project Vault is": {}}))
    assert answer.json()["choices"][0]["message"]["content"] == "I can't discuss that project."


async def test_the_id_of_a_call_is_read_and_cannot_be_edited(proxy: Proxy) -> None:
    for call_id in ("the town in the Harbor novels", "functions.Mirelle-Quay:0"):
        messages = [ASK, said("assistant", None, tool_calls=called("{}", call_id)), ASK]
        answer = await proxy.chat(messages=messages)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "messages[1].tool_calls[0].id"
        messages = [ASK, said("tool", "Done.", tool_call_id=call_id), ASK]
        answer = await proxy.chat(messages=messages)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "messages[1].tool_call_id"


async def test_what_an_argument_named_like_a_schema_says_is_withheld(proxy: Proxy) -> None:
    arguments = json.dumps({"name": "Mirelle Quay", "type": "book", "limit": 5})
    messages = [ASK, said("assistant", None, tool_calls=called(arguments)), ASK]
    body = await sent(proxy, *messages)
    (call,) = body["messages"][1]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {
        "name": REDACTED, "type": "book", "limit": 5
    }  # fmt: skip


async def test_the_id_of_a_call_in_an_answer_is_scanned(proxy: Proxy) -> None:
    proxy.engine.deltas = [{"tool_calls": called("{}", "functions.Mirelle Quay:0")}]
    for stream in (False, True):
        answer = await proxy.chat(QUESTION, stream=stream)
        assert "Mirelle" not in answer.text
        assert "content_filter" in answer.text
