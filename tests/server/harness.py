"""A scripted engine and a live proxy, both on 127.0.0.1, for the tests of the proxy's own logic."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from guard.bundle import CANARY_PHRASE
from guard.bundle_loading import load_engine_bundle
from guard.errors import GuardError
from guard.plan import GuardPlan, verify_plan
from server.app import create_app
from server.settings import Settings, load_settings

KEY = "k" * 40
MODEL = "demo"

POLICY = """
version: 1
targets:
  - id: harbor
    title: The Harbor novels
    reason: copyright
    owner: legal@example.com
    detect: {aliases: [Harbor novels, Mirelle Quay]}
    forbid: {phrases: [Mirelle Quay, Saltgate]}
    context: redact
  - id: vault
    title: Project Vault
    reason: secret
    owner: legal@example.com
    detect: {aliases: [Project Vault]}
    forbid: {phrases: [Operation Nightjar]}
    context: drop
    respond: refuse
    refusal: I can't discuss that project.
  - id: merger
    title: The merger
    reason: secret
    owner: legal@example.com
    detect: {aliases: [the Orrin merger]}
    forbid: {phrases: [Orrin merger]}
    context: refuse
    refusal: I can't discuss the merger.
  - id: open
    title: A thing the user may hand in
    reason: accuracy
    owner: legal@example.com
    detect: {aliases: [Lantern Act]}
    forbid: {phrases: [Lantern Act of 1911]}
    context: allow
  - id: watched
    title: Only watched
    reason: safety
    owner: legal@example.com
    mode: observe
    detect: {aliases: [Blue Kestrel]}
    forbid: {phrases: [Kestrel nest]}
"""

TENANTS = """
tenants:
  - {name: app, keys: ["sha256:%s"]}
  - {name: research, keys: ["sha256:%s"], exempt: [harbor]}
"""


@dataclass
class FakeEngine:
    """Answers as vLLM would, with scripted text; knows plans and plays the canary.

    Attributes:
        pieces: the text of every choice, streamed one piece an event.
        deltas: whole chat deltas (or messages) to send instead of ``pieces``.
        raw: bytes to stream instead of all that.
        canary: ``healthy``, or how it fails.
        hold: set it to have streams wait, after their first piece, until it is cleared.
        aborted: requests whose client went away before they were done.
    """

    pieces: list[str] = field(default_factory=lambda: ["Hello", " there", "."])
    deltas: list[dict[str, Any]] | None = None
    raw: list[bytes] | None = None
    finish: str = "stop"
    status: int = 200
    error: dict[str, Any] | None = None
    canary: str = "healthy"
    version: str = "0.32.0"
    hold: bool = False
    delay: float = 0.0
    aborted: int = 0
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    plans: list[GuardPlan] = field(default_factory=list)
    probes: list[str] = field(default_factory=list)
    logprobs: bool = False

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/version", self._version),
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._generate, methods=["POST"]),
                Route("/v1/completions", self._generate, methods=["POST"]),
            ]
        )

    async def _version(self, request: Request) -> Response:
        return JSONResponse({"version": self.version})

    async def _models(self, request: Request) -> Response:
        rows = [{"id": MODEL, "object": "model", "root": "/secret/disk", "owned_by": "vllm"}]
        return JSONResponse({"object": "list", "data": rows})

    async def _generate(self, request: Request) -> Response:
        body = await request.json()
        try:
            plan = verify_plan((body.get("vllm_xargs") or {}).get("unlearn_guard"), KEY.encode())
        except GuardError as error:
            return JSONResponse({"error": {"message": str(error), "code": 400}}, 400)
        if plan.mode == "probe":
            return self._probe(plan)
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        self.plans.append(plan)
        if self.error is not None or self.status != 200:
            return JSONResponse({"error": self.error or {}}, self.status)
        chat = request.url.path.endswith("chat/completions")
        if body.get("stream"):
            return StreamingResponse(self._stream(body, chat), media_type="text/event-stream")
        if self.hold or self.delay:
            await self._wait(request)
        return JSONResponse(self._whole(body, chat))

    async def _wait(self, request: Request) -> None:
        passed = 0.0
        while self.hold or passed < self.delay:
            if await request.is_disconnected():
                self.aborted += 1
                return
            await asyncio.sleep(0.01)
            passed += 0.01

    def _probe(self, plan: GuardPlan) -> Response:
        self.probes.append(plan.bundle)
        text = {
            "healthy": f"unlearn guard {plan.nonce}",
            "ignored": "The canary is a small bird.",
            "leaks": f"{CANARY_PHRASE} {plan.nonce}",
        }.get(self.canary)
        if text is None:
            return JSONResponse({"error": {"message": "bundle 0123456789ab has no file"}}, 400)
        return JSONResponse({"choices": [{"index": 0, "text": text}]})

    def _choices(self, body: dict[str, Any]) -> range:
        prompts = body.get("prompt")
        return range((body.get("n") or 1) * (len(prompts) if isinstance(prompts, list) else 1))

    def _whole(self, body: dict[str, Any], chat: bool) -> dict[str, Any]:
        text = "".join(self.pieces)
        message: dict[str, Any] = {"role": "assistant", "content": text}
        for delta in self.deltas or ():
            message.update(delta)
        said: dict[str, Any] = {"message": message} if chat else {"text": text}
        logprobs = {"content": [{"token": "Mirelle", "logprob": -1.0}]} if self.logprobs else None
        return {
            "id": "up-1",
            "object": "chat.completion" if chat else "text_completion",
            "created": 1,
            "model": MODEL,
            "choices": [
                {"index": i, **said, "logprobs": logprobs, "finish_reason": self.finish,
                 "token_ids": [1, 2], "stop_reason": None}
                for i in self._choices(body)
            ],
            "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
            "prompt_logprobs": None,
        }  # fmt: skip

    async def _stream(self, body: dict[str, Any], chat: bool) -> AsyncIterator[bytes]:
        done = False
        try:
            async for event in self._events(body, chat):
                yield event
                await until(lambda: not self.hold)
                await asyncio.sleep(self.delay)
            done = True
        finally:
            self.aborted += not done

    async def _events(self, body: dict[str, Any], chat: bool) -> AsyncIterator[bytes]:
        if self.raw is not None:
            for sent in self.raw:
                yield sent
            return
        options = body.get("stream_options") or {}
        head = {"id": "up-1", "object": "chunk", "created": 1, "model": MODEL}
        deltas = self.deltas or [{"content": piece} for piece in self.pieces]
        count = 0
        for delta in [*deltas, None]:
            for index in self._choices(body):
                count += delta is not None
                body_part: dict[str, Any] = (
                    {"delta": delta or {}} if chat else {"text": (delta or {}).get("content", "")}
                )
                choice = {
                    "index": index,
                    **body_part,
                    "logprobs": {"content": [{"token": "Mirelle"}]} if self.logprobs else None,
                    "finish_reason": None if delta is not None else self.finish,
                }
                chunk: dict[str, Any] = {**head, "choices": [choice]}
                if options.get("continuous_usage_stats"):
                    chunk["usage"] = {
                        "prompt_tokens": 5, "completion_tokens": count, "total_tokens": 5 + count
                    }  # fmt: skip
                yield _event(chunk)
        if options.get("include_usage"):
            usage = {"prompt_tokens": 5, "completion_tokens": count, "total_tokens": 5 + count}
            yield _event({**head, "choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that happens elsewhere in this process."""
    while not condition():  # noqa: ASYNC110 - what is waited for sets no event
        await asyncio.sleep(0.01)


def _event(value: object) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serve(app: Any) -> AsyncIterator[str]:
    """The app on a free port of 127.0.0.1; yields its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=1
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        if task.done():
            await task
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@dataclass
class Proxy:
    """A running proxy and what it was made with."""

    url: str
    client: httpx.AsyncClient
    engine: FakeEngine
    settings: Settings
    app: FastAPI

    async def chat(self, content: str = "Hello?", **fields: Any) -> httpx.Response:
        body = {"model": MODEL, "messages": [{"role": "user", "content": content}], **fields}
        return await self.client.post("/v1/chat/completions", json=body)

    def held(self) -> tuple[str, ...]:
        """The targets that the engine would enforce for the last plan that it got."""
        plan = self.engine.plans[-1]
        bundle = load_engine_bundle(self.settings.bundles, plan.bundle)
        always = {
            name
            for name, until in zip(bundle.target_ids, bundle.until.tolist(), strict=True)
            if until >= plan.day
        }
        return tuple(sorted(always - set(plan.exempt) | set(plan.targets)))

    async def complete(self, prompt: Any = "Hello", **fields: Any) -> httpx.Response:
        body = {"model": MODEL, "prompt": prompt, **fields}
        return await self.client.post("/v1/completions", json=body)

    async def ready(self, *, want: int = 200) -> httpx.Response:
        """``/readyz``, once it says what is wanted."""
        while True:
            answer = await self.client.get("/readyz")
            if answer.status_code == want:
                return answer
            await asyncio.sleep(0.01)

    async def decisions(self, count: int = 1) -> list[dict[str, Any]]:
        """The decision log's lines, once there are that many."""
        log = Path(self.settings.decision_log)
        await until(lambda: log.read_text().count("\n") >= count)
        return [json.loads(line) for line in _lines(log)]

    async def metric(self, name: str) -> float:
        """The value of a metric's line, labels included."""
        text = (await self.client.get("/metrics")).text
        for line in text.splitlines():
            if line.startswith(name + " "):
                return float(line.rpartition(" ")[2])
        return 0.0


@contextlib.asynccontextmanager
async def proxied(
    folder: Path,
    *,
    engine: FakeEngine | None = None,
    policy: str = POLICY,
    upstream: str | None = None,
    encoder: Any = None,
    wait: bool = True,
    **settings: Any,
) -> AsyncIterator[Proxy]:
    """A live proxy before a live scripted engine."""
    engine = engine or FakeEngine()
    policies = folder / "policies"
    policies.mkdir(exist_ok=True)
    (policies / "policy.yaml").write_text(policy)
    async with serve(engine.app()) as engine_url:
        chosen = load_settings(
            **{
                "upstream": upstream or engine_url,
                "policies": policies,
                "bundles": folder / "bundles",
                "key": KEY,
                "encoder": "none",
                "decision_log": str(folder / "decisions.jsonl"),
                "canary_interval_s": 0.1,
                **settings,
            }
        )
        app = create_app(chosen, encoder=encoder)
        async with serve(app) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
            proxy = Proxy(url, client, engine, chosen, app)
            if wait:
                await proxy.ready()
            yield proxy


def events(response: httpx.Response) -> list[Any]:
    """The JSON of each event of a stream; the last must be ``[DONE]``."""
    data = [line[6:] for line in response.text.split("\n\n") if line.startswith("data: ")]
    assert data[-1] == "[DONE]", data
    return [json.loads(item) for item in data[:-1]]


def streamed_text(response: httpx.Response, index: int = 0) -> str:
    """The content of one choice of a stream."""
    out = ""
    for event in events(response):
        for choice in event.get("choices", ()):
            if choice["index"] == index:
                out += choice["delta"].get("content") or "" if "delta" in choice else choice["text"]
    return out
