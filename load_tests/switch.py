"""Which arm an engine runs, as one process sets it and another reads it at every step."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Final, Literal, get_args

# Names the file.
SWITCH_VARIABLE: Final = "LOAD_TESTS_SWITCH"

# The guard's processor, one that does nothing, or none at all.
Arm = Literal["guard", "idle", "none"]
_ARMS: Final[tuple[Arm, ...]] = get_args(Arm)


class Switch:
    """One byte that processes share; to read it costs no system call."""

    def __init__(self, file: Path) -> None:
        """
        Args:
            file: made by `Switch.create`.

        Raises:
            FileNotFoundError: it was not.
        """
        with file.open("r+b") as opened:
            self._byte = mmap.mmap(opened.fileno(), 1)

    @classmethod
    def create(cls, file: Path) -> Switch:
        """A switch at ``guard``."""
        file.write_bytes(bytes(1))
        return cls(file)

    @property
    def arm(self) -> Arm:
        """The arm that was set last."""
        return _ARMS[self._byte[0]]

    @arm.setter
    def arm(self, arm: Arm) -> None:
        self._byte[0] = _ARMS.index(arm)
