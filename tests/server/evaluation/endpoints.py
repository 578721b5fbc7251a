"""A scripted OpenAI-compatible endpoint on 127.0.0.1, in a thread, for the tests of evaluation."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Say = Callable[[str, dict[str, Any]], str]


@dataclass
class Scripted:
    """Answers by a function of the last text and the body.

    Attributes:
        say: gives the answer.
        statuses: answered in turn before anything else; 200 means: answer.
        bundle: as `/readyz` of the guard tells, with the version; empty for an endpoint without.
        bodies: what was asked.
    """

    say: Say
    statuses: list[int] = field(default_factory=list)
    bundle: str = ""
    version: str = "1"
    models: tuple[str, ...] = ("scripted",)
    refusal: str = ""
    no_completions: bool = False
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    url: str = ""

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/readyz", self._ready),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/completions", self._complete, methods=["POST"]),
            ]
        )

    async def _models(self, request: HttpRequest) -> Response:
        return JSONResponse({"data": [{"id": name} for name in self.models]})

    async def _ready(self, request: HttpRequest) -> Response:
        if not self.bundle:
            return JSONResponse({}, 404)
        return JSONResponse({"version": self.version, "policy": {"bundle": self.bundle}})

    async def _chat(self, request: HttpRequest) -> Response:
        body = await request.json()
        if (failed := self._heard(request, body)) is not None:
            return failed
        message = {"content": self.say(body["messages"][-1]["content"], body), "refusal": None}
        if self.refusal:
            message = {"content": None, "refusal": self.refusal}
        return JSONResponse(
            {
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"completion_tokens": 4},
            }
        )

    async def _complete(self, request: HttpRequest) -> Response:
        body = await request.json()
        if (failed := self._heard(request, body)) is not None:
            return failed
        if self.no_completions:
            return JSONResponse({}, 404)
        choice: dict[str, Any] = {
            "index": 0, "text": self.say(body["prompt"], body), "finish_reason": "length",
        }  # fmt: skip
        if body.get("prompt_logprobs") is not None:
            tokens = body["prompt"].split(" ")
            choice["prompt_logprobs"] = [None, *({"7": {"logprob": -2.0}} for _ in tokens[1:])]
        return JSONResponse({"choices": [choice], "usage": {"completion_tokens": 4}})

    def _heard(self, request: HttpRequest, body: dict[str, Any]) -> Response | None:
        self.bodies.append(body)
        self.keys.append(request.headers.get("authorization", ""))
        status = self.statuses.pop(0) if self.statuses else 200
        return None if status == 200 else JSONResponse({"error": {"message": "no"}}, status)


@contextlib.contextmanager
def serving(*endpoints: Scripted) -> Iterator[None]:
    """Each on a free port of 127.0.0.1; its ``url`` is set."""
    servers = []
    for endpoint in endpoints:
        config = uvicorn.Config(endpoint.app(), host="127.0.0.1", port=0, log_level="error")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        servers.append((server, thread))
        while not server.started:
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        endpoint.url = f"http://127.0.0.1:{port}"
    try:
        yield
    finally:
        for server, thread in servers:
            server.should_exit = True
            thread.join()
