"""Shows how far several things have come: one line redrawn on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import TextIO


class Board:
    """Progress of named parts.

    Args:
        out: where to write.
        clock: seconds, for the elapsed time.
    """

    def __init__(self, out: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._started = clock()
        self._tty = out.isatty()
        self._told: dict[str, str] = {}
        self._drawn = False

    @property
    def elapsed_s(self) -> float:
        """Seconds since the board was made."""
        return self._clock() - self._started

    def show(self, **parts: str) -> None:
        """Tell the state of some parts; the others stay as they were.

        On a terminal all parts share one line. Elsewhere a part gets a line when it changes.
        """
        changed = {name: text for name, text in parts.items() if self._told.get(name) != text}
        self._told |= changed
        if self._tty:
            line = " · ".join(f"{name}: {text}" for name, text in self._told.items())
            width = shutil.get_terminal_size().columns - 1
            self._out.write(f"\r\033[K{f'{self.elapsed_s:4.0f} s  {line}'[:width]}")
            self._drawn = True
        else:
            for name, text in changed.items():
                self._out.write(f"{self.elapsed_s:4.0f} s  {name}: {text}\n")
        self._out.flush()

    def line(self, text: str = "") -> None:
        """Write a line that stays."""
        if self._drawn:
            self._out.write("\r\033[K")
            self._drawn = False
        self._out.write(f"{text}\n")
        self._out.flush()

    def told(self, text: str) -> None:
        """Take a line of the form ``part: state``, as ``wait_ready`` and the models report it."""
        name, _, state = text.partition(": ")
        self.show(**{name: state})
