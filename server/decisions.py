"""The decision log: one JSON line per guarded request, written off the event loop.

A line holds ids, digests, offsets, scores and figures, never a word of the request or the answer.
A line that cannot be written is counted and logged loudly; the request it belongs to is unharmed.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from guard.bundle import Tenant
from guard.decision import ContextEdit, Detection, Outcome, Substitution
from server.errors import SettingsError
from server.settings import STDOUT

_log = logging.getLogger("unlearn_guard.decisions")

MAX_QUEUED: Final = 100_000


def new_decision_id() -> str:
    """An id that sorts by time to the second and cannot be guessed: ``gd_`` and 24 hex digits."""
    return f"gd_{int(time.time()):08x}{secrets.token_hex(8)}"


@dataclass(frozen=True, slots=True)
class Cut:
    """An answer that was ended early: which choice, in which channel, for which target."""

    choice: int
    channel: str
    target: str


@dataclass(slots=True)
class Decision:
    """What was decided about one request, filled in on its way.

    Attributes:
        model: as the client named it, once the upstream is known to serve it.
        active: ids of the targets in force because of the request; of those that hold in every
            answer, the ones that it touches.
        standing: how many targets hold in every answer. The bundle says which; there may be many.
        discarded: how many answers were thrown away for what they told of targets that the
            question did not show.
        stripped: fields of the request or answer that were taken out.
        error: code of the error that the client was answered with.
        first_ms: from the request's last byte to the upstream's first.
    """

    endpoint: str
    id: str = field(default_factory=new_decision_id)
    started: float = field(default_factory=time.perf_counter)
    tenant: str = ""
    model: str = ""
    stream: bool = False
    bundle: str = ""
    outcome: Outcome = "passed"
    status: int = 200
    error: str = ""
    detections: tuple[Detection, ...] = ()
    observed: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    standing: int = 0
    edits: tuple[ContextEdit, ...] = ()
    substituted: tuple[Substitution, ...] = ()
    discarded: int = 0
    stripped: list[str] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    finish: dict[int, str] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    failed_open: bool = False
    disconnected: bool = False
    held_characters: int = 0
    steps_ms: dict[str, float] = field(default_factory=dict)
    first_ms: float | None = None

    def begin(self, bundle: str, tenant: Tenant | None, *, stream: bool) -> None:
        """Who asks, and which bundle answers for it."""
        self.bundle = bundle
        self.tenant = tenant.name if tenant else ""
        self.stream = stream

    def judged(
        self,
        detections: tuple[Detection, ...],
        active: tuple[str, ...],
        observed: tuple[str, ...],
        *,
        standing: int,
    ) -> None:
        """What was detected, which targets hold because of it, and how many hold always."""
        self.detections, self.active, self.observed = detections, active, observed
        self.standing = standing
        if self.constrained:
            self.outcome = "constrained"
        elif observed:
            self.outcome = "observed"

    @property
    def constrained(self) -> bool:
        """Whether any target is in force."""
        return bool(self.active or self.standing)

    def swapped(self, counts: tuple[Substitution, ...]) -> None:
        """The model is asked about stand-ins, so its answer is an invention."""
        self.substituted = counts
        self.outcome = "substituted"

    def elapsed_ms(self) -> float:
        """Milliseconds since the request was read."""
        return round((time.perf_counter() - self.started) * 1000, 3)

    def record(self) -> dict[str, Any]:
        """The log line's content."""
        return {
            "id": self.id,
            "ts": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "endpoint": self.endpoint,
            "tenant": self.tenant or None,
            "model": self.model or None,
            "stream": self.stream,
            "bundle": self.bundle,
            "outcome": self.outcome,
            "status": self.status,
            "error": self.error or None,
            "detections": [
                {"score": each.score, "threshold": each.threshold, **asdict(each)}
                for each in self.detections
            ],
            "observed": self.observed,
            "active": self.active,
            "standing": self.standing,
            "edits": [asdict(edit) for edit in self.edits],
            "substituted": [asdict(each) for each in self.substituted],
            "discarded": self.discarded,
            "stripped": self.stripped,
            "cuts": [asdict(cut) for cut in self.cuts],
            "finish": [self.finish[index] for index in sorted(self.finish)],
            "tokens": self.tokens or None,
            "failed_open": self.failed_open,
            "disconnected": self.disconnected,
            "held_characters": self.held_characters,
            "latency_ms": {
                **self.steps_ms,
                "first": self.first_ms,
                "total": self.elapsed_ms(),
            },
        }


class DecisionLog:
    """Appends lines to a file, or to standard output, from a thread of its own.

    Args:
        target: path, or ``-``. A file that was moved away (log rotation) is made anew.
        on_lost: called with the number of lines that could not be written.

    Raises:
        SettingsError: the file cannot be opened.
    """

    def __init__(self, target: str, *, on_lost: Callable[[int], None]) -> None:
        self._path = None if target == STDOUT else Path(target)
        self._on_lost = on_lost
        self._queue: queue.Queue[Mapping[str, Any] | None] = queue.Queue(MAX_QUEUED)
        self._file = -1
        self._failing = False
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._reopen(self._path)
            except OSError as error:
                raise SettingsError(
                    f"`UNLEARN_GUARD_DECISION_LOG`: `{target}` cannot be opened ({error.strerror})",
                    fix="name a file that the proxy may write, or `-` for standard output",
                ) from error
        self._thread = threading.Thread(target=self._run, name="decision-log", daemon=True)
        self._thread.start()

    def write(self, record: Mapping[str, Any]) -> None:
        """Queue a line; never blocks and never raises."""
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self._lost(1, "the queue is full")

    def close(self) -> None:
        """Write what is queued, then stop."""
        self._queue.put(None)
        self._thread.join()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _run(self) -> None:
        while True:
            batch = [self._queue.get()]
            while True:
                try:
                    batch.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            records = [record for record in batch if record is not None]
            if records:
                self._write(records)
            if len(records) < len(batch):
                return

    def _write(self, records: list[Mapping[str, Any]]) -> None:
        lines = "".join(map(self._line, records))
        try:
            if self._path is None:
                sys.stdout.write(lines)
                sys.stdout.flush()
            else:
                self._append(self._path, lines.encode())
            self._failing = False
        except (OSError, ValueError) as error:
            self._lost(len(records), str(error))

    def _line(self, record: Mapping[str, Any]) -> str:
        try:
            return json.dumps(record, separators=(",", ":")) + "\n"
        except (TypeError, ValueError) as error:
            self._lost(1, str(error))
            return ""

    def _append(self, path: Path, data: bytes) -> None:
        try:
            moved = os.fstat(self._file).st_ino != path.stat().st_ino
        except OSError:
            moved = True
        if moved:
            self._reopen(path)
        while data:
            data = data[os.write(self._file, data) :]

    def _reopen(self, path: Path) -> None:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        if self._file >= 0:
            os.close(self._file)
        self._file = file

    def _lost(self, count: int, why: str) -> None:
        self._on_lost(count)
        if not self._failing:
            _log.error("decision log: %d lines lost: %s", count, why)
        self._failing = True
