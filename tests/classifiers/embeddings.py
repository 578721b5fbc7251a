"""An embeddings API for tests, on 127.0.0.1 and in a thread of its own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

Answer = Callable[[dict[str, Any]], Response]


class Server:
    """An embeddings API on 127.0.0.1.

    Attributes:
        answer: what it answers a request's body.
        asked: the bodies, ``keys`` the headers.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.app = FastAPI()
        self.app.add_route("/v1/embeddings", self._embeddings, methods=["POST"])
        self.url = ""

    async def _embeddings(self, request: Request) -> Response:
        self.asked.append(await request.json())
        self.keys.append(request.headers.get("authorization", ""))
        return self.answer(self.asked[-1])

    @property
    def name(self) -> str:
        return f"{self.url}/v1#mini"


@contextmanager
def serving(answer: Answer) -> Iterator[Server]:
    served = Server(answer)
    listener = socket.create_server(("127.0.0.1", 0))
    served.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(served.app, log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield served
    finally:
        server.should_exit = True
        thread.join()


def vectors(rows: Any, *, order: int = 1) -> Response:
    data = [
        {"object": "embedding", "index": i, "embedding": list(row)} for i, row in enumerate(rows)
    ]
    return JSONResponse({"object": "list", "data": data[::order], "model": "mini", "usage": {}})
