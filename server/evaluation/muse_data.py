"""Reads MUSE's own file layout (arXiv 2407.06460), as its repository and its data sets have it.

``verbmem/forget.json`` (``prompt``, ``gt``), ``knowmem/{forget,retain}_qa.json`` and
``…_qa_icl.json`` (``question``, ``answer``), ``privleak/{forget,holdout}.json``,
``scal|sust/forget_N.json`` and ``raw/*`` (texts, or objects with ``text``). Its earlier files say
``retain2`` for ``retain``. Any object may carry ``entity``, the article or book that it is of, by
which intervals are drawn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guard.errors import GuardError
from server.evaluation.reading import Passage, read_text
from server.evaluation.rows import Row

_Model = TypeVar("_Model", bound=BaseModel)
_Filled = Annotated[str, Field(min_length=1)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    entity: str = ""


class _Verbatim(_Entry):
    prompt: _Filled
    gt: _Filled


class _Question(_Entry):
    question: _Filled
    answer: _Filled


class _Text(_Entry):
    text: _Filled


@dataclass(frozen=True, slots=True)
class Qa:
    """Questions of one kind, and the examples shown before each of them."""

    rows: Sequence[Row]
    examples: Sequence[Row]


@dataclass(frozen=True, slots=True)
class MuseData:
    """What a folder holds; empty where it does not.

    Attributes:
        knowledge: by ``forget`` and ``retain``.
        members, holdout: texts of ``privleak``, with the entity of each.
        steps: texts by step, by ``scal`` and ``sust``.
        files: what was read, relative to the folder.
    """

    verbatim: Sequence[Passage] = ()
    knowledge: dict[str, Qa] = field(default_factory=dict)
    members: Sequence[tuple[str, str]] = ()
    holdout: Sequence[tuple[str, str]] = ()
    steps: dict[str, list[list[str]]] = field(default_factory=dict)
    files: Sequence[str] = ()


def read_muse(folder: Path) -> MuseData:
    """A folder in MUSE's layout.

    Raises:
        GuardError: it holds neither ``verbmem`` nor ``knowmem``, or a file cannot be used.
    """
    reader = _Reader(folder)
    verbatim = [
        Passage(f"verbmem-{n:03d}", entry.entity or f"verbmem-{n:03d}", entry.prompt, entry.gt)
        for n, entry in enumerate(reader.entries("verbmem/forget.json", _Verbatim))
    ]
    knowledge = {}
    for name in ("forget", "retain"):
        rows = reader.rows(name, "qa")
        if rows:
            knowledge[name] = Qa(rows, reader.rows(name, "qa_icl"))
    if not verbatim and not knowledge:
        raise GuardError(
            f"`--muse`: `{folder}` holds neither `verbmem/forget.json` nor `knowmem/*_qa.json`",
            fix="give a folder in MUSE's layout, such as data/news of its repository",
        )
    return MuseData(
        verbatim,
        knowledge,
        reader.texts("privleak/forget.json"),
        reader.texts("privleak/holdout.json"),
        {kind: steps for kind in ("scal", "sust") if (steps := reader.steps(kind))},
        reader.read,
    )


def read_texts(file: Path) -> list[str]:
    """The texts of one file of ``raw``; none where there is no such file.

    Raises:
        GuardError: it cannot be used.
    """
    return [text for text, _ in _Reader(file.parent).texts(file.name)]


class _Reader:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.read: list[str] = []

    def entries(self, name: str, model: type[_Model]) -> list[_Model]:
        """The entries of a JSON array; none where there is no such file."""
        file = self._folder / name
        if not file.is_file():
            return []
        self.read.append(name)
        return [_checked(file, place, entry, model) for place, entry in enumerate(_array(file))]

    def rows(self, name: str, kind: str) -> list[Row]:
        entries: list[_Question] = []
        for stem in (name, f"{name}2"):
            entries = entries or self.entries(f"knowmem/{stem}_{kind}.json", _Question)
        return [
            Row(f"{name}-{kind}-{n:03d}", entry.entity, entry.question, entry.answer)
            for n, entry in enumerate(entries)
        ]

    def texts(self, name: str) -> list[tuple[str, str]]:
        return [
            (entry.text, entry.entity or f"{Path(name).stem}-{n:03d}")
            for n, entry in enumerate(self.entries(name, _Text))
        ]

    def steps(self, kind: str) -> list[list[str]]:
        """The texts of ``forget_1``, ``forget_2`` and so on, as JSON or as one plain text."""
        found: dict[int, list[str]] = {}
        for file in sorted((self._folder / kind).glob("forget_*.*")):
            match = re.fullmatch(r"forget_(\d+)\.(json|txt)", file.name)
            if match and match[2] == "json":
                entries = self.entries(f"{kind}/{file.name}", _Text)
                found[int(match[1])] = [entry.text for entry in entries]
            elif match:
                self.read.append(f"{kind}/{file.name}")
                found[int(match[1])] = [read_text(file)]
        return [found[number] for number in sorted(found)]


def _array(file: Path) -> list[Any]:
    try:
        found = json.loads(read_text(file))
    except ValueError as error:
        raise GuardError(f"`{file}` is not JSON ({error})", fix="give MUSE's own file") from error
    if not isinstance(found, list) or not found:
        raise GuardError(f"`{file}` is no array with entries", fix="give MUSE's own file")
    return found


def _checked(file: Path, place: int, entry: Any, model: type[_Model]) -> _Model:
    try:
        return model.model_validate({"text": entry} if isinstance(entry, str) else entry)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(map(str, first["loc"]))
        raise GuardError(
            f"`{file}`: `[{place}]{'.' if name else ''}{name}`: {first['msg'].lower()}",
            fix="correct this entry",
        ) from error
