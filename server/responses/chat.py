"""A request for a response as the chat that answers it, and where in it each text of that stands.

Items that make one turn of the model (thoughts, a message, calls of functions) become one message.
"""

from __future__ import annotations

from typing import Any, Final

from server.errors import ApiError
from server.responses.request import (
    CallItem,
    MessageItem,
    OutputItem,
    Part,
    ReasoningItem,
    ResponsesRequest,
)
from server.wire.fields import WireModel

_SAME: Final = (
    "model", "stream", "temperature", "top_p", "parallel_tool_calls", "seed", "top_k", "min_p",
    "presence_penalty", "frequency_penalty", "repetition_penalty",
)  # fmt: skip
_OF_TOOL: Final = ("name", "description", "parameters", "strict")
_OF_FORMAT: Final = ("name", "description", "strict")
_PLACES: Final = {
    "messages": "input",
    "max_completion_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
    "response_format.json_schema": "text.format",
}


class Places:
    """Where in the request what the chat calls a place stands."""

    def __init__(self) -> None:
        self._known = dict(_PLACES)

    def add(self, chat: str, own: str) -> None:
        """Note that what is at ``chat``, and below it, is at ``own``."""
        self._known[chat] = own

    def of(self, place: str) -> str:
        """A place in the chat as one in the request."""
        for end in range(len(place), 0, -1):
            known = self._known.get(place[:end])
            if known is not None and (end == len(place) or place[end] in ".[#"):
                return known + place[end:]
        return place

    def rename(self, error: ApiError) -> None:
        """Have an error about the chat speak of the request."""
        if error.param is not None:
            own = self.of(error.param)
            error.message = error.message.replace(f"`{error.param}`", f"`{own}`")
            error.param = own


def as_chat(request: ResponsesRequest) -> tuple[dict[str, Any], Places]:
    """The body of the chat, and where in the request each of its texts stands."""
    places = Places()
    body: dict[str, Any] = {name: getattr(request, name) for name in _SAME}
    body["messages"] = _messages(request, places)
    body["max_completion_tokens"] = request.max_output_tokens
    if request.reasoning:
        body["reasoning_effort"] = request.reasoning.effort
    if request.stream:
        body["stream_options"] = {"include_usage": True}
    if request.tools:
        body["tools"] = []
        for index, tool in enumerate(request.tools):
            places.add(f"tools[{index}].function", f"tools[{index}]")
            body["tools"].append({"type": "function", "function": _given(tool, _OF_TOOL)})
    choice = request.tool_choice
    if choice is not None:
        body["tool_choice"] = (
            choice
            if isinstance(choice, str)
            else {"type": "function", "function": {"name": choice.name}}
        )
    if request.text and (wanted := request.text.format):
        body["response_format"] = {"type": wanted.type}
        if wanted.type == "json_schema":
            schema = {"schema": wanted.schema_, **_given(wanted, _OF_FORMAT)}
            body["response_format"]["json_schema"] = schema
    return {name: value for name, value in body.items() if value is not None}, places


def _messages(request: ResponsesRequest, places: Places) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []

    def say(message: dict[str, Any], own: str) -> str:
        place = f"messages[{len(messages)}]"
        messages.append(message)
        places.add(place, own)
        return place

    if request.instructions:
        place = say({"role": "system", "content": request.instructions}, "instructions")
        places.add(f"{place}.content", "instructions")
    if isinstance(request.input, str):
        place = say({"role": "user", "content": request.input}, "input")
        places.add(f"{place}.content", "input")
        return messages
    # The model's turn that the next item may go on with.
    turn: dict[str, Any] = {}
    for index, item in enumerate(request.input):
        own = f"input[{index}]"
        match item:
            case MessageItem(role="assistant") if turn.keys() == {"role", "reasoning"}:
                turn["content"] = _said(item.content)
                places.add(f"messages[{len(messages) - 1}].content", f"{own}.content")
            case MessageItem():
                message = {"role": item.role, "content": _said(item.content)}
                say(message, own)
                turn = message if item.role == "assistant" else {}
            case OutputItem():
                message = {
                    "role": "tool", "tool_call_id": item.call_id, "content": _said(item.output)
                }  # fmt: skip
                place = say(message, own)
                places.add(f"{place}.content", f"{own}.output")
                places.add(f"{place}.tool_call_id", f"{own}.call_id")
                turn = {}
            case ReasoningItem():
                thought = "\n".join(part.text for part in item.content or item.summary)
                if not thought:
                    continue
                turn = {"role": "assistant", "reasoning": thought}
                place = say(turn, own)
                places.add(
                    f"{place}.reasoning", f"{own}.{'content' if item.content else 'summary'}"
                )
            case CallItem():
                if not turn:
                    turn = {"role": "assistant"}
                    say(turn, own)
                calls: list[dict[str, Any]] = turn.setdefault("tool_calls", [])
                place = f"messages[{len(messages) - 1}].tool_calls[{len(calls)}]"
                places.add(f"{place}.function", own)
                places.add(f"{place}.id", f"{own}.call_id")
                function = {"name": item.name, "arguments": item.arguments}
                calls.append({"id": item.call_id, "type": "function", "function": function})
    return messages


def _given(value: WireModel, names: tuple[str, ...]) -> dict[str, Any]:
    """What is there of some members, as it was given."""
    found = {name: getattr(value, name) for name in names}
    return {name: member for name, member in found.items() if member is not None}


def _said(content: str | list[Part]) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    return [
        {"type": "refusal", "refusal": part.refusal}
        if part.type == "refusal"
        else {"type": "text", "text": part.text}
        for part in content
    ]
