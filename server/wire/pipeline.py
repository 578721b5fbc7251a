"""The requests of ``POST /v1/guard/context`` and ``/v1/guard/detect``, which no model answers.

Documents come in the shape that the application has them in (``page_content`` and ``metadata``,
``title`` and ``text``, or any other): each string in one is a text of the context.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

from pydantic import Field, ValidationError

from server.errors import FieldError
from server.wire.chat import Message, check_messages
from server.wire.fields import WireModel, request_error
from server.wire.parse import json_object
from server.wire.texts import RequestText, chat_texts, document_texts, listed_texts

MAX_TEXTS: Final = 4096

Texts = Annotated[list[str], Field(min_length=1, max_length=MAX_TEXTS)]


class ContextRequest(WireModel):
    """What may go into a prompt, and what it was retrieved for."""

    texts: Texts | None = None
    documents: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MAX_TEXTS)] | None = (
        None
    )
    query: str | None = None


class DetectRequest(WireModel):
    """Texts, each by itself, or one conversation."""

    texts: Texts | None = None
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_TEXTS)] | None = None


def parse_context(body: bytes) -> tuple[dict[str, Any], ContextRequest]:
    """The body decoded and checked.

    Raises:
        RequestError: not a JSON object, or a field that is unknown, missing or invalid.
    """
    raw = json_object(body)
    request = _checked(ContextRequest, raw)
    _one_of(raw, "texts", "documents")
    return raw, request


def parse_detect(body: bytes) -> tuple[dict[str, Any], DetectRequest]:
    """As ``parse_context``."""
    raw = json_object(body)
    check_messages(raw)
    request = _checked(DetectRequest, raw)
    _one_of(raw, "texts", "messages")
    return raw, request


def context_texts(raw: dict[str, Any]) -> list[RequestText]:
    """The query, as the user's own turn, and every text that may be withheld from.

    Edits go to ``raw`` itself.
    """
    query = raw.get("query")
    asked = [RequestText("query", query, "user", last=True)] if query else []
    if raw.get("texts") is not None:
        return [*asked, *listed_texts(raw["texts"], "texts")]
    return [*asked, *document_texts(raw["documents"], "documents")]


def detect_texts(raw: dict[str, Any]) -> list[list[RequestText]]:
    """What is looked at together: one conversation, or each text as a user's only turn."""
    if raw.get("messages") is not None:
        return [chat_texts(raw)]
    return [
        [RequestText(f"texts[{index}]", text, "user", last=True)]
        for index, text in enumerate(raw["texts"])
    ]


_Model = TypeVar("_Model", bound=WireModel)


def _checked(model: type[_Model], raw: dict[str, Any]) -> _Model:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise request_error(error, raw) from error


def _one_of(raw: dict[str, Any], first: str, second: str) -> None:
    given = [name for name in (first, second) if raw.get(name) is not None]
    if len(given) != 1:
        problem = "both are there" if given else "neither is there"
        raise FieldError(
            f"give `{first}` or `{second}`: {problem}", param=second if given else first
        )
