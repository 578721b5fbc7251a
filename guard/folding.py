"""Tables for ``str.translate`` that fill themselves, character by character as they are met."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_MOST_KEPT: Final = 1 << 15


class Folding(dict[int, str]):
    """Code points and what a function makes of them; it never grows large.

    Args:
        read: what is read in the place of one character.
    """

    def __init__(self, read: Callable[[str], str]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, code: int) -> str:
        if len(self) >= _MOST_KEPT:
            self.clear()
        self[code] = made = self._read(chr(code))
        return made
