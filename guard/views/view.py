"""A view: another reading of a text, which knows where in the original each character came from.

Views are matched, never forwarded. Whatever is found in one is withheld at its place in the
original, so the places are carried through every step of decoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from guard.context import Span, split_sentences

# What stands between two stretches of one view that were not neighbours; it matches nothing.
GAP: Final = "\x1e"

Places = npt.NDArray[np.int32]  # [n characters]


@dataclass(frozen=True, slots=True)
class Unit:
    """Characters of a text, and what is read in their place; it may be nothing."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One reading of a text.

    Attributes:
        via: how it was hidden, outermost first, such as ``("base64", "rot13")``; empty for the
            text itself.
        starts: [len(text)] int32, for each character where in the original it begins.
        ends: [len(text)] int32, the same for where it ends.
        readable: the parts that read as text, in order. Only these are worth a sentence encoder,
            and only in these can names that are short be told from chance.
    """

    text: str
    via: tuple[str, ...]
    starts: Places
    ends: Places
    readable: tuple[Span, ...] = ()

    @classmethod
    def of(cls, text: str) -> View:
        """The text itself."""
        starts = np.arange(len(text), dtype=np.int32)
        return cls(text, (), starts, starts + np.int32(1))

    @property
    def name(self) -> str:
        """How it was hidden, in words: ``base64 of rot13``."""
        return " of ".join(self.via)

    def source(self, start: int, end: int) -> Span:
        """Where in the original some of its characters, at least one, came from."""
        if not 0 <= start < end <= len(self.text):
            raise ValueError(f"{start}-{end} is no part of a view of {len(self.text)} characters")
        return Span(int(self.starts[start:end].min()), int(self.ends[start:end].max()))

    def turned(self, text: str, kind: str, *, backwards: bool = False) -> View:
        """The view of a text that has a character for each of this one's."""
        order = slice(None, None, -1 if backwards else 1)
        return View(text, (*self.via, kind), self.starts[order], self.ends[order])

    def picked(self, text: str, kind: str, first: Places, last: Places) -> View:
        """The view of a text whose characters were each made of some of this one's.

        Args:
            first: [len(text)] int32, for each the index of the first of them.
            last: [len(text)] int32, the index of the last.
        """
        starts = np.minimum(self.starts[first], self.starts[last])
        ends = np.maximum(self.ends[first], self.ends[last])
        return View(text, (*self.via, kind), starts, ends)

    def replaced(self, units: Sequence[Unit], kind: str) -> tuple[View, npt.NDArray[np.bool_]]:
        """The view with other characters in the place of some, in order and apart.

        Returns:
            The view, and [len(its text)] bool: which characters are new.
        """
        old = codes_of(self.text)
        starts = np.array([unit.start for unit in units], np.int32)
        ends = np.array([unit.end for unit in units], np.int32)
        sizes = np.array([len(unit.text) for unit in units], np.int32)
        inside = np.zeros(len(old) + 1, np.int32)
        np.add.at(inside, starts, 1)
        np.add.at(inside, ends, -1)
        kept = np.flatnonzero(np.cumsum(inside[:-1]) == 0).astype(np.int32)
        first = np.concatenate([kept, np.repeat(starts, sizes)])
        last = np.concatenate([kept, np.repeat(ends - 1, sizes)])
        codes = np.concatenate([old[kept], codes_of("".join(unit.text for unit in units))])
        new = np.arange(len(codes)) >= len(kept)
        order = np.argsort(first, kind="stable")
        view = self.picked(text_of(codes[order]), kind, first[order], last[order])
        return view, new[order]

    def reading(self, readable: Sequence[Span]) -> View:
        """The same view, with those parts as readable."""
        return View(self.text, self.via, self.starts, self.ends, tuple(readable))

    def sentences(self) -> list[Span]:
        """The sentences of what it says, without white space around; none goes over a ``GAP``."""
        found: list[Span] = []
        start = 0
        for stretch in self.text.split(GAP):
            found += said_within(stretch, start)
            start += len(stretch) + 1
        return found


def said_within(text: str, start: int = 0) -> list[Span]:
    """The sentences of a text without the white space around them, as offsets plus ``start``."""
    found: list[Span] = []
    for span in split_sentences(text):
        said = text[span.start : span.end]
        first = span.start + len(said) - len(said.lstrip())
        end = span.end - len(said) + len(said.rstrip())
        if first < end:
            found.append(Span(start + first, start + end))
    return found


def codes_of(text: str) -> npt.NDArray[np.uint32]:
    """[len(text)] uint32, the code points of a text."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def text_of(codes: npt.NDArray[np.uint32]) -> str:
    """The text of [n] uint32 code points."""
    return codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
