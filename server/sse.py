"""Server-sent events, incrementally: bytes to events and back.

Source: WHATWG HTML, section 9.2.6 "Interpreting an event stream". One difference: an event that
the stream ends in the middle of is returned by ``flush`` rather than dropped, because some servers
leave out the last blank line; whoever parses its data will see whether it is whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

DONE: Final = b"[DONE]"
DONE_EVENT: Final = b"data: [DONE]\n\n"
MAX_EVENT_BYTES: Final = 16 << 20

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class EventTooLargeError(ValueError):
    """One event exceeds ``MAX_EVENT_BYTES``."""


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event: its data lines joined by newlines, and its type if one was given."""

    data: bytes
    event: str = ""


class SseDecoder:
    """Splits a byte stream into events; the pieces may break anywhere, inside a character too."""

    def __init__(self) -> None:
        self._rest = b""
        self._after_cr = False
        self._at_start = True
        self._data: list[bytes] = []
        self._event = ""
        self._size = 0

    def decode(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that this piece completes.

        Raises:
            EventTooLargeError: an event grew past the limit.
        """
        if not chunk:
            return []
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._after_cr = False
        if not chunk:
            return []
        self._after_cr = chunk.endswith(b"\r")
        # Only the new piece can end a line, so a long line is not searched again for each piece.
        first, *more = _LINE_END.split(chunk)
        if not more:
            self._rest += first
            self._bound(len(first))
            return []
        events: list[ServerSentEvent] = []
        lines = [self._rest + first, *more]
        self._rest = lines.pop()
        for line in lines:
            self._bound(len(line))
            self._line(line, events)
        return events

    def flush(self) -> list[ServerSentEvent]:
        """The event that the end of the stream cut short, if any."""
        events: list[ServerSentEvent] = []
        if self._rest:
            self._line(self._rest, events)
            self._rest = b""
        self._line(b"", events)
        return events

    def _bound(self, size: int) -> None:
        self._size += size
        if self._size > MAX_EVENT_BYTES:
            raise EventTooLargeError(f"an event exceeds {MAX_EVENT_BYTES} bytes")

    def _line(self, line: bytes, events: list[ServerSentEvent]) -> None:
        if self._at_start:
            line = line.removeprefix(_BOM)
            self._at_start = False
        if not line:
            if self._data:
                events.append(ServerSentEvent(b"\n".join(self._data), self._event))
            self._data, self._event, self._size = [], "", 0
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")


def encode_event(data: bytes) -> bytes:
    """One event with that data."""
    if b"\n" in data or b"\r" in data:
        lines = _LINE_END.split(data)
        return b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"
    return b"data: " + data + b"\n\n"
