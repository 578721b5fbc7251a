"""Answers kept in a folder as they come, so that a run that was cut off goes on where it was.

One file for each arm: a first line that says what was asked, then one line for each answer. Answers
are used again only while the arm is the same: the same model, and behind a guard the same bundle
and version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from guard.errors import GuardError
from server.evaluation.requests import Answer, Request

_VERSION = 1


class Transcript:
    """The answers of one arm, by request; a context that keeps its file open to add to."""

    def __init__(self, file: Path, identity: Mapping[str, str]) -> None:
        """
        Args:
            identity: what was asked, such as ``model`` and ``bundle``. If the file is of another
                arm it is put aside, not lost: ``NAME.old-1.jsonl``, and so on.

        Raises:
            GuardError: the file cannot be read or is none of ours.
        """
        self._file = file
        self.identity = dict(identity)
        self._answers: dict[str, Answer] = {}
        self._out: IO[str] | None = None
        found = read(file)
        if found is not None and found[0] == self.identity:
            self._answers = found[1]
        elif found is not None:
            file.replace(unused(file))

    def get(self, request: Request) -> Answer | None:
        """The answer that is kept, if any."""
        return self._answers.get(request.key)

    def add(self, request: Request, answer: Answer) -> None:
        """Keep an answer; it is in the file when this returns."""
        assert self._out is not None, "used outside its context"
        self._answers[request.key] = answer
        line = {"key": request.key, "request": request.fields(), **answer.json()}
        self._out.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._out.flush()

    def __enter__(self) -> Self:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            new = not self._file.exists()
            self._out = self._file.open("a", encoding="utf-8")
        except OSError as error:
            raise GuardError(
                f"cannot write `{self._file}` ({error.strerror})",
                fix="give an output folder that you may write to",
            ) from error
        if new:
            head = {"version": _VERSION, "arm": self.identity}
            self._out.write(json.dumps(head) + "\n")
            self._out.flush()
        else:
            self._mend()
        return self

    def _mend(self) -> None:
        """A run that was cut off may have left half a line."""
        assert self._out is not None
        text = self._file.read_bytes()
        if text and not text.endswith(b"\n"):
            self._out.truncate(text.rfind(b"\n") + 1)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._out is not None
        self._out.close()


def unused(file: Path) -> Path:
    """A name beside a file's own that nothing has: ``NAME.old-1.jsonl``, and so on."""
    number = 1
    while (aside := file.with_suffix(f".old-{number}{file.suffix}")).exists():
        number += 1
    return aside


def read(file: Path) -> tuple[dict[str, str], dict[str, Answer]] | None:
    """What a file keeps: of which arm, and the answers by key; None if there is no file.

    A last line that was cut off is left out.

    Raises:
        GuardError: it cannot be read or is none of ours.
    """
    if not file.exists():
        return None
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
        head: Any = json.loads(lines[0])
        if head["version"] != _VERSION:
            raise ValueError("another version")
        answers = {}
        for line in lines[1:-1]:
            values = json.loads(line)
            answers[str(values["key"])] = Answer.of_json(values)
        return {str(name): str(value) for name, value in head["arm"].items()}, answers
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GuardError(
            f"`{file}` is not a transcript of this version ({error})",
            fix="move it away, or give another output folder; then all is asked again",
        ) from error
