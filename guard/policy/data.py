"""Data files that a policy names: prompts, and questions with their answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from guard.errors import PolicyError
from guard.policy.model import Place

MAX_BYTES: Final = 64 << 20
MAX_TEXT: Final = 20_000

Item = TypeVar("Item")


def read_prompts(path: Path, place: Place) -> list[str]:
    """The prompts of a ``.jsonl`` file (``prompt`` or ``question``) or of a ``.txt`` file (lines).

    Args:
        place: the policy field that names the file, for errors with the file as a whole; an error
            in a line of it names that line.

    Raises:
        PolicyError: absent, unreadable, of another kind, empty, or a line without a prompt.
    """
    if path.suffix == ".txt":
        prompts = []
        for number, line in enumerate(_read(path, place).split("\n"), 1):
            _check_length(line, path, number, place)
            if line.strip():
                prompts.append(line.strip())
    elif path.suffix == ".jsonl":
        prompts = [
            _text(row, ("prompt", "question"), path, line, place)
            for line, row in _rows(path, place)
        ]
    else:
        raise place.error(
            f"`{path}` is neither a .jsonl nor a .txt file",
            "give a .jsonl file with a `prompt` in each line, or a .txt file with one a line",
        )
    return _not_empty(prompts, path, place)


def read_answers(path: Path, place: Place) -> list[tuple[str, str]]:
    """The (question, answer) pairs of a ``.jsonl`` file.

    Raises:
        PolicyError: as ``read_prompts``.
    """
    pairs = [
        (
            _text(row, ("question", "prompt"), path, line, place),
            _text(row, ("answer",), path, line, place),
        )
        for line, row in _rows(path, place)
    ]
    return _not_empty(pairs, path, place)


def _not_empty(items: list[Item], path: Path, place: Place) -> list[Item]:
    if not items:
        raise place.error(f"`{path}` is empty", "write one item a line")
    return items


def _read(path: Path, place: Place) -> str:
    def error(problem: str, fix: str) -> PolicyError:
        return place.error(f"`{path}`: {problem}", fix)

    try:
        if not path.exists():
            raise error("no such file", "paths start at the policy file's own folder")
        if not path.is_file():
            raise error("is not a file", "give the path of a file")
        if path.stat().st_size > MAX_BYTES:
            raise error(f"is larger than {MAX_BYTES >> 20} MiB", "split the target into several")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as reason:
        if isinstance(reason, OSError):
            raise error(f"cannot be read ({reason.strerror})", "check its permissions") from reason
        raise error("cannot be read (not UTF-8 text)", "save it as UTF-8") from reason


def _rows(path: Path, place: Place) -> Iterator[tuple[int, dict[str, Any]]]:
    # Not splitlines: JSON strings may hold U+2028 and its like unescaped.
    for number, line in enumerate(_read(path, place).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise PolicyError(
                "is not a JSON object",
                fix='write one object a line, such as {"question": "...", "answer": "..."}',
                file=str(path),
                line=number,
                field=place.field,
            )
        yield number, row


def _text(row: dict[str, Any], names: tuple[str, ...], path: Path, line: int, place: Place) -> str:
    for name in names:
        value = row.get(name)
        if isinstance(value, str) and value.strip():
            _check_length(value, path, line, place)
            return value
    choices = " or ".join(f"`{name}`" for name in names)
    raise PolicyError(
        f"has no text in {choices}",
        fix=f"add {choices}",
        file=str(path),
        line=line,
        field=place.field,
    )


def _check_length(text: str, path: Path, line: int, place: Place) -> None:
    problem = ""
    if len(text) > MAX_TEXT:
        problem = f"holds a text longer than {MAX_TEXT} characters"
    elif any("\ud800" <= char <= "\udfff" for char in text):
        problem = "holds half of a surrogate pair, which is no text"
    if problem:
        raise PolicyError(
            problem, fix="correct the line", file=str(path), line=line, field=place.field
        )
