"""How long steps took, as one process writes it to a file and another reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

# Names the file.
TIMES_VARIABLE: Final = "LOAD_TESTS_TIMES"


def line_of(steps: int, seconds: float) -> str:
    """What so many steps took together."""
    return f"{steps} {seconds}\n"


def read_times(path: Path) -> list[float]:
    """Seconds of one step, the mean of each line; in the order written."""
    rows = (line.split() for line in path.read_text().splitlines())
    return [float(seconds) / int(steps) for steps, seconds in rows]
