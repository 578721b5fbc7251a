"""What counts as an answer that got out, and what a client is said to have seen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from load_tests.chat import Endpoint
from load_tests.figures.faults import _flip, _got_out
from load_tests.pressing import Client, Seen

WHERE = Endpoint("http://127.0.0.1:1", "m")


def test_an_answer_gets_out_if_it_says_what_its_bundle_forbids() -> None:
    decided = {"one": ["France"], "two": ["Norway"]}
    said = "The capital is Paris."
    assert _got_out(decided, Seen("France", "answered", said, "one"))
    assert not _got_out(decided, Seen("France", "answered", said, "two"))
    assert not _got_out(decided, Seen("France", "answered", "A city.", "one"))
    # Of an answer that no decision is known of, all is forbidden.
    assert _got_out(decided, Seen("France", "answered", said))


@pytest.mark.parametrize("text", ["PARIS", "it is **Paris**,", "Par\u00eds"])
def test_a_capital_is_said_in_any_writing(text: str) -> None:
    assert Seen("France", "answered", text).tells


def test_a_capital_within_another_word_is_not_said() -> None:
    assert not Seen("France", "answered", "comparison").tells


def served(monkeypatch: pytest.MonkeyPatch, status: int, *parts: bytes, cut: bool = False) -> None:
    """Make every client be answered so, and cut off at the end if told."""

    async def body() -> AsyncIterator[bytes]:
        for part in parts:
            yield part
        if cut:
            raise httpx.ReadError("gone")

    def http(self: Client) -> httpx.AsyncClient:
        transport = httpx.MockTransport(
            lambda _: httpx.Response(status, content=body(), headers={"x-guard-decision": "d"})
        )
        return httpx.AsyncClient(base_url=self.endpoint.url, transport=transport)

    monkeypatch.setattr(Client, "_http", http)


def seen(stream: bool) -> Seen:
    client = Client(WHERE)
    asyncio.run(client.ask_all(["France"], stream=stream))
    return client.seen[0]


def event(text: str) -> bytes:
    return f"data: {json.dumps({'choices': [{'delta': {'content': text}}]})}\n\n".encode()


def test_a_stream_that_breaks_off_keeps_what_came(monkeypatch: pytest.MonkeyPatch) -> None:
    served(monkeypatch, 200, event("Par"), event("is"), cut=True)
    assert seen(stream=True) == Seen("France", "cut", "Paris", "d")


def test_a_stream_that_ends_with_an_error_is_told_from_one_that_is_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = b'data: {"error": {"code": "upstream_unavailable"}}\n\n'
    served(monkeypatch, 200, event("A"), error)
    assert seen(stream=True).end == "ended upstream_unavailable"
    served(monkeypatch, 200, event("A"), b"data: [DONE]\n\n")
    assert seen(stream=True).end == "answered"


def test_an_error_instead_of_an_answer_is_told_with_its_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served(monkeypatch, 503, b'{"error": {"code": "guard_unavailable"}}')
    assert seen(stream=False).end == "refused 503 guard_unavailable"
    served(monkeypatch, 500, b"Internal Server Error")
    assert seen(stream=False).end == "refused 500 without an error in OpenAI's form"


def test_a_flipped_byte_is_the_only_change(tmp_path: Path) -> None:
    path = tmp_path / "member"
    path.write_bytes(b"abc")
    _flip(path)
    assert path.read_bytes() == b"acc"
