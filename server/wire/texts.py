"""The text-bearing fields of each API, listed once.

Of a request: every text that can reach the model, with its place, whether the user wrote it just
now, and how to write an edited text back. Of an answer: the channels that text can leave by.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from server.wire.json_text import read_json

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

# Ids as the engines and the common clients make them: a word, whatever it is made of.
_PLAIN_ID: Final = re.compile(r"[\w.:+/=-]{1,64}")
# Digits of a number that could be something that a policy forbids, such as that of a telephone.
_LEAST_DIGITS: Final = 4

Kind = Literal["user", "context", "form"]
_SPEAKERS: Final = frozenset({"user", "assistant"})


@dataclass(frozen=True, slots=True)
class RequestText:
    """One text of a request.

    Attributes:
        place: path into the request, such as ``messages[2].content``.
        kind: ``user`` for what a user-role turn says, ``form`` for what the answer's form says.
        last: whether it belongs to the user's last turn, from which nothing is withheld.
        write: puts an edited text back; None where the text cannot be edited (names, keys).
        path: where in its document it stands. Its keys are text, which decisions must not hold.
        glued: the same without gaps between its parts, as some chat templates put them; empty if it
            is of one part.
        compared: whether it is compared with examples; names are looked for in any case.
        turn: whether it is what the user or the model said in its turn.
    """

    place: str
    text: str
    kind: Kind
    last: bool = False
    write: Callable[[str], None] | None = None
    path: tuple[str | int, ...] = ()
    glued: str = ""
    compared: bool = True
    turn: bool = False

    @property
    def is_content(self) -> bool:
        """Whether it is all that a message says."""
        return self.place.endswith(".content")


def chat_texts(raw: dict[str, Any]) -> list[RequestText]:
    """Every text of a checked chat request body; edits go to ``raw`` itself."""
    messages: list[dict[str, Any]] = raw["messages"]
    last_user = max(
        (index for index, message in enumerate(messages) if message["role"] == "user"), default=-1
    )
    texts = _form(raw)
    for index, message in enumerate(messages):
        place = f"messages[{index}]"
        kind: Kind = "user" if message["role"] == "user" else "context"
        texts.append(_content(message, f"{place}.content", kind, last=index == last_user))
        for name in ("refusal", "reasoning", "reasoning_content"):
            if message.get(name):
                texts.append(_member(message, name, f"{place}.{name}"))
        if message.get("name"):
            texts.append(RequestText(f"{place}.name", message["name"], "context"))
        texts += _id(message, "tool_call_id", place)
        for number, call in enumerate(message.get("tool_calls") or ()):
            texts += _id(call, "id", f"{place}.tool_calls[{number}]")
            texts += _called(call["function"], f"{place}.tool_calls[{number}].function")
    for number, tool in enumerate(raw.get("tools") or ()):
        texts += _tree(tool["function"], f"tools[{number}].function", lambda: None)
    texts += document_texts(raw.get("documents") or [], "documents")
    return [text for text in texts if text.text]


def completion_texts(raw: dict[str, Any]) -> list[RequestText]:
    """Every text of a checked completion request body."""
    prompt = raw["prompt"]
    if isinstance(prompt, str):
        return [*_form(raw), _member(raw, "prompt", "prompt", "user", last=True)]
    return _form(raw) + [
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


def _content(message: dict[str, Any], place: str, kind: Kind, *, last: bool) -> RequestText:
    """What a message says; its parts as one text, which an edit leaves it as."""
    content = message.get("content") or ""
    turn = message["role"] in _SPEAKERS
    if isinstance(content, str):
        write = _leaf(message, "content", lambda: None)
        return RequestText(place, content, kind, last, write, turn=turn)
    parts = [part[name] for part in content for name in ("text", "refusal") if part.get(name)]
    return RequestText(
        place, "\n".join(parts), kind, last, _leaf(message, "content", lambda: None),
        glued="".join(parts) if len(parts) > 1 else "", turn=turn,
    )  # fmt: skip


def _id(parent: dict[str, Any], name: str, place: str) -> list[RequestText]:
    """What ties a tool's result to its call; some chat templates show it to the model."""
    given = parent.get(name) or ""
    plain = _PLAIN_ID.fullmatch(given) is not None
    return [RequestText(f"{place}.{name}", given, "context", compared=not plain)]


def _form(raw: dict[str, Any]) -> list[RequestText]:
    """What a schema for the answer says: its names, its other strings, and both in their order.

    A model has to write the names and may have to write the rest, and some chat templates show it
    the schema. What a question is put together from is told by one of the three.
    """
    schema = (raw.get("response_format") or {}).get("json_schema")
    if not schema:
        return []
    head = {name: schema.get(name) for name in ("name", "description")}
    said = [*_said_by(head), *_said_by(schema.get("schema"))]
    names = dict.fromkeys(text for is_name, text in said if is_name)
    values = [text for is_name, text in said if not is_name]
    place = "response_format"
    texts = [
        RequestText(f"{place}#names", "\n".join(names), "form", True),
        RequestText(f"{place}#values", "\n".join(values), "form", True),
        RequestText(place, "\n".join(text for _, text in said), "form", True, compared=False),
    ]
    return [text for text in texts if text.text]


def _said_by(schema: Any) -> Iterator[tuple[bool, str]]:
    """The names and the strings of a schema, in their order, as (is a name, text)."""
    if isinstance(schema, dict):
        for key, member in schema.items():
            if key not in _SCHEMA_WORDS:
                yield True, key
            if key == "required" and isinstance(member, list):
                yield from ((True, each) for each in member if isinstance(each, str))
            elif not isinstance(member, str):
                yield from _said_by(member)
            elif key in _IDENTIFIERS:
                if member not in _SCHEMA_TYPES:
                    yield True, member
            else:
                yield False, member
    elif isinstance(schema, list):
        for member in schema:
            if isinstance(member, str):
                yield False, member
            else:
                yield from _said_by(member)
    elif _is_long_number(schema):
        yield False, str(schema)


def _is_long_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return sum(map(str.isdigit, str(value))) >= _LEAST_DIGITS


def _member(
    parent: dict[str, Any], name: str, place: str, kind: Kind = "context", *, last: bool = False
) -> RequestText:
    def write(text: str) -> None:
        parent[name] = text

    return RequestText(place, parent[name], kind, last, write)


def _called(function: dict[str, Any], place: str) -> Iterator[RequestText]:
    yield RequestText(f"{place}.name", function["name"], "context")
    arguments = function.get("arguments") or ""
    read = read_json(arguments)
    if read is None:
        if arguments:
            yield _member(function, "arguments", f"{place}.arguments")
        return
    box = [read.value]

    def changed() -> None:
        function["arguments"] = json.dumps(box[0], ensure_ascii=False)

    yield from _tree(box, f"{place}.arguments", changed, fixed=frozenset())


def _tree(
    value: Any, place: str, changed: Callable[[], None], *, fixed: frozenset[str] = _IDENTIFIERS
) -> Iterator[RequestText]:
    """The texts of a JSON value: strings can be edited, keys and names only looked at.

    A long number is a text, too: in a schema, where another type would be an error, like a name.

    Strings are numbered, not named by their path: keys are text that decisions must not hold.

    Args:
        fixed: members whose strings other parts of the request refer to.
    """
    keys: list[str] = []
    strings = _strings(value, keys, fixed)
    for number, (parent, path) in enumerate(strings):
        write = _leaf(parent, path[-1], changed)
        said = parent[path[-1]]
        yield RequestText(
            f"{place}#{number}", str(said), "context", write=write, path=path,
            compared=isinstance(said, str),
        )  # fmt: skip
    if keys:
        yield RequestText(f"{place}#names", "\n".join(dict.fromkeys(keys)), "context")


def _strings(
    value: Any, keys: list[str], fixed: frozenset[str], path: tuple[str | int, ...] = ()
) -> list[tuple[Any, tuple[str | int, ...]]]:
    """What can be edited, as (parent, path); names go to ``keys``."""
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
        elif _is_long_number(member):
            if fixed:
                keys.append(str(member))
            else:
                found.append((value, (*path, key)))
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
