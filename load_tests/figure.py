"""What a figure is: a name, what it means, its goal, and how it is measured."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
WORK: Final = ROOT / ".run" / "load_tests"
CACHE: Final = ROOT / ".cache"


class NotMeasurableError(Exception):
    """Something that the figure needs is not there; the text says what."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a run may be told; a recorded figure is taken with none of it.

    Attributes:
        limit: at most so many prompts of each set; 0 for all.
        samples: answers a question at temperature 1, where the figure takes any.
        repeats: timed runs of each arm, where the figure takes times.
        restarts: fresh engines of each kind, where the figure takes times.
        arms: which arms to ask, where a figure keeps transcripts; empty for all.
        sets: which sets of questions to ask them; empty for all.
        folder: of the transcripts; empty for the figure's own.
        rescore: count kept transcripts, ask no model.
    """

    limit: int = 0
    samples: int = 8
    repeats: int = 4
    restarts: int = 5
    arms: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    folder: str = ""
    rescore: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure as measured.

    Attributes:
        n: how many things were measured (facts, prompts, timed runs).
        details: everything needed to judge the value, JSON types only.
    """

    value: float
    n: int
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of docs/BENCHMARKS.md."""

    name: str
    what: str
    unit: str
    goal: str
    run: Callable[[Options], Measured]


_STARTED: Final = time.monotonic()


def progress(message: str) -> None:
    """Tell where a run is, on stderr, with the seconds since the start."""
    print(f"[{time.monotonic() - _STARTED:7.1f} s] {message}", file=sys.stderr, flush=True)


def work_folder(name: str) -> Path:
    """A folder for a figure's logs and transcripts; kept, and overwritten by the next run."""
    folder = WORK / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
