from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from tests.server.harness import FakeEngine, Proxy, proxied, until


@pytest.mark.parametrize("content", ["Tides?", "Harbor novels?"])
async def test_a_client_that_leaves_a_stream_ends_it_upstream(proxy: Proxy, content: str) -> None:
    proxy.engine.pieces = ["word "] * 100
    proxy.engine.hold = True
    body = {"model": "demo", "stream": True, "messages": [{"role": "user", "content": content}]}
    async with proxy.client.stream("POST", "/v1/chat/completions", json=body) as answer:
        async for chunk in answer.aiter_bytes():
            assert b"word" in chunk
            break
        assert await proxy.metric("unlearn_guard_in_flight_requests") == 1
    # The upstream sends nothing more, so only the client's leaving can have ended it.
    proxy.engine.hold = False
    proxy.engine.delay = 0.05
    await until(lambda: proxy.engine.aborted == 1)
    (line,) = await proxy.decisions()
    assert line["disconnected"] is True
    assert await proxy.metric("unlearn_guard_in_flight_requests") == 0


async def test_a_client_that_leaves_while_nothing_streams_ends_it_upstream(proxy: Proxy) -> None:
    proxy.engine.hold = True
    body = {"model": "demo", "stream": True, "messages": [{"role": "user", "content": "Tides?"}]}
    async with proxy.client.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert answer.status_code == 200
        await anext(answer.aiter_bytes())
    (line,) = await proxy.decisions()
    assert line["disconnected"] is True
    proxy.engine.hold = False


async def test_a_client_that_leaves_before_a_whole_answer_ends_it_upstream(proxy: Proxy) -> None:
    proxy.engine.hold = True
    url = httpx.URL(proxy.url)
    _, writer = await asyncio.open_connection(url.host, url.port)
    body = json.dumps({"model": "demo", "prompt": "Tides?"}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await until(lambda: bool(proxy.engine.requests))
    assert proxy.engine.aborted == 0
    writer.close()
    await until(lambda: proxy.engine.aborted == 1)
    (line,) = await proxy.decisions()
    assert (line["disconnected"], line["status"]) == (True, 499)


async def test_a_client_that_leaves_in_its_body_harms_nobody(proxy: Proxy) -> None:
    url = httpx.URL(proxy.url)
    _, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
    await writer.drain()
    writer.close()
    (line,) = await proxy.decisions()
    assert line["disconnected"] is True
    assert proxy.engine.requests == []
    assert (await proxy.chat()).status_code == 200


async def test_the_log_is_whole_after_shutdown(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with proxied(tmp_path, engine=engine) as proxy:
        await asyncio.gather(*(proxy.chat(f"Tides {i}?") for i in range(50)))
    lines = (tmp_path / "decisions.jsonl").read_text().splitlines()
    assert len({json.loads(line)["id"] for line in lines}) == 50
