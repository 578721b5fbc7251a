from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from guard.adapters.client import ContextClient, ContextRefusedError, ContextUnguardedError
from guard.context import REDACTED
from tests.server.harness import POLICY, TENANTS, proxied, serve

NAMED = "Tides rise. Mirelle Quay wrote of them. Tides fall."
KEPT = f"Tides rise. {REDACTED} Tides fall."


async def test_documents_come_back_edited_dropped_or_as_they_were(tmp_path: Path) -> None:
    when = date(2026, 1, 2)
    documents: list[dict[str, Any]] = [
        {"text": NAMED, "metadata": {"when": when, "tags": ["a", NAMED]}},
        {"text": "Project Vault is secret."},
        {"text": "How tides work.", "score": 0.5},
    ]
    expected = [
        {"text": KEPT, "metadata": {"when": when, "tags": ["a", KEPT]}},
        None,
        documents[2],
    ]
    async with proxied(tmp_path) as proxy:
        for url in (proxy.url, f"{proxy.url}/v1", f"{proxy.url}/v1/"):
            client = ContextClient(url)
            assert await client.afilter(documents) == expected
            assert await asyncio.to_thread(client.filter, documents) == expected
        assert documents[0]["text"] == NAMED


async def test_the_query_and_the_key_are_sent(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"sk-app").hexdigest()
    async with proxied(tmp_path, policy=POLICY + TENANTS % (digest, "0" * 64)) as proxy:
        town = [{"text": "The town is Saltgate."}]
        known = ContextClient(proxy.url, "sk-app")
        assert await known.afilter(town) == town
        assert await known.afilter(town, "Harbor novels?") == [{"text": REDACTED}]
        with pytest.raises(ContextUnguardedError, match="401"):
            await ContextClient(proxy.url, "wrong").afilter(town)


async def test_a_refusal_says_what_to_answer(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        with pytest.raises(ContextRefusedError) as caught:
            await ContextClient(proxy.url).afilter([{"text": "The Orrin merger is on."}])
        assert caught.value.message == "I can't discuss the merger."


async def test_no_documents_need_no_guard() -> None:
    assert ContextClient("http://127.0.0.1:9").filter([]) == []
    assert await ContextClient("http://127.0.0.1:9").afilter([]) == []


async def test_whatever_is_not_the_guards_answer_gives_nothing_back() -> None:
    documents = [{"text": "a"}, {"text": "b"}]
    with pytest.raises(ContextUnguardedError, match="cannot be asked"):
        await ContextClient("http://127.0.0.1:9").afilter(documents)
    row = {"index": 0, "document": {"text": "a"}, "dropped": False, "edits": []}
    wrong = {**row, "index": 1, "edits": [{"path": ["no", "where"]}]}
    bodies: list[Any] = [[], {}]
    bodies += [{"refused": None, "documents": rows} for rows in ([row], [row, wrong])]
    for body in bodies:

        async def answer(request: Any, body: Any = body) -> JSONResponse:
            return JSONResponse(body)

        app = Starlette(routes=[Route("/v1/guard/context", answer, methods=["POST"])])
        async with serve(app) as url:
            with pytest.raises(ContextUnguardedError, match="not the guard's"):
                await ContextClient(url).afilter(documents)


def test_a_client_needs_neither_torch_nor_vllm() -> None:
    heavy = "{'torch', 'vllm', 'numpy'}"
    code = f"import sys, guard.adapters.client as c; print({heavy} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
