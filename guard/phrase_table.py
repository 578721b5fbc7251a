"""The forbidden phrases of a bundle, as arrays: there may be millions of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

Strength = Literal["hard", "soft"]


@dataclass(frozen=True, slots=True)
class BundlePhrase:
    """A forbidden phrase.

    Attributes:
        text: its normalised words.
        target: index of its target.
        strength: how hard it is forbidden.
        cue: it stands in the very questions that the target is recognised by, so it is what people
            ask *with*, not what they ask for; whoever says it may have it said back.
        turn: how many of its symbols give nothing away; from there on a model is led away from it.
            None: it is forbidden where it completes, and no sooner.
    """

    text: str
    target: int
    strength: Strength
    cue: bool = False
    turn: int | None = None


@dataclass(frozen=True, eq=False)
class PhraseTable:
    """All phrases of a bundle, by target, the cues after the others; arrays, for millions of them.

    Phrases are switched on and off by *slots*: each target has one, of its own index, and each cue
    has one more, in order.

    Attributes:
        lines: [n] normalised texts, one a line.
        target: [n] int32.
        hard: [n] bool.
        slot: [n] int32, ascending.
        turn: [n] int16, see ``BundlePhrase``; -1 for None.
    """

    lines: str
    target: npt.NDArray[np.int32]
    hard: npt.NDArray[np.bool_]
    slot: npt.NDArray[np.int32]
    turn: npt.NDArray[np.int16]

    @classmethod
    def of(cls, phrases: Sequence[BundlePhrase], n_targets: int) -> PhraseTable:
        """The table of some phrases, in any order."""
        rows = sorted(phrases, key=lambda phrase: (phrase.cue, phrase.target))
        first_cue = sum(not row.cue for row in rows)
        return cls(
            "\n".join(row.text for row in rows),
            np.array([row.target for row in rows], np.int32),
            np.array([row.strength == "hard" for row in rows], np.bool_),
            np.array(
                [
                    n_targets + place - first_cue if row.cue else row.target
                    for place, row in enumerate(rows)
                ],
                np.int32,
            ),
            np.array([-1 if row.turn is None else row.turn for row in rows], np.int16),
        )

    def __len__(self) -> int:
        """How many phrases there are."""
        return len(self.target)

    def texts(self) -> list[str]:
        """[n] the phrases."""
        return self.lines.split("\n") if len(self) else []

    def of_targets(self, targets: Iterable[int]) -> list[BundlePhrase]:
        """The phrases of some targets, in order; takes no longer for there being many others."""
        wanted = np.unique(np.fromiter(targets, np.int32))
        cue = self._first_cue
        own = _places(self.target[:cue], wanted)
        return self._at(np.concatenate([own, cue + _places(self.target[cue:], wanted)]))

    def cues(self) -> list[BundlePhrase]:
        """The cues, in the order of their slots."""
        return self._at(np.arange(self._first_cue, len(self)))

    @cached_property
    def _first_cue(self) -> int:
        return len(self) - int(np.count_nonzero(self.slot != self.target))

    @cached_property
    def _offset(self) -> npt.NDArray[np.int64]:
        """[n + 1] where in ``lines`` each phrase begins."""
        lengths = np.fromiter(map(len, self.texts()), np.int64, len(self))
        return np.concatenate([[0], np.cumsum(lengths + 1)])

    def _at(self, places: npt.NDArray[np.int64]) -> list[BundlePhrase]:
        lines = self.lines
        columns = (
            self._offset[places],
            self._offset[places + 1] - 1,
            self.target[places],
            self.hard[places],
            self.slot[places] != self.target[places],
            self.turn[places],
        )
        return [
            BundlePhrase(
                lines[begin:end],
                target,
                "hard" if hard else "soft",
                cue,
                turn if turn >= 0 else None,
            )
            for begin, end, target, hard, cue, turn in zip(
                *(column.tolist() for column in columns), strict=True
            )
        ]


def _places(target: npt.NDArray[np.int32], wanted: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """[m] int64, where in an ascending column some values stand."""
    first, beyond = np.searchsorted(target, wanted), np.searchsorted(target, wanted, side="right")
    return np.concatenate([np.zeros(0, np.int64), *map(np.arange, first.tolist(), beyond.tolist())])
