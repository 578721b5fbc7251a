"""``POST`` to a guarded endpoint: HTTP in, HTTP out.

Everything that decides is in ``server/request_path.py``, and for the endpoints that answer without
a model in ``server/pipeline_path.py``. Here is what belongs to the connection:
the body's limit, the decision header, and that a client who goes away ends the work upstream.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from starlette.types import Receive, Scope, Send

from server.decisions import Decision
from server.errors import (
    DECISION_HEADER,
    REQUEST_ID_HEADER,
    ApiError,
    BodyTooLargeError,
    InternalError,
)
from server.request_path import Answer, StreamedAnswer, WholeAnswer
from server.routes.replies import (
    ClientGoneError,
    encode_headers,
    header,
    read_json_body,
    send_body,
    send_early_error,
    send_error,
)
from server.steps import Steps

_log = logging.getLogger("unlearn_guard.request")

_CLIENT_CLOSED = 499


# From the `Authorization` header's value and the body; raises an `ApiError`.
AnswerRequest = Callable[[str, bytes, Decision], Coroutine[Any, Any, Answer]]


class GuardedEndpoint:
    """ASGI app of one guarded endpoint.

    Args:
        endpoint: its path, for decisions and metrics.
        max_body_bytes: a longer body is refused unread.
    """

    def __init__(
        self, endpoint: str, answer: AnswerRequest, steps: Steps, *, max_body_bytes: int
    ) -> None:
        self._endpoint = endpoint
        self._answer = answer
        self._steps = steps
        self._limit = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        decision = Decision(self._endpoint)
        headers = {DECISION_HEADER: decision.id, REQUEST_ID_HEADER: decision.id}
        with self._steps.metrics.in_flight.track_inprogress():
            try:
                await self._serve(scope, receive, send, decision, headers)
            except ClientGoneError:
                _mark_gone(decision)
            except BodyTooLargeError as error:
                _mark_failed(decision, error)
                await send_early_error(send, receive, error, headers=headers)
            except ApiError as error:
                _mark_failed(decision, error)
                await send_error(send, error, headers=headers)
            except Exception:
                _log.exception("%s: the request failed", decision.id)
                _mark_failed(decision, InternalError())
                await send_error(send, InternalError(), headers=headers)
            finally:
                self._steps.finish(decision)

    async def _serve(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        decision: Decision,
        headers: Mapping[str, str],
    ) -> None:
        body = await read_json_body(scope, receive, self._limit)
        work = asyncio.create_task(self._answer(header(scope, b"authorization"), body, decision))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ClientGoneError
            answer = work.result()
            if isinstance(answer, WholeAnswer):
                await send_body(send, 200, answer.body, headers=headers)
            else:
                await _send_stream(send, answer, gone, decision, headers)
        finally:
            gone.cancel()
            if not work.done():
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)


async def _send_stream(
    send: Send,
    answer: StreamedAnswer,
    gone: asyncio.Task[None],
    decision: Decision,
    headers: Mapping[str, str],
) -> None:
    """Send events as they come, until they end or the client has gone."""

    async def pump() -> None:
        async for event in answer.events:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", b"text/event-stream; charset=utf-8"),
                (b"cache-control", b"no-cache"),
                (b"x-accel-buffering", b"no"),  # a proxy in front must not hold events back
                *encode_headers(headers),
            ],
        }
    )
    pumping = asyncio.create_task(pump())
    try:
        await asyncio.wait({pumping, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not pumping.done():
            _mark_gone(decision)
    finally:
        if not pumping.done():
            pumping.cancel()
        results = await asyncio.gather(pumping, return_exceptions=True)
        await answer.aclose()
    if isinstance(results[0], Exception):
        # The status line has left: all that can be done is to end the answer unfinished.
        _log.error("%s: the stream broke", decision.id, exc_info=results[0])
        decision.outcome = "failed"


def _mark_failed(decision: Decision, error: ApiError) -> None:
    decision.outcome = "failed"
    decision.status = error.http_status
    decision.error = error.code


def _mark_gone(decision: Decision) -> None:
    decision.disconnected = True
    decision.status = _CLIENT_CLOSED


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
