"""The text-bearing fields of each API, listed once.

Of a request: every text that can reach the model, with its place, whether the user wrote it just
now, and how to write an edited text back. Of an answer: the channels that text can leave by.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic_core import from_json

# Channels of a chat message or delta, in the order in which a model produces them.
TEXT_CHANNELS: Final = ("reasoning", "reasoning_content", "content", "refusal")
COMPLETION_CHANNEL: Final = "text"

# Words of JSON Schema itself, which say nothing of what a tool is about.
_SCHEMA_WORDS: Final = frozenset(
    {
        "name", "description", "parameters", "strict", "type", "properties", "required", "items",
        "enum", "const", "default", "title", "format", "anyOf", "oneOf", "allOf", "not", "$ref",
        "$defs", "additionalProperties", "pattern", "minimum", "maximum", "examples",
    }
)  # fmt: skip
_SCHEMA_TYPES: Final = frozenset(
    {"string", "number", "integer", "boolean", "array", "object", "null"}
)
# Strings that other parts of a request refer to: changing one would break the reference.
_IDENTIFIERS: Final = frozenset({"name", "type", "$ref"})

Kind = Literal["user", "context"]


@dataclass(frozen=True, slots=True)
class RequestText:
    """One text of a request.

    Attributes:
        place: path into the request, such as ``messages[2].content``.
        kind: ``user`` for what a user-role turn says.
        last: whether it belongs to the user's last turn, from which nothing is withheld.
        write: puts an edited text back; None where the text cannot be edited (names, keys).
        path: where in its document it stands. Its keys are text, which decisions must not hold.
    """

    place: str
    text: str
    kind: Kind
    last: bool = False
    write: Callable[[str], None] | None = None
    path: tuple[str | int, ...] = ()


def chat_texts(raw: dict[str, Any]) -> list[RequestText]:
    """Every text of a checked chat request body; edits go to ``raw`` itself."""
    messages: list[dict[str, Any]] = raw["messages"]
    last_user = max(
        (index for index, message in enumerate(messages) if message["role"] == "user"), default=-1
    )
    texts: list[RequestText] = []
    for index, message in enumerate(messages):
        place = f"messages[{index}]"
        kind: Kind = "user" if message["role"] == "user" else "context"
        texts += _content(message, f"{place}.content", kind, last=index == last_user)
        for name in ("refusal", "reasoning", "reasoning_content"):
            if message.get(name):
                texts.append(_member(message, name, f"{place}.{name}"))
        if message.get("name"):
            texts.append(RequestText(f"{place}.name", message["name"], "context"))
        for number, call in enumerate(message.get("tool_calls") or ()):
            texts += _called(call["function"], f"{place}.tool_calls[{number}].function")
    for number, tool in enumerate(raw.get("tools") or ()):
        texts += _tree(tool["function"], f"tools[{number}].function", lambda: None)
    texts += document_texts(raw.get("documents") or [], "documents")
    return [text for text in texts if text.text]


def completion_texts(raw: dict[str, Any]) -> list[RequestText]:
    """Every text of a checked completion request body."""
    prompt = raw["prompt"]
    if isinstance(prompt, str):
        return [_member(raw, "prompt", "prompt", "user", last=True)]
    return [
        RequestText(f"prompt[{index}]", text, "user", True, _leaf(prompt, index, lambda: None))
        for index, text in enumerate(prompt)
    ]


def listed_texts(texts: list[str], place: str) -> list[RequestText]:
    """Each of a list of texts, as context; edits go to the list itself."""
    return [
        RequestText(f"{place}[{index}]", text, "context", write=_leaf(texts, index, lambda: None))
        for index, text in enumerate(texts)
        if text
    ]


def document_texts(documents: list[dict[str, Any]], place: str) -> list[RequestText]:
    """Every text of documents of any shape; edits go to the documents themselves."""
    return [
        text
        for index, document in enumerate(documents)
        for text in _tree(document, f"{place}[{index}]", lambda: None, fixed=frozenset())
        if text.text
    ]


def _content(
    message: dict[str, Any], place: str, kind: Kind, *, last: bool
) -> Iterator[RequestText]:
    content = message.get("content")
    if isinstance(content, str):
        yield _member(message, "content", place, kind, last=last)
    elif content:
        for number, part in enumerate(content):
            for name in ("text", "refusal"):
                if part.get(name):
                    yield _member(part, name, f"{place}[{number}].{name}", kind, last=last)


def _member(
    parent: dict[str, Any], name: str, place: str, kind: Kind = "context", *, last: bool = False
) -> RequestText:
    def write(text: str) -> None:
        parent[name] = text

    return RequestText(place, parent[name], kind, last, write)


def _called(function: dict[str, Any], place: str) -> Iterator[RequestText]:
    yield RequestText(f"{place}.name", function["name"], "context")
    arguments = function.get("arguments") or ""
    try:
        box = [from_json(arguments)]
    except ValueError:
        if arguments:
            yield _member(function, "arguments", f"{place}.arguments")
        return

    def changed() -> None:
        function["arguments"] = json.dumps(box[0], ensure_ascii=False)

    yield from _tree(box, f"{place}.arguments", changed)


def _tree(
    value: Any, place: str, changed: Callable[[], None], *, fixed: frozenset[str] = _IDENTIFIERS
) -> Iterator[RequestText]:
    """The texts of a JSON value: strings can be edited, keys and names only looked at.

    Strings are numbered, not named by their path: keys are text that decisions must not hold.

    Args:
        fixed: members whose strings other parts of the request refer to.
    """
    keys: list[str] = []
    strings = _strings(value, keys, fixed)
    for number, (parent, path) in enumerate(strings):
        write = _leaf(parent, path[-1], changed)
        yield RequestText(f"{place}#{number}", parent[path[-1]], "context", write=write, path=path)
    if keys:
        yield RequestText(f"{place}#names", "\n".join(dict.fromkeys(keys)), "context")


def _strings(
    value: Any, keys: list[str], fixed: frozenset[str], path: tuple[str | int, ...] = ()
) -> list[tuple[Any, tuple[str | int, ...]]]:
    """The editable strings, as (parent, path); names go to ``keys``."""
    found: list[tuple[Any, tuple[str | int, ...]]] = []
    named = isinstance(value, dict)
    members: Iterable[tuple[Any, Any]] = value.items() if named else enumerate(value)
    for key, member in members:
        if named and key not in _SCHEMA_WORDS:
            keys.append(key)
        if isinstance(member, str):
            if not (named and key in fixed):
                found.append((value, (*path, key)))
            elif member not in _SCHEMA_TYPES:
                keys.append(member)
        elif isinstance(member, dict | list):
            found += _strings(member, keys, fixed, (*path, key))
    return found


def _leaf(
    parent: Any,
    key: str | int,
    changed: Callable[[], None],
) -> Callable[[str], None]:
    def write(text: str) -> None:
        parent[key] = text
        changed()

    return write
