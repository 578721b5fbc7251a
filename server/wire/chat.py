"""The request of ``POST /v1/chat/completions``: the fields that are let through."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, ValidationError

from server.errors import FieldError
from server.wire.fields import (
    MAX_TOP_LOGPROBS,
    GuardedRequest,
    WireModel,
    check_format,
    refuse_media,
    request_error,
    strip_refused,
)
from server.wire.json_text import read_json

# Accepted in a message because apps send answers back as they came; nothing reads them. OpenAI's
# client itself adds what it has parsed.
_INERT_MESSAGE_FIELDS: Final = ("annotations", "audio", "function_call", "parsed")
_INERT_IN_CALLS: Final = "parsed_arguments"
# Of Anthropic's API; gateways leave it in.
_INERT_IN_PARTS: Final = "cache_control"
# What a chat template may be told: switches that carry no text.
_SWITCHES: Final = frozenset({"enable_thinking", "thinking"})
# Read in messages of these roles alone, so that elsewhere they would only stand between messages.
_OF_ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "refusal": ("assistant",),
    "reasoning": ("assistant",),
    "reasoning_content": ("assistant",),
    "tool_calls": ("assistant",),
    "tool_call_id": ("tool", "function"),
}


class ContentPart(WireModel):
    """A piece of text in a message."""

    type: Literal["text", "refusal"]
    text: str | None = None
    refusal: str | None = None
    cache_control: dict[str, Any] | None = None


class CalledFunction(WireModel):
    """Name and JSON arguments of a call that the model made."""

    name: str
    arguments: str = ""
    parsed_arguments: Any = None


class ToolCall(WireModel):
    """A call that the model made in an earlier turn."""

    id: str | None = None
    type: Literal["function"] = "function"
    function: CalledFunction
    index: int | None = None


class Message(WireModel):
    """One message of any role."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    annotations: list[Any] | None = None
    audio: None = None
    function_call: None = None
    parsed: Any = None


class FunctionTool(WireModel):
    """A function that the model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(WireModel):
    """A tool; only functions exist here."""

    type: Literal["function"] = "function"
    function: FunctionTool


class NamedFunction(WireModel):
    """The name of a function."""

    name: str


class NamedTool(WireModel):
    """A tool that the model must call."""

    type: Literal["function"] = "function"
    function: NamedFunction


# Those of vLLM (entrypoints/openai/chat_completion/protocol.py).
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class ChatRequest(GuardedRequest):
    """A chat request that the guard can vouch for."""

    FORWARDED: ClassVar[frozenset[str]] = GuardedRequest.FORWARDED | {
        "messages", "max_completion_tokens", "top_logprobs", "tools", "tool_choice",
        "parallel_tool_calls", "documents", "chat_template_kwargs", "reasoning_effort",
        "include_reasoning", "thinking_token_budget",
    }  # fmt: skip

    messages: Annotated[list[Message], Field(min_length=1, max_length=4096)]
    max_completion_tokens: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    tools: Annotated[list[Tool], Field(max_length=512)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    # For chat templates of retrieval; vLLM gives them to the template as they are.
    documents: Annotated[list[dict[str, str]], Field(max_length=4096)] | None = None
    chat_template_kwargs: dict[Literal["enable_thinking", "thinking"], bool] | None = None
    reasoning_effort: ReasoningEffort | None = None
    include_reasoning: bool | None = None
    thinking_token_budget: Annotated[int, Field(ge=0)] | None = None

    @property
    def choices(self) -> int:
        """How many answers the request asks for."""
        return self.n or 1

    @property
    def wants_logprobs(self) -> bool:
        """Whether token probabilities were asked for."""
        return bool(self.logprobs or self.top_logprobs)

    @property
    def forces_tool(self) -> bool:
        """Whether the model must call a tool, its arguments bound to the tool's schema."""
        return self.tool_choice == "required" or isinstance(self.tool_choice, NamedTool)

    @property
    def has_grammar(self) -> bool:
        """Whether the engine may bind the answer to a grammar: tools bring one, too."""
        return self.wants_json or bool(self.tools)


def check_messages(raw: dict[str, Any]) -> None:
    """Refuse what pydantic would only call invalid.

    Raises:
        FieldRefusedError: a message that holds something other than text.
    """
    messages = raw.get("messages")
    if isinstance(messages, list):
        for index, message in enumerate(messages):
            if isinstance(message, dict):
                refuse_media(message.get("content"), f"messages[{index}].content")


def _lift_documents(raw: dict[str, Any]) -> None:
    """Take documents from where some clients send them to where the guard reads them."""
    options = raw.get("chat_template_kwargs")
    if not isinstance(options, dict) or not set(options) <= {"documents"} | _SWITCHES:
        return
    if options.get("documents") and not raw.get("documents"):
        raw["documents"] = options.pop("documents")


def _take_switches(raw: dict[str, Any]) -> dict[str, bool]:
    """Take out what a template is told, if it is switches alone: they carry no text."""
    options = raw.get("chat_template_kwargs")
    if not isinstance(options, dict) or not options or not set(options) <= _SWITCHES:
        return {}
    if not all(isinstance(value, bool) for value in options.values()):
        return {}
    return dict(raw.pop("chat_template_kwargs"))


def parse_chat(raw: dict[str, Any]) -> ChatRequest:
    """Check a decoded body; what means nothing to the engine is taken out of ``raw``.

    Raises:
        RequestError: unknown, refused, missing or invalid fields, the first of them named.
    """
    _lift_documents(raw)
    switches = _take_switches(raw)
    strip_refused(raw)
    raw |= {"chat_template_kwargs": switches} if switches else {}
    check_messages(raw)
    try:
        request = ChatRequest.model_validate(raw)
    except ValidationError as error:
        raise request_error(error, raw) from error
    check_format(request)
    for index, (message, given) in enumerate(zip(request.messages, raw["messages"], strict=True)):
        if message.content is None and message.role != "assistant":
            param = f"messages[{index}].content"
            raise FieldError(f"`{param}` is missing; it is required", param=param)
        _check_parts(message, given, f"messages[{index}].content")
        for name in _INERT_MESSAGE_FIELDS:
            given.pop(name, None)
        for name, roles in _OF_ROLES.items():
            if message.role not in roles:
                given.pop(name, None)
        for call in given.get("tool_calls") or ():
            call["function"].pop(_INERT_IN_CALLS, None)
            _keep_last_of_equal_keys(call["function"])
    return request


def _check_parts(message: Message, given: dict[str, Any], place: str) -> None:
    """Take what means nothing out of the parts of a message.

    Raises:
        FieldError: a part holds no text.
    """
    if not isinstance(message.content, list):
        return
    for index, part in enumerate(message.content):
        if getattr(part, part.type) is None:
            param = f"{place}[{index}].{part.type}"
            raise FieldError(f"`{param}` is missing; it is required", param=param)
        given["content"][index].pop(_INERT_IN_PARTS, None)


def _keep_last_of_equal_keys(function: dict[str, Any]) -> None:
    """Of members with the same name only the last is read, so only that one may reach the model."""
    read = read_json(function.get("arguments") or "")
    if read is not None and read.equal_keys:
        function["arguments"] = json.dumps(read.value, ensure_ascii=False)
