"""pydantic's errors in the words of a policy owner, each with its file, line, field and fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from guard.errors import PolicyError
from guard.policy import schema
from guard.policy.model import Place
from guard.policy.source import FieldPath

_TAGS: Final = frozenset({"text", "list", "phrase"})
_SHAPES: Final = {
    "model_type": ("must hold fields", "write `name: value` lines below it, indented"),
    "dict_type": ("must hold fields", "write `name: value` lines below it, indented"),
    "list_type": ("must be a list", "write `[a, b]`, or one `- item` a line"),
    "string_type": ("must be text", "write text here, in quotes if it looks like something else"),
    "bool_type": ("must be true or false", "write `true` or `false`"),
    "float_type": ("must be a number", "write a number such as 0.005, without quotes"),
    "int_type": ("must be a whole number", "write a number such as 8, without quotes"),
    "patterns": (
        "must be a file pattern or a list of them",
        "write a pattern such as `data/book/*.txt`, or one `- pattern` a line",
    ),
    "date_type": ("must be a date", "write it as YYYY-MM-DD"),
    "prompts": (
        "must be the path of a file or a list of prompts",
        "write a path such as `data/questions.jsonl`, or one `- prompt` a line",
    ),
    "phrase": (
        "must be text, or text with a strength",
        "write the phrase (in quotes if it is a number), or `{text: ..., strength: soft}`",
    ),
}
_BOUNDS: Final = {
    "greater_than": "above",
    "greater_than_equal": "at least",
    "less_than_equal": "at most",
}
_PATTERNS: Final = {
    "id": (
        "must be a-z, 0-9 and `-`, start with a letter or digit, and have at most 64 characters",
        "choose a short name such as `harbor-novels`",
    ),
    "keys": (
        "must be `sha256:` and 64 hex digits",
        'write the digest of the key: `printf %s "$KEY" | sha256sum`',
    ),
}


def translate(error: ValidationError, base: Place) -> list[PolicyError]:
    """One ``PolicyError`` for each problem that pydantic found in the value at ``base``."""
    return [_one(dict(item), base) for item in error.errors(include_url=False)]


def _one(item: dict[str, Any], base: Place) -> PolicyError:
    path = _strip_tags(item["loc"])
    kind, context = str(item["type"]), item.get("ctx", {})
    place = base.at(*path)
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    if kind == "extra_forbidden":
        return place.error(*_unknown_field(path))
    if kind == "missing":
        return base.at(*path[:-1]).error(f"`{name}` is missing", f"add `{name}`")
    if kind == "literal_error":
        return place.error(*_wrong_choice(name, item["input"], str(context["expected"])))
    if kind == "string_pattern_mismatch":
        return place.error(*_PATTERNS[name])
    if kind in ("string_too_short", "too_short"):
        return place.error("is empty", "give it a value, or remove the field")
    if kind == "string_too_long":
        return place.error(f"is longer than {context['max_length']} characters", "shorten it")
    if kind in _BOUNDS:
        bound = " ".join((_BOUNDS[kind], *map(str, context.values())))
        return place.error(f"must be {bound}", "correct the number")
    problem, fix = _SHAPES.get(kind, (str(item["msg"]).lower(), "correct the value"))
    return place.error(problem, fix)


def _strip_tags(loc: tuple[str | int, ...]) -> FieldPath:
    # A union's branch stands in pydantic's path; `phrases[1].phrase.text` is no field of the file.
    def is_tag(index: int) -> bool:
        if loc[index] not in _TAGS or index < 2:
            return False
        before = loc[index - 1]
        in_list = isinstance(before, int) and loc[index - 2] == "phrases"
        return in_list or before in ("examples", "counterexamples", "corpus")

    return tuple(part for index, part in enumerate(loc) if not is_tag(index))


def _unknown_field(path: FieldPath) -> tuple[str, str]:
    name = str(path[-1])
    parents = [part for part in path[:-1] if isinstance(part, str)]
    fix = schema.UNENFORCED_FIELDS.get((parents[-1] if parents else "", name))
    if fix is not None:
        return f"this version does not enforce `{name}`", fix
    close = difflib.get_close_matches(name, list(_field_names(schema.PolicyFile)), n=1)
    return "is not a field of a policy", f"did you mean `{close[0]}`?" if close else "remove it"


def _field_names(model: type[BaseModel]) -> Iterator[str]:
    for name, info in model.model_fields.items():
        yield info.alias or name
        for inner in _models_in(info.annotation):
            yield from _field_names(inner)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _wrong_choice(name: str, given: object, expected: str) -> tuple[str, str]:
    if isinstance(given, str):
        fix = schema.UNENFORCED_VALUES.get((name, given))
        if fix is not None:
            return f"this version does not enforce `{given}`", fix
    choices = expected.replace("'", "`")
    return f"must be {choices}", f"write {choices}"
