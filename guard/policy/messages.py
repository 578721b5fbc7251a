"""pydantic's errors in the words of a policy owner, each with its file, line, field and fix."""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from guard.errors import PolicyError
from guard.policy import schema
from guard.policy.model import Place
from guard.policy.source import FieldPath

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
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
        return place.error(*_unknown_field(path, item["input"]))
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
    if kind in ("string_type", "phrase"):
        fix = _why_no_text(item["input"]) or fix
    if kind == "date_type" and isinstance(item["input"], str) and _DAY.fullmatch(item["input"]):
        problem, fix = "is no day of the calendar", "correct it"
    return place.error(problem, fix)


def _why_no_text(given: object) -> str:
    """How text came to be something else in YAML; or nothing."""
    if given is None:
        return "give it a value"
    if isinstance(given, bool):
        return "put quotes around it: YAML reads yes, no, on, off, true and false as no text"
    if isinstance(given, datetime.date):
        return "put quotes around it: YAML reads it as a date"
    if isinstance(given, (int, float)):
        return "put quotes around it: YAML reads it as a number"
    if isinstance(given, dict):
        return "put quotes around the whole text: YAML reads a `:` in it as a field's end"
    return ""


def _strip_tags(loc: tuple[str | int, ...]) -> FieldPath:
    # A union's branch stands in pydantic's path; `phrases[1].phrase.text` is no field of the file.
    def is_tag(index: int) -> bool:
        if loc[index] not in _TAGS or index < 2:
            return False
        before = loc[index - 1]
        in_list = isinstance(before, int) and loc[index - 2] == "phrases"
        return in_list or before in ("examples", "counterexamples", "corpus")

    return tuple(part for index, part in enumerate(loc) if not is_tag(index))


def _unknown_field(path: FieldPath, value: object) -> tuple[str, str]:
    name = str(path[-1])
    parents = [part for part in path[:-1] if isinstance(part, str)]
    fix = schema.UNENFORCED_FIELDS.get((parents[-1] if parents else "", name))
    if fix is not None:
        return f"this version does not enforce `{name}`", fix
    inside = parents[-1] if parents else ""
    holders = _holders()
    if found := holders.get(name):
        where = " or ".join(
            f"`{each}`" if each else "the top of the file" for each in sorted(found)
        )
        what = f"a field of `{inside}`" if inside else "a field of the file itself"
        return f"is not {what}", f"it belongs to {where}: move it there"
    if value is None and not name.isidentifier():
        return (
            "is not a field of a policy",
            "put quotes around the whole text that it is a part of: YAML ends it at the comma",
        )
    own = [each for each, at in holders.items() if inside in at]
    close = difflib.get_close_matches(name, own, n=1) or difflib.get_close_matches(
        name, holders, n=1
    )
    if close:
        return "is not a field of a policy", f"did you mean `{close[0]}`?"
    return "is not a field of a policy", "remove it"


@cache
def _holders() -> dict[str, set[str]]:
    """Each field's name, and those of the fields that hold it; the top of a file is ``""``."""
    found: dict[str, set[str]] = {}
    for name, holder in _field_names(schema.PolicyFile, ""):
        found.setdefault(name, set()).add(holder)
    return found


def _field_names(model: type[BaseModel], holder: str) -> Iterator[tuple[str, str]]:
    for name, info in model.model_fields.items():
        own = info.alias or name
        yield own, holder
        for inner in _models_in(info.annotation):
            yield from _field_names(inner, own)


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
