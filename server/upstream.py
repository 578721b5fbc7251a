"""The guarded vLLM over HTTP: one pooled client, no retries, every failure an ``ApiError``.

Nothing else in the proxy knows of httpx, so that the transport can change behind this file.
Cancelling a call, or closing a stream, closes its connection, upon which vLLM aborts the request.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
from pydantic_core import from_json

from guard.plan import XARG
from server.errors import (
    ApiError,
    GuardUnavailableError,
    ModelNotFoundError,
    UpstreamAbandonedError,
    UpstreamFailedError,
    UpstreamRefusedError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from server.sse import EventTooLargeError, ServerSentEvent, SseDecoder

_log = logging.getLogger("unlearn_guard.upstream")

CONNECT_TIMEOUT_S: Final = 5.0
# Below the five seconds after which vLLM's server closes an idle connection, so that a request is
# not sent into a connection that is being closed.
KEEPALIVE_S: Final = 4.0
_MAX_MESSAGE: Final = 1000
# What vLLM says of a prompt that does not fit.
_TOO_LONG: Final = "maximum context length"
# All that vLLM says of an answer that its scheduler ended with an error; an exception has a text of
# its own (`_raise_if_error` in vllm/entrypoints/generate/base/serving.py).
_ABANDONED: Final = "Internal server error"
# What an upstream's message may not show a client: it would describe or quote the signed plan.
_INTERNAL: Final = re.compile(
    rf"{XARG}|vllm_xargs|ug1\.|guard plan|\bbundle (?:[0-9a-f]{{12}}|digest)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """A whole answer of the upstream, as it came and decoded."""

    body: bytes
    json: dict[str, Any]


class UpstreamStream:
    """A streamed answer, event by event; close it to have the upstream stop generating."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    async def events(self) -> AsyncIterator[ServerSentEvent]:
        """The events, each as soon as it is whole.

        Raises:
            ApiError: the connection broke, stalled, or carried something else.
        """
        decoder = SseDecoder()
        try:
            async for chunk in self._response.aiter_bytes():
                for event in decoder.decode(chunk):
                    yield event
        except httpx.HTTPError as error:
            raise _failure(error) from error
        except EventTooLargeError as error:
            raise UpstreamFailedError("the upstream sent an event that is too large") from error
        for event in decoder.flush():
            yield event

    async def aclose(self) -> None:
        """End the answer, finished or not."""
        await self._response.aclose()


class Upstream:
    """The upstream's HTTP API.

    Args:
        url: address without ``/v1``.
        api_key: sent as a bearer token when not empty.
        timeout_s: longest wait between two pieces of an answer.
        transport: what carries requests; for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str = "",
        timeout_s: float = 600.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
            limits=httpx.Limits(
                max_connections=None, max_keepalive_connections=256, keepalive_expiry=KEEPALIVE_S
            ),
            transport=transport,
            trust_env=False,  # a proxy variable must not reroute guarded traffic
            follow_redirects=False,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def get(self, path: str) -> UpstreamAnswer:
        """Fetch a JSON object.

        Raises:
            ApiError: as for ``post``.
        """
        async with self._open("GET", path, None) as response:
            return await _read(response)

    async def post(self, path: str, body: bytes) -> UpstreamAnswer:
        """Send a request for a whole answer.

        Raises:
            ApiError: unreachable, too slow, or an answer other than 200 with a JSON object.
        """
        async with self._open("POST", path, body) as response:
            return await _read(response)

    async def stream(self, path: str, body: bytes) -> UpstreamStream:
        """Send a request for a streamed answer; returns once its status is known to be 200.

        Raises:
            ApiError: as for ``post``.
        """
        request = self._client.build_request("POST", path, content=body, headers=_JSON)
        try:
            response = await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise _failure(error) from error
        try:
            if response.status_code != 200:
                raise refused(response.status_code, await _body(response))
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise UpstreamFailedError("the upstream did not answer with an event stream")
        except BaseException:
            await response.aclose()
            raise
        return UpstreamStream(response)

    @asynccontextmanager
    async def _open(
        self, method: str, path: str, body: bytes | None
    ) -> AsyncIterator[httpx.Response]:
        request = self._client.build_request(
            method, path, content=body, headers=_JSON if body is not None else None
        )
        try:
            response = await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise _failure(error) from error
        try:
            yield response
        finally:
            await response.aclose()


_JSON: Final = {"content-type": "application/json"}


async def _body(response: httpx.Response) -> bytes:
    try:
        return await response.aread()
    except httpx.HTTPError as error:
        raise _failure(error) from error


async def _read(response: httpx.Response) -> UpstreamAnswer:
    body = await _body(response)
    if response.status_code != 200:
        raise refused(response.status_code, body)
    try:
        value = from_json(body)
    except ValueError as error:
        raise UpstreamFailedError("the upstream's answer is not JSON") from error
    if not isinstance(value, dict):
        raise UpstreamFailedError("the upstream's answer is not a JSON object")
    return UpstreamAnswer(body, value)


def _failure(error: httpx.HTTPError) -> ApiError:
    _log.warning("upstream: %s: %s", type(error).__name__, error)
    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError | httpx.PoolTimeout):
        return UpstreamUnavailableError(
            "the model server cannot be reached; it may be starting, so try again shortly"
        )
    if isinstance(error, httpx.TimeoutException):
        return UpstreamTimeoutError("the model server took too long to answer")
    return UpstreamFailedError("the connection to the model server broke")


def refused(status: int, body: bytes) -> ApiError:
    """What a client is told of an upstream answer other than 200."""
    message, param, code = _error_fields(body)
    if status >= 500:
        _log.error("upstream answered %d: %s", status, message[:_MAX_MESSAGE])
        if status == 500 and message == _ABANDONED:
            return UpstreamAbandonedError("the model server could not go on with an answer")
        return UpstreamFailedError(f"the model server failed (status {status})")
    if status in (401, 403):
        _log.error("upstream answered %d: is UNLEARN_GUARD_UPSTREAM_API_KEY right?", status)
        return UpstreamFailedError("the model server refused the proxy's own key")
    if 300 <= status < 400:
        return UpstreamFailedError(f"the model server redirected (status {status})")
    if _INTERNAL.search(message):
        _log.error("upstream answered %d to a guarded request: %s", status, message[:_MAX_MESSAGE])
        return GuardUnavailableError("the model server did not accept the guard's plan")
    if status == 404 and (param == "model" or "model" in message.lower()):
        return ModelNotFoundError(message[:_MAX_MESSAGE], param="model")
    if _TOO_LONG in message.lower():
        # The code that clients cut their conversations by; the parameter is the engine's own.
        code, param = "context_length_exceeded", None
    return UpstreamRefusedError(
        message[:_MAX_MESSAGE] or f"the model server refused the request (status {status})",
        status=status,
        param=param.removeprefix("body.") if param else None,
        code=code,
    )


def _error_fields(body: bytes) -> tuple[str, str | None, str | None]:
    """Message, param and code of an OpenAI-shaped or older vLLM error."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return "", None, None
    if isinstance(value, dict) and isinstance(value.get("error"), dict):
        value = value["error"]
    if not isinstance(value, dict):
        return "", None, None
    message, param, code = value.get("message"), value.get("param"), value.get("code")
    return (
        message if isinstance(message, str) else "",
        param if isinstance(param, str) else None,
        code if isinstance(code, str) else None,
    )
