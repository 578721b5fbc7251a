"""What a request hides is detected and withheld; what only looks like a code passes as it came."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from guard.context import REDACTED
from tests.classifiers.test_views import ORDINARY
from tests.guard.views.hiding import HIDDEN
from tests.server.harness import MODEL, Proxy, proxied

# Names that no way of hiding them reads as others: a 1 may be an i or an l.
SECRET = "The town is called Saltgate by the people there."
NAMED = "Harbor novels are what she wrote."
WAYS = [way for way in HIDDEN if way not in ("zero-width", "soft hyphens")]


def asked(tool: str, **fields: Any) -> dict[str, Any]:
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    return {
        "model": MODEL,
        "messages": [
            {"role": "user", "content": "What did you find?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": tool},
            {"role": "user", "content": "Go on about the Harbor novels."},
        ],
        **fields,
    }


async def sent(proxy: Proxy, body: dict[str, Any]) -> Any:
    answer = await proxy.client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return proxy.engine.requests[-1]["messages"]


async def test_a_hidden_question_of_the_user_is_detected_and_left_as_it_is(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        for count, way in enumerate(WAYS, 1):
            question = f"Answer this: {HIDDEN[way](NAMED)}"
            plain = {"model": MODEL, "messages": [{"role": "user", "content": question}]}
            assert (await sent(proxy, plain))[-1]["content"] == question
            line = (await proxy.decisions(count))[-1]
            assert [found["target"] for found in line["detections"]] == ["harbor"], way
            assert all(item["via"] for item in line["detections"][0]["evidence"]), way
            assert line["edits"] == []
            assert "harbor" in proxy.held()


async def test_a_forbidden_phrase_that_a_tool_result_hides_is_withheld(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        for way in WAYS:
            hidden = HIDDEN[way](SECRET)
            text = f"The weather is fine.\n\n{hidden}\n\nThat is all."
            content = (await sent(proxy, asked(text)))[2]["content"]
            assert REDACTED in content, way
            assert "The weather is fine." in content, way
            assert "That is all." in content, way
            # Of what was hidden nothing is left that says it.
            for said in ("altgat", hidden[: len(hidden) // 2], hidden[len(hidden) // 2 :]):
                assert said not in content, way


async def test_a_name_that_a_tool_result_hides_is_withheld(tmp_path: Path) -> None:
    ways = ["base64", "hex", "rot13", "reversed", "spaced", "percent"]
    async with proxied(tmp_path) as proxy:
        for count, way in enumerate(ways, 1):
            hidden = HIDDEN[way](NAMED)
            body = asked(f"The weather is fine.\n\n{hidden}\n\nThat is all.")
            body["messages"][-1]["content"] = "Go on."
            content = (await sent(proxy, body))[2]["content"]
            assert content == f"The weather is fine.\n\n{REDACTED}\n\nThat is all.", way
            line = (await proxy.decisions(count))[-1]
            assert [item["place"] for item in line["edits"]] == ["messages[2].content"]


async def test_a_code_in_lines_is_withheld_as_far_as_the_sentence_goes(tmp_path: Path) -> None:
    # Long lines, so that each is a sentence of the outer text by itself.
    code = HIDDEN["base64 in lines"](f"It is sunny today, and it was so all week. {SECRET * 2}")
    async with proxied(tmp_path) as proxy:
        content = (await sent(proxy, asked(f"Fine.\n\n{code}\n\nThat is all.")))[2]["content"]
        assert content.startswith("Fine.")
        assert content.endswith("That is all.")
        assert REDACTED in content
        assert code.splitlines()[2] not in content


async def test_a_refused_target_is_refused_where_a_tool_result_hides_it(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        hidden = HIDDEN["base64"]("What they plan is the Orrin merger.")
        answer = await proxy.client.post("/v1/chat/completions", json=asked(f"Fine. {hidden}"))
        assert answer.json()["choices"][0]["message"]["content"] == "I can't discuss the merger."
        assert all("messages" not in body for body in proxy.engine.requests)


async def test_an_ordinary_text_is_neither_flagged_nor_edited(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        for number, text in enumerate(ORDINARY.values()):
            plain = {"model": MODEL, "messages": [{"role": "user", "content": text}]}
            assert (await sent(proxy, plain))[-1]["content"] == text
            # With a target in force, so that its phrases are looked for in all of the context.
            assert (await sent(proxy, asked(text)))[2]["content"] == text
            first, second = (await proxy.decisions(2 * number + 2))[-2:]
            assert first["detections"] == []
            assert [item["target"] for item in second["detections"]] == ["harbor"]
            assert second["edits"] == []


async def test_the_log_says_how_it_was_hidden_and_not_what(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        await proxy.chat(f"Decode {HIDDEN['base64'](HIDDEN['rot13'](NAMED))}")
        (line,) = await proxy.decisions()
        assert line["detections"][0]["evidence"][0] == {
            "kind": "alias",
            "place": "messages[0].content",
            "score": 1.0,
            "threshold": 1.0,
            "via": "base64 of rot13",
        }
        assert "Harbor" not in json.dumps(line)
