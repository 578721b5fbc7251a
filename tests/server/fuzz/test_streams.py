"""Streams of any shape from the engine: cut anywhere, with any text, broken in any way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.fuzz.live import PHRASES, SAYS, Live, fuzzed, joined
from tests.server.harness import MODEL

CHANNELS: Final = ("content", "reasoning", "reasoning_content", "refusal")
# What the normalisation makes nothing of, between or inside the words of a phrase.
BETWEEN: Final = st.sampled_from([" ", "  ", "\n", "-", " **", "_", "\u00a0", ", ", "\u2003"])
INSIDE: Final = st.sampled_from(["", "", "", "\u200b", "\u00ad", "\u2060", "\u0301"])
NOISE: Final = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)


@st.composite
def disguised(draw: st.DrawFn) -> str:
    """A forbidden phrase, written in a way that stays the same to a reader."""
    words = draw(st.sampled_from(PHRASES)).split(" ")
    out = ""
    for place, word in enumerate(words):
        out += draw(BETWEEN) if place else ""
        for char in word:
            out += (char.upper() if draw(st.booleans()) else char) + draw(INSIDE)
    return out


@st.composite
def cut(draw: st.DrawFn, text: str) -> list[str]:
    """A text in pieces."""
    places = draw(st.lists(st.integers(0, len(text)), max_size=8).map(sorted))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


@st.composite
def deltas(draw: st.DrawFn) -> list[dict[str, Any]]:
    """An answer's deltas, in which some channel says a phrase."""
    text = f"{draw(NOISE)} {draw(disguised())} {draw(NOISE)}"
    channel = draw(st.sampled_from([*CHANNELS, "arguments", "name"]))
    pieces = draw(cut(text))
    if channel in CHANNELS:
        return [{channel: piece} for piece in pieces]
    return [{"tool_calls": [{"index": 0, "function": {channel: piece}}]} for piece in pieces] + [
        {"content": "done"}
    ]


ASKING: Final[dict[str, dict[str, Any]]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Tides?"}]},
    "/v1/responses": {"input": "Tides?"},
}


def ask(proxy: Live, **fields: Any) -> set[int]:
    """Ask by each way and check the answers; their statuses."""
    statuses = set()
    for path, asked in ASKING.items():
        body = json.dumps({"model": MODEL, **asked, **fields}).encode()
        answer = proxy.client.post(path, content=body)
        proxy.check(answer, allow=(502,))
        statuses.add(answer.status_code)
    return statuses


def after(proxy: Live) -> None:
    proxy.engine.deltas, proxy.engine.raw, proxy.engine.pieces = None, None, list(SAYS)


@pytest.mark.parametrize("stream", [True, False])
def test_a_phrase_in_any_channel_cut_anywhere_never_leaves(proxy: Live, stream: bool) -> None:
    @fuzzed(0.15)
    @given(sent=deltas())
    def each(sent: list[dict[str, Any]]) -> None:
        proxy.engine.deltas = sent if stream else [_whole(sent)]
        # An engine that answers as engines do is never taken for a broken one.
        assert ask(proxy, stream=stream) == {200}

    try:
        each()
    finally:
        after(proxy)


def test_what_is_not_forbidden_comes_through_whole(proxy: Live) -> None:
    """So that a proxy which let nothing through would not pass for one that guards."""
    try:
        proxy.engine.deltas = [{"content": piece} for piece in ("The tide ", "is ", "low.")]
        for path, asked in ASKING.items():
            body = {"model": MODEL, **asked, "stream": True}
            answer = proxy.client.post(path, content=json.dumps(body).encode())
            assert "The tide is low." in joined(answer.text)
    finally:
        after(proxy)


def _whole(sent: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The deltas as one message."""
    out: dict[str, Any] = {}
    for delta in sent:
        for name, value in delta.items():
            if isinstance(value, str):
                out[name] = out.get(name, "") + value
            else:
                call = out.setdefault("tool_calls", [{"index": 0, "function": {}}])[0]["function"]
                for part, piece in value[0]["function"].items():
                    call[part] = call.get(part, "") + piece
    return out


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    value = {"id": "up", "choices": [choice]}
    return b"data: " + json.dumps(value).encode() + b"\n\n"


EVENTS: Final = st.one_of(
    NOISE.map(lambda text: chunk({"content": text})),
    disguised().map(lambda text: chunk({"content": text})),
    st.sampled_from(
        [
            chunk({}), chunk({"content": None}), chunk({"role": "assistant"}),
            chunk({"tool_calls": None}), chunk({}, "stop"), b"data: [DONE]\n\n", b": wait\n\n",
            b"\n\n", b"event: x\ndata: {}\n\n", b"data: {\n\n", b"data: []\n\n", b"data: 1\n\n",
            b'data: {"choices": [{"index": "0"}]}\n\n', b'data: {"choices": 1}\n\n',
            b'data: {"choices": [{"index": 7, "delta": {"content": "Saltgate"}}]}\n\n',
            b'data: {"error": {"message": "Saltgate", "code": 400}}\n\n',
            b"data: \xff\xfe\n\n", b"Saltgate\n\n", b"data: " + b"x" * 5000 + b"\n\n",
        ]
    ),
)  # fmt: skip


def test_a_stream_of_any_events_cut_at_any_byte_harms_nobody(proxy: Live) -> None:
    @fuzzed(0.2)
    @given(events=st.lists(EVENTS, max_size=8), data=st.data())
    def each(events: list[bytes], data: st.DataObject) -> None:
        raw = b"".join(events)
        places = data.draw(st.lists(st.integers(0, len(raw)), max_size=6).map(sorted))
        ends = zip([0, *places], [*places, len(raw)], strict=True)
        proxy.engine.raw = [raw[a:b] for a, b in ends if a < b]
        ask(proxy, stream=True)

    try:
        each()
    finally:
        after(proxy)


def test_what_the_engine_says_of_a_request_is_scanned_like_an_answer(proxy: Live) -> None:
    error = {"message": "no such thing as Salt\u200bgate", "code": 400}
    try:
        proxy.engine.raw = [b"data: " + json.dumps({"error": error}).encode() + b"\n\n"]
        ask(proxy, stream=True)
        proxy.engine.status, proxy.engine.error = 400, error
        for stream in (True, False):
            ask(proxy, stream=stream)
    finally:
        proxy.engine.status, proxy.engine.error = 200, None
        after(proxy)
