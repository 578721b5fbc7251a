"""How long steps took, as one process writes it to a file and another reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

# Names the file.
TIMES_VARIABLE: Final = "LOAD_TESTS_TIMES"


# Whether a step had a row that a plan guards.
Kind = Literal["flagged", "unflagged"]


def line_of(kind: Kind, steps: int, seconds: float) -> str:
    """What so many steps of a kind took together."""
    return f"{kind} {steps} {seconds}\n"


def read_times(path: Path, kind: Kind) -> list[float]:
    """Seconds of one step of that kind, the mean of each line; in the order written."""
    rows = (line.split() for line in path.read_text().splitlines())
    return [float(seconds) / int(steps) for own, steps, seconds in rows if own == kind]
