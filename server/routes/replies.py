"""Plain ASGI answers: JSON bodies, errors, and reading a bounded request body."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from starlette.types import Receive, Scope, Send

from server.errors import (
    ApiError,
    BodyTimeoutError,
    BodyTooLargeError,
    UnsupportedMediaError,
)

JSON: Final = b"application/json"
BODY_TIMEOUT_S: Final = 60.0
# How much of a refused body is read and thrown away, so that its sender gets to read the refusal.
DRAIN_BYTES: Final = 64 << 20
DRAIN_S: Final = 2.0


class ClientGoneError(Exception):
    """The client went away before its request was whole."""


async def send_body(
    send: Send,
    status: int,
    body: bytes,
    *,
    content_type: bytes = JSON,
    headers: Mapping[str, str] | None = None,
    last: bool = True,
) -> None:
    """A whole answer; ``last`` is False if the connection must stay open for a while."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type),
                (b"content-length", str(len(body)).encode()),
                *encode_headers(headers or {}),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": not last})


async def send_error(
    send: Send, error: ApiError, *, headers: Mapping[str, str] | None = None
) -> None:
    """An error in OpenAI's shape."""
    both = {**error.headers, **(headers or {})}
    await send_body(send, error.http_status, error.body(), headers=both)


async def send_early_error(
    send: Send, receive: Receive, error: ApiError, *, headers: Mapping[str, str]
) -> None:
    """An error sent while the client may still be sending its body.

    Closing a connection with unread data resets it, and the client may then never see the error.
    """
    both = {**error.headers, **headers}
    await send_body(send, error.http_status, error.body(), headers=both, last=False)
    drained = 0
    try:
        async with asyncio.timeout(DRAIN_S):
            while drained < DRAIN_BYTES:
                message = await receive()
                drained += len(message.get("body", b""))
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b""})


def encode_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Header names and values as ASGI wants them."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def header(scope: Scope, name: bytes) -> str:
    """A request header's value, empty if absent."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return ""


async def read_json_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The request's body, read no further than ``limit`` bytes.

    Raises:
        UnsupportedMediaError: declared as something other than JSON.
        BodyTooLargeError: longer than ``limit``, as declared or as read.
        BodyTimeoutError: not whole after ``BODY_TIMEOUT_S`` seconds.
        ClientGoneError: the connection ended before it was whole.
    """
    media = header(scope, b"content-type").partition(";")[0].strip().lower()
    if media and media != "application/json":
        raise UnsupportedMediaError(
            f"the body is declared as `{media[:80]}`;"
            " send JSON with the header `Content-Type: application/json`"
        )
    declared = header(scope, b"content-length")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await _read(receive, limit)
    except TimeoutError as error:
        raise BodyTimeoutError("the body did not arrive in time; send it again") from error


async def _read(receive: Receive, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        pieces.append(piece)
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(
        f"the body exceeds {limit} bytes; shorten it, or ask the operator to raise"
        " `UNLEARN_GUARD_MAX_BODY_BYTES`"
    )
