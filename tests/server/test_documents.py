"""``documents`` of a chat request, which vLLM hands to the chat template."""

from __future__ import annotations

from typing import Any

import pytest

from guard.context import DROPPED, REDACTED
from tests.server.harness import Proxy

NAMED = "Tides rise. Mirelle Quay wrote of them. Tides fall."


async def sent(proxy: Proxy, content: str = "What do they say?", **fields: Any) -> Any:
    answer = await proxy.chat(content, **fields)
    assert answer.status_code == 200, answer.text
    return proxy.engine.requests[-1]


@pytest.mark.parametrize("nested", [False, True])
async def test_documents_are_withheld_from_and_forwarded(proxy: Proxy, nested: bool) -> None:
    documents = [
        {"title": "On tides", "text": NAMED},
        {"title": "Mirelle Quay", "contents": "Project Vault is secret."},
    ]
    fields: dict[str, Any] = {"documents": documents}
    body = await sent(proxy, **({"chat_template_kwargs": fields} if nested else fields))
    assert body["documents"] == [
        {"title": "On tides", "text": f"Tides rise. {REDACTED} Tides fall."},
        {"title": REDACTED, "contents": DROPPED},
    ]
    assert "chat_template_kwargs" not in body
    assert proxy.held() == ("harbor", "vault")
    (line,) = await proxy.decisions()
    assert {edit["place"] for edit in line["edits"]} == {
        "documents[0]#1", "documents[1]#0", "documents[1]#1"
    }  # fmt: skip


async def test_a_name_over_two_documents_is_withheld(proxy: Proxy) -> None:
    documents = [{"text": "It is called the Harbor"}, {"text": "novels by many."}]
    body = await sent(proxy, documents=documents)
    assert body["documents"] == [{"text": REDACTED}, {"text": REDACTED}]


async def test_a_refusing_target_in_a_document_has_the_request_refused(proxy: Proxy) -> None:
    answer = await proxy.chat("And?", documents=[{"text": "The Orrin merger is on."}])
    assert answer.json()["choices"][0]["message"]["content"] == "I can't discuss the merger."
    assert proxy.engine.requests == []


async def test_a_question_about_a_target_has_its_phrases_withheld_too(proxy: Proxy) -> None:
    documents = [{"text": "The town is Saltgate. It has walls."}]
    body = await sent(proxy, "Where are the Harbor novels set?", documents=documents)
    assert body["documents"] == [{"text": f"{REDACTED} It has walls."}]
    assert (await sent(proxy, documents=documents))["documents"] == documents


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"documents": "a"}, "documents"),
        ({"documents": [{"text": 1}]}, "documents[0].text"),
        ({"documents": ["a"]}, "documents[0]"),
        ({"documents": [{"Mirelle Quay": "wrote"}]}, "documents[0]#names"),
        ({"chat_template_kwargs": {"documents": [], "x": 1}}, "chat_template_kwargs"),
        (
            {"chat_template_kwargs": {"documents": [{}]}, "documents": [{"text": "a"}]},
            "chat_template_kwargs",
        ),
    ],
)
async def test_what_cannot_be_guarded_is_refused(proxy: Proxy, fields: Any, param: str) -> None:
    answer = await proxy.chat("Hi", **fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert proxy.engine.requests == []


async def test_completions_have_no_documents(proxy: Proxy) -> None:
    answer = await proxy.complete("Hi", documents=[{"text": "a"}])
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unknown_field"
