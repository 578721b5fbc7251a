"""A request body to a checked request, for either API."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

from server.errors import FieldError, MalformedBodyError
from server.wire.answers import Api
from server.wire.chat import ChatRequest, parse_chat
from server.wire.completions import CompletionRequest, parse_completion
from server.wire.json_text import overflowing
from server.wire.texts import RequestText, chat_texts, completion_texts

Request = ChatRequest | CompletionRequest


def parse(api: Api, body: bytes) -> tuple[dict[str, Any], Request]:
    """The body decoded and checked, once.

    Raises:
        RequestError: not a JSON object, or a field that is unknown, refused, missing or invalid.
    """
    raw = json_object(body)
    return raw, parse_chat(raw) if api == "chat" else parse_completion(raw)


def json_object(body: bytes) -> dict[str, Any]:
    """A body decoded.

    Raises:
        MalformedBodyError: not one JSON object.
        FieldError: a number is larger than the engine could be told.
    """
    try:
        raw = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        where = str(error).rpartition(" at ")[2]
        raise MalformedBodyError(f"the body is not valid JSON (at {where})") from error
    if not isinstance(raw, dict):
        raise MalformedBodyError("the body must be one JSON object")
    if (param := overflowing(raw)) is not None:
        raise FieldError(f"`{param}` is a number too large to be read; give a smaller", param=param)
    return raw


def request_texts(api: Api, raw: dict[str, Any]) -> list[RequestText]:
    """Every text of a checked body; edits go to ``raw`` itself."""
    return chat_texts(raw) if api == "chat" else completion_texts(raw)
