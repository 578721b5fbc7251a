"""A protected text leaves the proxy in runs of so many words at most, by every channel."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.guard.words import words_of
from tests.server.harness import Proxy, events, proxied, streamed_text
from tests.server.test_reload import bundle, changed

POLICY = """
version: 1
targets:
  - id: tides
    title: The tide book
    reason: copyright
    owner: legal@example.com
    detect: {aliases: [tide book]}
    forbid: {verbatim: {corpus: "book/*.txt", words: 5}}
"""
BOOK = "The lanterns of Saltgate burn low, and the ninth bell rings."
# As an answer may write it, with the sixth word in the middle of a token.
WRITTEN = ["It opens: **THE** lan", "terns  of Salt", "gate\nburn L", "OW; and the ninth", " bell."]
LEFT = ["it", "opens", "the", "lanterns", "of", "saltgate", "burn"]


def write_book(folder: Path, text: str) -> None:
    place = folder / "policies" / "book"
    place.mkdir(parents=True, exist_ok=True)
    (place / "one.txt").write_text(text)


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    write_book(tmp_path, BOOK)
    async with proxied(tmp_path, policy=POLICY) as running:
        running.engine.pieces = WRITTEN
        yield running


async def test_a_whole_answer_ends_before_the_word_too_many(proxy: Proxy) -> None:
    choice = (await proxy.chat("How does the tide book open?")).json()["choices"][0]
    assert words_of(choice["message"]["content"]) == LEFT
    assert choice["finish_reason"] == "content_filter"
    (line,) = await proxy.decisions()
    assert line["cuts"] == [{"choice": 0, "channel": "content", "target": "tides"}]


async def test_a_stream_ends_before_the_word_too_many(proxy: Proxy) -> None:
    answer = await proxy.chat("How does the tide book open?", stream=True)
    assert words_of(streamed_text(answer)) == LEFT
    assert events(answer)[-1]["choices"][0]["finish_reason"] == "content_filter"


async def test_a_plain_completion_ends_there_too(proxy: Proxy) -> None:
    choice = (await proxy.complete("The tide book opens")).json()["choices"][0]
    assert words_of(choice["text"]) == LEFT


async def test_a_tool_call_that_quotes_too_much_is_withheld(proxy: Proxy) -> None:
    arguments = json.dumps({"quote": BOOK.replace("Saltgate", "Saltg\u00e0te")})
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    proxy.engine.deltas = [{"role": "assistant", "content": None, "tool_calls": [call]}]
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    choice = (await proxy.chat("How does the tide book open?", tools=[tool])).json()["choices"][0]
    assert choice["finish_reason"] == "content_filter"
    assert "Saltg" not in json.dumps(choice)


async def test_a_request_about_something_else_is_left_alone(proxy: Proxy) -> None:
    choice = (await proxy.chat("How do tides work?")).json()["choices"][0]
    assert choice["message"]["content"] == "".join(WRITTEN)


async def test_a_text_that_is_always_protected_needs_no_detection(tmp_path: Path) -> None:
    write_book(tmp_path, BOOK)
    always = POLICY.replace("words: 5}", "words: 5}, always: true")
    async with proxied(tmp_path, policy=always) as proxy:
        proxy.engine.pieces = WRITTEN
        choice = (await proxy.chat("How do tides work?")).json()["choices"][0]
        assert words_of(choice["message"]["content"]) == LEFT
        assert proxy.held() == ("tides",)


async def test_an_edit_of_the_protected_text_goes_live(tmp_path: Path, proxy: Proxy) -> None:
    before = await bundle(proxy)
    write_book(tmp_path, "Nothing of what the old book said is in this one.")
    await changed(proxy, before)
    choice = (await proxy.chat("How does the tide book open?")).json()["choices"][0]
    assert choice["message"]["content"] == "".join(WRITTEN)
