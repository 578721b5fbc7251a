"""Conversations kept in a file, so that a run goes on where it was stopped, and scores again.

Its first line says who was asked: answers of another model, or under another policy, are none of
this one's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard.errors import GuardError
from server.attacks.exchange import Ask, Reply
from server.evaluation.transcripts import unused


@dataclass(frozen=True, slots=True)
class Key:
    """Which conversation it is."""

    family: str
    item: str
    attempt: str
    sample: int


@dataclass(frozen=True, slots=True)
class Held:
    """A conversation that was held.

    Attributes:
        first: digest of its first request; another one makes it another conversation.
    """

    key: Key
    first: str
    replies: tuple[Reply, ...]


def digest(ask: Ask) -> str:
    """What tells one first request from another."""
    text = json.dumps([ask.api, ask.body, ask.forcing, ask.leave_after], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Transcripts:
    """One file: who was asked, then one conversation a line; the last of a key counts."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[Key, Held]:
        """What is there; a line that was cut off when a run was stopped is left out.

        Raises:
            GuardError: a file that is none of ours.
        """
        if not self.path.exists():
            return {}
        return {held.key: held for held in self._lines()}

    def claim(self, asked: Mapping[str, str]) -> Path | None:
        """Keep the answers of one model, under one policy; another's are put aside, not lost.

        Returns:
            Where those of another are now, if there were any.

        Raises:
            GuardError: a file that is none of ours.
        """
        aside = None
        if self.path.exists():
            if self._asked() == dict(asked):
                return None
            aside = unused(self.path)
            self.path.replace(aside)
        self.path.write_text(json.dumps({"asked": dict(asked)}) + "\n", encoding="utf-8")
        return aside

    def append(self, key: Key, first: str, replies: Sequence[Reply]) -> None:
        """Keep a conversation."""
        line: dict[str, Any] = {
            "family": key.family,
            "item": key.item,
            "attempt": key.attempt,
            "sample": key.sample,
            "first": first,
            "replies": [reply.json() for reply in replies],
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _asked(self) -> Mapping[str, str]:
        with self.path.open(encoding="utf-8") as file:
            try:
                asked = json.loads(file.readline())["asked"]
                return {str(name): str(value) for name, value in asked.items()}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise self._not_ours(1) from error

    def _lines(self) -> Iterator[Held]:
        self._asked()
        lines = self.path.read_text(encoding="utf-8").split("\n")
        for number, line in enumerate(lines[1:], 2):
            if not line:
                continue
            try:
                value = json.loads(line)
                yield Held(
                    Key(value["family"], value["item"], value["attempt"], value["sample"]),
                    value["first"],
                    tuple(Reply.of_json(reply) for reply in value["replies"]),
                )
            except (ValueError, KeyError, TypeError) as error:
                if number == len(lines):
                    return
                raise self._not_ours(number) from error

    def _not_ours(self, line: int) -> GuardError:
        return GuardError(
            f"{self.path}:{line}: not a conversation of this version",
            fix="give another `--out`, or delete the file",
        )
