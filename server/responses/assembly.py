"""The deltas of a chat to the items of a response, and the events that tell of each.

A whole answer is put together as if it had been streamed in one piece, so there is one account of
what becomes of a chat. Items are told of in the order in which they begin; the calls of functions,
whose arguments may come in turns, end with the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

# Type of an event, and its members.
Event = tuple[str, dict[str, Any]]

# Of each kind of text: the item and the member of its part that hold it.
_ITEM: Final = {"reasoning_text": "reasoning", "output_text": "message", "refusal": "message"}
_THOUGHTS: Final = ("reasoning", "reasoning_content")
_MEMBER: Final = {"reasoning_text": "text", "output_text": "text", "refusal": "refusal"}
# None are told: they would name tokens that the guard kept from being said.
_PROBABILITIES: Final[Mapping[str, Any]] = {"logprobs": []}


class Assembly:
    """The items of one response.

    Args:
        name: what the ids of its items end with.

    Attributes:
        items: in order, as far as they have come.
    """

    def __init__(self, name: str) -> None:
        self.items: list[dict[str, Any]] = []
        self._name = name
        self._open: int | None = None  # the item whose text goes on
        self._thoughts = ""  # the channel that they come in
        self._calls: dict[int, int] = {}  # by index in the chat, which item each is

    def feed(self, delta: Mapping[str, Any]) -> Iterator[Event]:
        """The events of a delta, or of a message."""
        # Engines tell thoughts by either name or by both. Each is scanned by itself, so that only
        # one may be told.
        self._thoughts = self._thoughts or next((name for name in _THOUGHTS if delta.get(name)), "")
        said = (
            ("reasoning_text", delta.get(self._thoughts)),
            ("output_text", delta.get("content")),
            ("refusal", delta.get("refusal")),
        )
        for kind, text in said:
            if text:
                yield from self._say(kind, text)
        for place, call in enumerate(delta.get("tool_calls") or ()):
            yield from self._call(call.get("index", place), call)

    def end(self, *, whole: bool) -> Iterator[Event]:
        """The events of its end; ``whole`` is whether the answer came to one by itself."""
        status = "completed" if whole else "incomplete"
        if not self.items:
            yield from self._say("output_text", "")
        yield from self._close(status)
        for place in self._calls.values():
            item = self.items[place]
            item["status"] = status
            done = {"name": item["name"], "arguments": item["arguments"]}
            yield "response.function_call_arguments.done", {**self._at(place), **done}
            yield "response.output_item.done", {"output_index": place, "item": item}

    def _say(self, kind: str, text: str) -> Iterator[Event]:
        if self._open is None or self.items[self._open]["type"] != _ITEM[kind]:
            yield from self._close("completed")
            yield from self._begin(kind)
        place = self._open
        assert place is not None
        parts = self.items[place]["content"]
        if not parts or parts[-1]["type"] != kind:
            yield from self._end_part()
            empty: dict[str, Any] = {"type": kind, _MEMBER[kind]: ""}
            if kind == "output_text":
                empty |= {"annotations": [], **_PROBABILITIES}
            parts.append(empty)
            yield "response.content_part.added", {**self._part(), "part": dict(empty)}
        if not text:
            return
        parts[-1][_MEMBER[kind]] += text
        probabilities = _PROBABILITIES if kind == "output_text" else {}
        yield f"response.{kind}.delta", {**self._part(), "delta": text, **probabilities}

    def _begin(self, kind: str) -> Iterator[Event]:
        self._open = place = len(self.items)
        item: dict[str, Any]
        if _ITEM[kind] == "reasoning":
            item = {"type": "reasoning", "id": self._id("rs"), "summary": []}
        else:
            item = {"type": "message", "id": self._id("msg"), "role": "assistant"}
        self.items.append({**item, "status": "in_progress", "content": []})
        added = {**self.items[place], "content": []}
        yield "response.output_item.added", {"output_index": place, "item": added}

    def _end_part(self) -> Iterator[Event]:
        place = self._open
        if place is None or not self.items[place]["content"]:
            return
        part = self.items[place]["content"][-1]
        kind = part["type"]
        member = _MEMBER[kind]
        probabilities = _PROBABILITIES if kind == "output_text" else {}
        yield f"response.{kind}.done", {**self._part(), member: part[member], **probabilities}
        yield "response.content_part.done", {**self._part(), "part": part}

    def _close(self, status: str) -> Iterator[Event]:
        place = self._open
        if place is None:
            return
        yield from self._end_part()
        self.items[place]["status"] = status
        self._open = None
        yield "response.output_item.done", {"output_index": place, "item": self.items[place]}

    def _call(self, index: int, call: Mapping[str, Any]) -> Iterator[Event]:
        function = call.get("function") or {}
        if index not in self._calls:
            yield from self._close("completed")
            self._calls[index] = place = len(self.items)
            item = {
                "type": "function_call",
                "id": self._id("fc"),
                "call_id": call.get("id") or self._id("call"),
                "name": function.get("name") or "",
                "arguments": "",
                "status": "in_progress",
            }
            self.items.append(item)
            yield "response.output_item.added", {"output_index": place, "item": dict(item)}
        place = self._calls[index]
        if text := function.get("arguments"):
            self.items[place]["arguments"] += text
            yield "response.function_call_arguments.delta", {**self._at(place), "delta": text}

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._name}_{len(self.items)}"

    def _at(self, place: int) -> dict[str, Any]:
        return {"item_id": self.items[place]["id"], "output_index": place}

    def _part(self) -> dict[str, Any]:
        assert self._open is not None
        content = self.items[self._open]["content"]
        return {**self._at(self._open), "content_index": len(content) - 1}
