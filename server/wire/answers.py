"""Answers that the proxy writes itself: a target's refusal, and errors on an open stream."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from server.errors import ApiError
from server.sse import DONE_EVENT, encode_event

FILTERED: Final = "content_filter"

Api = Literal["chat", "completions"]

_NO_USAGE: Final = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def to_json(value: object) -> bytes:
    """Compact UTF-8 JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def refusal_answer(api: Api, *, answer_id: str, model: str, text: str, choices: int) -> bytes:
    """A whole answer that says ``text`` in each of its choices, and used no tokens."""
    body: Any
    if api == "chat":
        body = {"message": {"role": "assistant", "content": text, "refusal": None}}
    else:
        body = {"text": text}
    return to_json(
        {
            **_head(api, answer_id, model, streamed=False),
            "choices": [
                {"index": index, **body, "logprobs": None, "finish_reason": FILTERED}
                for index in range(choices)
            ],
            "usage": _NO_USAGE,
        }
    )


def refusal_events(
    api: Api, *, answer_id: str, model: str, text: str, choices: int, usage: bool
) -> list[bytes]:
    """The same as a stream."""
    head = _head(api, answer_id, model, streamed=True)
    events = []
    for index in range(choices):
        said: Any
        empty: Any
        if api == "chat":
            said, empty = {"delta": {"role": "assistant", "content": text}}, {"delta": {}}
        else:
            said, empty = {"text": text}, {"text": ""}
        for body, finish in ((said, None), (empty, FILTERED)):
            choice = {"index": index, **body, "logprobs": None, "finish_reason": finish}
            events.append(encode_event(to_json({**head, "choices": [choice]})))
    if usage:
        events.append(encode_event(to_json({**head, "choices": [], "usage": _NO_USAGE})))
    events.append(DONE_EVENT)
    return events


def filtered_event(
    api: Api, *, answer_id: str, model: str, head: Mapping[str, Any], indices: Iterable[int]
) -> bytes:
    """A chunk that ends choices where they are.

    Args:
        head: what the chunks before it began with, if there were any.
    """
    empty: Any = {"delta": {}} if api == "chat" else {"text": ""}
    choices = [
        {"index": index, **empty, "logprobs": None, "finish_reason": FILTERED} for index in indices
    ]
    begins = {**_head(api, answer_id, model, streamed=True), **head}
    return encode_event(to_json({**begins, "choices": choices}))


def error_events(error: ApiError) -> bytes:
    """The end of a stream that failed: the error, and nothing after it."""
    return encode_event(error.body()) + DONE_EVENT


def _head(api: Api, answer_id: str, model: str, *, streamed: bool) -> dict[str, Any]:
    if api == "chat":
        prefix, kind = "chatcmpl", "chat.completion.chunk" if streamed else "chat.completion"
    else:
        prefix, kind = "cmpl", "text_completion"
    return {
        "id": f"{prefix}-{answer_id}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
    }
