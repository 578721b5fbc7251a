"""The answer of a chat as a response: whole, or as the events of a stream."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic_core import from_json

from server.errors import UpstreamFailedError
from server.responses.assembly import Assembly, Event
from server.sse import encode_event
from server.wire.answers import to_json

# Why an answer ended that did not come to an end by itself, by the chat's reason.
_INCOMPLETE: Final[Mapping[str, str]] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}
_DEFAULTS: Final[Mapping[str, Any]] = {
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
}


@dataclass(slots=True)
class ResponseAnswer:
    """One response, as it is made from a chat's answer.

    Attributes:
        name: what its id and those of its items end with.
        raw: the request, of which a response repeats the settings; the instructions are for the
            model, and whoever reads the answer need not have written them.
    """

    name: str
    raw: Mapping[str, Any]
    _assembly: Assembly = field(init=False)
    _created: int = field(init=False)
    _finish: str = ""
    _usage: dict[str, Any] | None = None
    _sequence: int = 0
    _failed: bool = False

    def __post_init__(self) -> None:
        self._assembly = Assembly(self.name)
        self._created = int(time.time())

    def whole(self, chat: bytes) -> bytes:
        """The body for a whole answer of a chat.

        Raises:
            UpstreamFailedError: it is none.
        """
        with _of_known_shape():
            answer = from_json(chat)
            choice = _first(answer)
            for _ in self._assembly.feed(choice["message"]):
                pass
            self._note(answer, choice)
        for _ in self._assembly.end(whole=self._whole):
            pass
        return to_json(self._response(self._status))

    def begin(self) -> bytes:
        """The events before anything was said."""
        response = self._response("in_progress")
        both = ("response.created", "response.in_progress")
        return b"".join(self._event((kind, {"response": response})) for kind in both)

    def chunk(self, data: bytes) -> list[bytes]:
        """The events of a chunk, or of the error that ends a stream.

        Raises:
            UpstreamFailedError: it is none.
        """
        with _of_known_shape():
            chunk = from_json(data)
            if "error" in chunk:
                return [self.fail(chunk["error"]["message"])]
            choice = _first(chunk)
            events = [self._event(each) for each in self._assembly.feed(choice.get("delta") or {})]
            self._note(chunk, choice)
        return events

    def fail(self, message: str) -> bytes:
        """The event of a failure, after which there is none."""
        self._failed = True
        told = {"code": "server_error", "message": message}
        response = self._response("failed", error=told)
        return self._event(("response.failed", {"response": response}))

    def end(self) -> bytes:
        """The events of the end of a stream; none where it failed."""
        if self._failed:
            return b""
        events = [*self._assembly.end(whole=self._whole)]
        response = self._response(self._status)
        events.append((f"response.{self._status}", {"response": response}))
        return b"".join(map(self._event, events))

    @property
    def _whole(self) -> bool:
        return self._finish not in _INCOMPLETE

    @property
    def _status(self) -> str:
        return "completed" if self._whole else "incomplete"

    def _note(self, answer: Mapping[str, Any], choice: Mapping[str, Any]) -> None:
        self._finish = choice.get("finish_reason") or self._finish
        self._usage = answer.get("usage") or self._usage

    def _response(self, status: str, *, error: Mapping[str, str] | None = None) -> dict[str, Any]:
        given = {name: self.raw[name] for name in _DEFAULTS if self.raw.get(name) is not None}
        ended = status in ("completed", "incomplete")
        reason = _INCOMPLETE.get(self._finish) if ended else None
        return {
            "id": f"resp_{self.name}",
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": error,
            "incomplete_details": {"reason": reason} if reason else None,
            "model": self.raw["model"],
            "output": self._assembly.items,
            "usage": _usage(self._usage) if ended else None,
            **_DEFAULTS,
            **given,
            "background": False,
            "instructions": None,
            "previous_response_id": None,
            "store": False,
            "truncation": "disabled",
        }

    def _event(self, event: Event) -> bytes:
        kind, members = event
        data = to_json({"type": kind, "sequence_number": self._sequence, **members})
        self._sequence += 1
        return b"event: " + kind.encode() + b"\n" + encode_event(data)


@contextmanager
def _of_known_shape() -> Iterator[None]:
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UpstreamFailedError("the model server sent an answer of an unknown shape") from error


def _first(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The only choice that was asked for; what is said in another was scanned apart from it."""
    return next((each for each in answer.get("choices") or () if each.get("index") == 0), {})


def _usage(chat: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A chat's counts by a response's names."""
    if not chat:
        return None
    prompt = chat.get("prompt_tokens_details") or {}
    said = chat.get("completion_tokens_details") or {}
    return {
        "input_tokens": chat.get("prompt_tokens", 0),
        "input_tokens_details": {
            "cached_tokens": prompt.get("cached_tokens") or 0,
            "cache_write_tokens": 0,
        },
        "output_tokens": chat.get("completion_tokens", 0),
        "output_tokens_details": {"reasoning_tokens": said.get("reasoning_tokens") or 0},
        "total_tokens": chat.get("total_tokens", 0),
    }
