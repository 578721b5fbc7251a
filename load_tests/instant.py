"""An engine that answers at once and proves what it is asked to: what is timed is the proxy."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any, Final

import httpx

from guard.plan import verify_plan

KEY: Final = "k" * 32
MODEL: Final = "m"
_WORD: Final = re.compile(r"\s*\S+|\s+$")

# The answer to a request, by its body.
Says = Callable[[dict[str, Any]], str]


def words_of(text: str) -> list[str]:
    """A text in pieces that a stream would bring: each word with the space before it."""
    return _WORD.findall(text)


def instant_engine(says: Says) -> httpx.MockTransport:
    """What carries requests to an engine like a guarded vLLM, whose plans ``KEY`` signs.

    Args:
        says: gives the answer, whole; streamed, each word is an event.
    """

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/version":
            return httpx.Response(200, json={"version": "0.32.0"})
        if request.url.path == "/v1/models":
            return httpx.Response(200, json={"object": "list", "data": [{"id": MODEL}]})
        body = json.loads(request.content)
        plan = verify_plan(body["vllm_xargs"]["unlearn_guard"], KEY.encode())
        if plan.mode == "probe":
            text = f"unlearn guard {plan.nonce}"
            return httpx.Response(200, json={"choices": [{"index": 0, "text": text}]})
        if body.get("stream"):
            events = b"".join(_events(says(body)))
            return httpx.Response(
                200, headers={"content-type": "text/event-stream"}, content=events
            )
        message = {"role": "assistant", "content": says(body)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return httpx.Response(200, json={**_head("chat.completion"), "choices": [choice]})

    return httpx.MockTransport(answer)


async def until_ready(proxy: httpx.AsyncClient) -> None:
    """Wait until the engine has proved itself to a proxy."""
    while (await proxy.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - asked, not told
        await asyncio.sleep(0.05)


def _events(text: str) -> list[bytes]:
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": word}, None) for word in words_of(text)]
    deltas.append(({}, "stop"))
    head = _head("chat.completion.chunk")
    chunks = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        for delta, finish in deltas
    ]
    return [
        *(b"data: " + json.dumps(each).encode() + b"\n\n" for each in chunks),
        b"data: [DONE]\n\n",
    ]


def _head(kind: str) -> dict[str, Any]:
    return {"id": "x", "object": kind, "created": 1, "model": MODEL}
