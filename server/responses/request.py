"""The request of ``POST /v1/responses``: the fields that are let through.

In the same four groups as those of a chat (``server/wire/fields.py``). Nothing is stored between
requests, so what refers to an earlier answer by its id is refused: its text has to be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, Tag, ValidationError

from server.errors import FieldError, FieldRefusedError
from server.wire.chat import ReasoningEffort
from server.wire.fields import (
    REFUSED,
    Refusal,
    WireModel,
    refuse_media,
    request_error,
    strip_refused,
)
from server.wire.parse import json_object

MAX_ITEMS: Final = 4096
_NOT_STORED: Final = "no answer is stored here"
_SEND_ALL: Final = "send the earlier turns in `input`"

_REFUSED: Final[Mapping[str, Refusal]] = {
    **REFUSED,
    "previous_response_id": Refusal(_NOT_STORED, _SEND_ALL),
    "conversation": Refusal(_NOT_STORED, _SEND_ALL),
    "background": Refusal(_NOT_STORED, "wait for the answer, or stream it", (False,)),
    "prompt": Refusal("no prompt is stored here", "send it as `instructions` and `input`"),
    "context_management": Refusal("it changes the prompt unseen", "shorten the prompt yourself"),
    "truncation": Refusal("it drops turns unseen", "shorten the prompt yourself", ("disabled",)),
    "top_logprobs": Refusal(
        "token probabilities are not part of this API here", "ask `/v1/chat/completions`", (0,)
    ),
    "max_tool_calls": Refusal("it is for tools that the server calls, and it has none", "leave it"),
}
_PARTS: Final = frozenset({"input_text", "output_text", "text", "refusal"})


class Part(WireModel):
    """A piece of text in a message; what a client adds to those that it got means nothing."""

    type: Literal["input_text", "output_text", "text", "refusal"]
    text: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None
    parsed: Any = None


Parts = Annotated[list[Part], Field(max_length=MAX_ITEMS)]


class MessageItem(WireModel):
    """What somebody said."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: str | Parts
    id: str | None = None
    status: str | None = None
    phase: str | None = None


class CallItem(WireModel):
    """A function that the model called."""

    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str
    id: str | None = None
    status: str | None = None
    parsed_arguments: Any = None


class OutputItem(WireModel):
    """What a called function returned."""

    type: Literal["function_call_output"]
    call_id: str
    output: str | Parts
    id: str | None = None
    status: str | None = None


class ReasoningPart(WireModel):
    """A piece of what the model thought, or of its summary."""

    type: Literal["reasoning_text", "summary_text"]
    text: str


class ReasoningItem(WireModel):
    """What the model thought before it answered."""

    type: Literal["reasoning"]
    id: str | None = None
    summary: list[ReasoningPart] = Field(default_factory=list)
    content: list[ReasoningPart] | None = None
    encrypted_content: None = None
    status: str | None = None


def _kind(item: Any) -> str:
    given = item.get("type") if isinstance(item, dict) else getattr(item, "type", None)
    return "message" if given is None else str(given)


Item = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[CallItem, Tag("function_call")]
    | Annotated[OutputItem, Tag("function_call_output")]
    | Annotated[ReasoningItem, Tag("reasoning")],
    Discriminator(_kind),
]
_ITEMS: Final = frozenset({"message", "function_call", "function_call_output", "reasoning"})


class FunctionTool(WireModel):
    """A function that the model may call."""

    type: Literal["function"]
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class NamedTool(WireModel):
    """A function that the model must call."""

    type: Literal["function"]
    name: str


class Format(WireModel):
    """What the answer must look like."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class TextOptions(WireModel):
    """``verbosity`` is accepted and means nothing here."""

    format: Format | None = None
    verbosity: str | None = None


class Reasoning(WireModel):
    """How much the model is to think; it writes no summary."""

    effort: ReasoningEffort | None = None
    summary: str | None = None
    generate_summary: str | None = None


class StreamOptions(WireModel):
    """``include_obfuscation`` is accepted and means nothing here."""

    include_obfuscation: bool | None = None


class ResponsesRequest(WireModel):
    """A request for a response that the guard can vouch for."""

    model: Annotated[str, Field(min_length=1, max_length=512)]
    input: str | Annotated[list[Item], Field(min_length=1, max_length=MAX_ITEMS)]
    instructions: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    tools: Annotated[list[FunctionTool], Field(max_length=512)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    reasoning: Reasoning | None = None
    # Of vLLM; they go on to it.
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    # These mean nothing to the engine.
    include: list[Literal["reasoning.encrypted_content"]] | None = None
    store: bool | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None


def parse_responses(body: bytes) -> tuple[dict[str, Any], ResponsesRequest]:
    """The body decoded and checked.

    Raises:
        RequestError: not a JSON object, or a field that is unknown, refused, missing or invalid.
    """
    raw = json_object(body)
    strip_refused(raw, _REFUSED)
    _refuse_kinds(raw)
    try:
        request = ResponsesRequest.model_validate(raw)
    except ValidationError as error:
        raise request_error(error, raw) from error
    _check_parts(request)
    wanted = request.text.format if request.text else None
    if wanted is not None and wanted.type == "json_schema":
        for name, value in (("name", wanted.name), ("schema", wanted.schema_)):
            if value is None:
                raise _missing(f"text.format.{name}")
    return raw, request


def _refuse_kinds(raw: dict[str, Any]) -> None:
    """Refuse kinds of items, parts and tools that pydantic would only call invalid.

    Raises:
        FieldRefusedError: one that is not text, or that the engine does not have.
    """
    items = raw.get("input")
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if not isinstance(item, dict):
            continue
        place = f"input[{index}]"
        if _kind(item) not in _ITEMS:
            raise FieldRefusedError(
                f"`{place}` is of type `{_kind(item)[:40]}`, which is not supported; send messages,"
                " function calls with their outputs, and reasoning, each with its text",
                param=place,
            )
        if item.get("encrypted_content") is not None:
            param = f"{place}.encrypted_content"
            raise FieldRefusedError(
                f"`{param}` is not accepted: the guard cannot read it; leave it out", param=param
            )
        for name in ("content", "output"):
            if _kind(item) != "reasoning":
                refuse_media(item.get(name), f"{place}.{name}", _PARTS)
    tools = raw.get("tools")
    for index, tool in enumerate(tools if isinstance(tools, list) else ()):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if isinstance(kind, str) and kind != "function":
            raise FieldRefusedError(
                f"`tools[{index}]` is of type `{kind[:40]}`, which the model server does not have;"
                " only functions can be called",
                param=f"tools[{index}]",
            )


def _check_parts(request: ResponsesRequest) -> None:
    for index, item in enumerate(request.input if isinstance(request.input, list) else ()):
        if isinstance(item, MessageItem):
            name, said = "content", item.content
        elif isinstance(item, OutputItem):
            name, said = "output", item.output
        else:
            continue
        for number, part in enumerate(said if isinstance(said, list) else ()):
            member = "refusal" if part.type == "refusal" else "text"
            if getattr(part, member) is None:
                raise _missing(f"input[{index}].{name}[{number}].{member}")


def _missing(param: str) -> FieldError:
    return FieldError(f"`{param}` is missing; it is required", param=param)
