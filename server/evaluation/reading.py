"""Reads the data that suites ask about: TOFU's JSON lines, multiple choice, plain texts.

Every file comes from outside: an error names the file, the line, the field and the fix.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from guard.errors import GuardError
from server.evaluation.rows import Row

SETS: Final = ("forget", "retain", "real_authors", "world_facts")
_Model = TypeVar("_Model", bound=BaseModel)


class _Line(BaseModel):
    """Fields that no suite uses are left alone: data sets carry more than we need."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) else value


_Text = Annotated[str, Field(min_length=1)]
_Name = Annotated[str, BeforeValidator(_as_text)]


class _TofuLine(_Line):
    id: _Name = ""
    author: _Name = ""
    question: _Text
    answer: _Text
    paraphrased_question: str = ""
    paraphrased_answer: str = ""
    perturbed_answers: tuple[str, ...] = ()
    short_answer: str = ""


class _ChoiceLine(_Line):
    id: _Name = ""
    question: _Text
    choices: Annotated[tuple[_Text, ...], Field(min_length=2, max_length=26)]
    answer: int | str
    entity: _Name = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A multiple-choice question; ``answer`` is the place of the right choice."""

    id: str
    entity: str
    question: str
    choices: tuple[str, ...]
    answer: int


@dataclass(frozen=True, slots=True)
class Passage:
    """A beginning of a protected text, and how it goes on."""

    id: str
    entity: str
    prompt: str
    gold: str


def read_tofu(folder: Path) -> dict[str, list[Row]]:
    """The sets of a folder in TOFU's layout: ``forget.jsonl``, and whichever others there are.

    Raises:
        GuardError: no ``forget.jsonl``, or a line that cannot be used.
    """
    if not (folder / "forget.jsonl").is_file():
        raise GuardError(
            f"`--tofu`: `{folder}` holds no `forget.jsonl`",
            fix="give a folder with forget.jsonl and, if you have them, retain.jsonl,"
            " real_authors.jsonl and world_facts.jsonl",
        )
    found = {}
    for name in SETS:
        file = folder / f"{name}.jsonl"
        if file.is_file():
            found[name] = read_rows(file)
    return found


def read_rows(file: Path) -> list[Row]:
    """Questions with their answers, one JSON object a line.

    Raises:
        GuardError: a line that cannot be used.
    """
    return [
        Row(
            id=line.id or f"{file.stem}-{place:03d}",
            author=line.author,
            question=line.question,
            answer=line.answer,
            paraphrased_question=line.paraphrased_question,
            paraphrased_answer=line.paraphrased_answer,
            perturbed_answers=line.perturbed_answers,
            short_answer=line.short_answer,
        )
        for place, line in enumerate(read_lines(file, _TofuLine))
    ]


def read_choices(file: Path) -> list[Choice]:
    """Multiple choice as lm-eval-harness documents are: ``question``, ``choices``, ``answer``.

    ``answer`` is a place counted from 0, a letter, or the right choice itself.

    Raises:
        GuardError: a line that cannot be used.
    """
    found = []
    for place, line in enumerate(read_lines(file, _ChoiceLine)):
        answer = _place_of(line)
        if answer is None:
            raise GuardError(
                f"`{file}`:{place + 1}: `answer`: `{line.answer}` is none of the choices",
                fix="give its place counted from 0, its letter, or its text",
            )
        name = line.id or f"{file.stem}-{place:03d}"
        found.append(Choice(name, line.entity or name, line.question, line.choices, answer))
    return found


def _place_of(line: _ChoiceLine) -> int | None:
    given = line.answer
    if isinstance(given, str):
        if given in line.choices:
            return line.choices.index(given)
        letter = given.strip().upper()
        given = ord(letter) - ord("A") if len(letter) == 1 and letter.isalpha() else -1
    return given if 0 <= given < len(line.choices) else None


def read_passages(
    files: list[Path], *, prompt_words: int = 50, gold_words: int = 100
) -> list[Passage]:
    """Texts cut into beginnings and how they go on, one after another.

    Raises:
        GuardError: a file that cannot be read, or that is too short for one passage.
    """
    found = []
    for file in files:
        words = read_text(file).split()
        step = prompt_words + gold_words
        starts = range(0, max(1, len(words) - step + 1), step)
        if len(words) < prompt_words + 20:
            raise GuardError(
                f"`{file}` has {len(words)} words, too few for a passage",
                fix=f"give a text of at least {prompt_words + 20} words",
            )
        for start in starts:
            found.append(
                Passage(
                    f"{file.stem}-{start:05d}",
                    file.stem,
                    " ".join(words[start : start + prompt_words]),
                    " ".join(words[start + prompt_words : start + step]),
                )
            )
    return found


def read_text(file: Path) -> str:
    """A file as text.

    Raises:
        GuardError: it cannot be read as UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GuardError(
            f"`{file}` cannot be read as text ({type(error).__name__})",
            fix="check the path and its permissions; texts must be UTF-8",
        ) from error


def read_lines(file: Path, model: type[_Model]) -> Iterator[_Model]:
    """One JSON object a line; empty lines are passed over.

    Raises:
        GuardError: the file cannot be read or has none, or a line cannot be used.
    """
    empty = True
    for number, line in enumerate(read_text(file).split("\n"), 1):
        if not line.strip():
            continue
        empty = False
        yield checked(file, number, line, model)
    if empty:
        raise GuardError(f"`{file}` has no lines", fix="give one JSON object a line")


def checked(file: Path, number: int, line: str, model: type[_Model]) -> _Model:
    """One JSON object as its model.

    Raises:
        GuardError: it cannot be used; with file, line and field.
    """
    try:
        return model.model_validate(json.loads(line))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "the line"
        raise GuardError(
            f"`{file}`:{number}: `{field}`: {first['msg'].lower()}",
            fix="correct this line of the data",
        ) from error
    except ValueError as error:
        raise GuardError(
            f"`{file}`:{number}: not JSON ({error})", fix="give one JSON object a line"
        ) from error
