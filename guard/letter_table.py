"""Runs of three letters of example prompts, as a bundle holds them; see ``guard/letters.py``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int32]

Worlds = npt.NDArray[np.uint8]

_NONE: Final[Codes] = np.zeros(0, np.int32)
_NOWHERE: Final[Worlds] = np.zeros(0, np.uint8)


@dataclass(frozen=True, slots=True)
class ExampleRuns:
    """The runs of an example prompt, or of a window of a long one.

    Attributes:
        own: [n] int32 ascending, those that the same about others does not hold; at least one.
        frame: [m] int32 ascending, the others.
        world: [n] uint8, of which name that is everybody's each of ``own`` is, counted from 1; 0
            for those that are of none. Empty where the example holds no such name.
    """

    own: Codes
    frame: Codes = field(default_factory=lambda: _NONE)
    world: Worlds = field(default_factory=lambda: _NOWHERE)


@dataclass(frozen=True, slots=True, eq=False)
class LetterTable:
    """The runs of many examples.

    Attributes:
        own, frame: those of each example one after the other, int32.
        own_starts, frame_starts: [n + 1] int64, where those of each begin.
        targets: [n] int32, the target of each example, ascending.
        world: as ``ExampleRuns`` has it, of each of ``own``.
    """

    own: Codes = field(default_factory=lambda: _NONE)
    own_starts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    frame: Codes = field(default_factory=lambda: _NONE)
    frame_starts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    targets: Codes = field(default_factory=lambda: _NONE)
    world: Worlds = field(default_factory=lambda: _NOWHERE)

    @classmethod
    def of(cls, examples: Iterable[tuple[int, ExampleRuns]]) -> LetterTable:
        """The table of examples, each with its target; those of a target stand together."""
        rows = sorted(examples, key=lambda row: row[0])
        own, frame = [each.own for _, each in rows], [each.frame for _, each in rows]
        return cls(
            np.concatenate([_NONE, *own]),
            np.cumsum([0, *map(len, own)], dtype=np.int64),
            np.concatenate([_NONE, *frame]),
            np.cumsum([0, *map(len, frame)], dtype=np.int64),
            np.array([target for target, _ in rows], np.int32),
            np.concatenate(
                [
                    _NOWHERE,
                    *(
                        each.world if len(each.world) else np.zeros(len(each.own), np.uint8)
                        for _, each in rows
                    ),
                ]
            ),
        )

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """The table as arrays, for a file."""
        return {
            "own": self.own,
            "own_starts": self.own_starts,
            "frame": self.frame,
            "frame_starts": self.frame_starts,
            "targets": self.targets,
            "world": self.world,
        }
