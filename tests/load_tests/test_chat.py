"""Questions are asked at once but not more than told, and answers come in the questions' order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Barrier, BrokenBarrierError, Lock, Thread
from typing import Any

import pytest

from guard.plan import GuardPlan, verify_plan
from load_tests.chat import Endpoint, ask_all, with_plan

KEY = b"k" * 32


class Upstream(ThreadingHTTPServer):
    """Answers each chat with its question in capitals; refuses the question `refuse`."""

    daemon_threads = True

    def __init__(self, together: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[dict[str, Any]] = []
        self.barrier = Barrier(together)
        self.lock = Lock()
        self.now = self.most = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Upstream)
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with server.lock:
            server.bodies.append(body)
            server.now += 1
            server.most = max(server.most, server.now)
        with suppress(BrokenBarrierError):  # the last of an odd number is alone
            server.barrier.wait(10)
        with server.lock:
            server.now -= 1
        question = body["messages"][0]["content"]
        status = 400 if question == "refuse" else 200
        choices = [
            {"index": i, "message": {"content": question.upper() + str(i)}, "finish_reason": "stop"}
            for i in reversed(range(body.get("n", 1)))
        ]
        out = json.dumps({"choices": choices, "usage": {"completion_tokens": 7}}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(out)))
        self.send_header("x-guard-decision", f"gd_{question}")
        self.end_headers()
        self.wfile.write(out)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream(together=2)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def endpoint(server: Upstream) -> Endpoint:
    return Endpoint(f"http://127.0.0.1:{server.server_address[1]}", "m")


async def test_answers_come_in_the_order_of_the_questions(upstream: Upstream) -> None:
    answers = await asyncio.to_thread(
        ask_all, endpoint(upstream), list("abcdef"), label="t", concurrency=2, n=2, max_tokens=5
    )
    assert [a.texts for a in answers] == [(f"{c}0", f"{c}1") for c in "ABCDEF"]
    assert [a.decision for a in answers] == [f"gd_{c}" for c in "abcdef"]
    assert {a.tokens for a in answers} == {7}
    assert upstream.most == 2
    assert all(body["max_tokens"] == 5 and body["model"] == "m" for body in upstream.bodies)


async def test_a_plan_is_signed_for_each_request(upstream: Upstream) -> None:
    plan = GuardPlan("d", ("a",))
    await asyncio.to_thread(
        ask_all, endpoint(upstream), ["a", "b"], label="t", concurrency=2,
        extra=with_plan(plan, KEY, bad_words=["x"]),
    )  # fmt: skip
    for body in upstream.bodies:
        assert verify_plan(body["vllm_xargs"]["unlearn_guard"], KEY) == plan
        assert body["bad_words"] == ["x"]


async def test_a_request_that_is_not_answered_ends_the_measurement(upstream: Upstream) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.to_thread(
            ask_all, endpoint(upstream), ["a", "refuse"], label="t", concurrency=2
        )
    assert "the server answered 400" in str(caught.value.exceptions[0])
