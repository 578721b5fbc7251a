"""Questions with their answers, kept in files so that they can be scored again without a model."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from load_tests.chat import Answer
from load_tests.figure import ROOT, NotMeasurableError
from server.evaluation.rows import Row

# Of a row; what is not among them is not kept.
_KEPT: Final = (
    "id", "author", "question", "answer", "paraphrased_question", "paraphrased_answer",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Transcript:
    """The answers to one set of questions, in the questions' order."""

    rows: list[Row]
    answers: list[Answer]


class Transcripts:
    """A folder of them, one file for each arm and set, and one that says how each arm was made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, arm: str, what: str, transcript: Transcript) -> None:
        """Keep the answers of an arm to a set; overwrites."""
        with self._file(arm, what).open("w", encoding="utf-8") as file:
            for row, answer in zip(transcript.rows, transcript.answers, strict=True):
                kept = {name: getattr(row, name) for name in _KEPT}
                file.write(json.dumps({**kept, **asdict(answer)}) + "\n")

    def read(self, arm: str, what: str) -> Transcript | None:
        """What `write` kept; None if nothing was.

        Raises:
            NotMeasurableError: the file is not of this version.
        """
        file = self._file(arm, what)
        if not file.exists():
            return None
        rows, answers = [], []
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                values = json.loads(line)
                try:
                    rows.append(Row(**{name: values[name] for name in _KEPT}))
                    texts, finish = tuple(values["texts"]), tuple(values["finish"])
                    answers.append(Answer(texts, finish, values["decision"], values["tokens"]))
                except KeyError as error:
                    raise NotMeasurableError(
                        f"cannot read {file}: a line has no {error}; ask arm {arm} again"
                    ) from error
        return Transcript(rows, answers)

    def tell(self, arm: str, settings: Mapping[str, Any]) -> None:
        """Keep how an arm is asked, with the commit it was asked of."""
        made = {"commit": _git("rev-parse", "--short", "HEAD"), **settings}
        if _git("status", "--porcelain", "--", "guard", "server", "classifiers"):
            made["changed_since"] = True
        self._settings(arm).write_text(json.dumps(made), encoding="utf-8")

    def told(self, arm: str) -> dict[str, Any]:
        """What `tell` kept; empty if nothing was."""
        file = self._settings(arm)
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}

    def _file(self, arm: str, what: str) -> Path:
        return self.folder / f"{arm}-{what}.jsonl"

    def _settings(self, arm: str) -> Path:
        return self.folder / f"{arm}.settings.json"


def same_questions(left: Sequence[Row], right: Sequence[Row]) -> bool:
    """Whether two transcripts can be compared question by question."""
    return [row.question for row in left] == [row.question for row in right]


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True
    )
    return done.stdout.strip()
