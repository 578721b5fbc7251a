"""Texts made to cost a reader of hidden texts as much as they can, of any length."""

from __future__ import annotations

import base64
import codecs
import random
from collections.abc import Callable, Mapping
from typing import Final

_PROSE: Final = (
    "Who keeps the lamps of the harbour burning while the town is asleep, and what does he write"
    " in the book that nobody may read? They say it was 3 o'clock; e.g. Mr. Vane was there. "
)


def _repeated(text: str) -> Callable[[int], str]:
    return lambda length: (text * (length // len(text) + 1))[:length]


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _twice(length: int) -> str:
    return _encoded(_encoded(_repeated(_PROSE)(length)))[:length]


def _noise(length: int) -> str:
    return _encoded(random.Random(1).randbytes(length).decode("latin-1"))[:length]


def _mixed(length: int) -> str:
    """Every kind in turn, so that each view has something to read."""
    piece = " ".join(
        (
            _encoded(_PROSE),
            _PROSE.encode().hex(),
            codecs.encode(_PROSE, "rot13"),
            _PROSE[::-1],
            "".join(f"%{byte:02x}" for byte in _PROSE.encode()),
            "".join(f"&#{ord(char)};" for char in _PROSE),
            "".join(f"\\u{ord(char):04x}" for char in _PROSE),
            " ".join(_PROSE.replace(" ", "")),
            _PROSE.translate(str.maketrans("oeast", "03457")),
            _PROSE.translate(str.maketrans("oaecp", "оаеср")),
            "\u200b".join(_PROSE),
        )
    )
    return _repeated(piece)(length)


HOSTILE: Final[Mapping[str, Callable[[int], str]]] = {
    "everything in turn": _mixed,
    "base64 of base64": _twice,
    "base64 of noise": _noise,
    "many short codes": _repeated("Um93bGluZw== "),
    "printable at each offset": _repeated("QUVF"),
    "hexadecimal": lambda length: _repeated(_PROSE)(length).encode().hex()[:length],
    "percent encoding": _repeated("%41%20"),
    "entities without ends": _repeated("&lt&"),
    "backslashes": _repeated("\\u0041\\"),
    "spaced letters": _repeated("a b "),
    "leetspeak": _repeated("h4x0r "),
    "look-alikes": _repeated("Ноgwаrts "),
    "zero-width": _repeated("a\u200b"),
    "ligatures": _repeated("ﷺﬃ½"),
    "turned words": _repeated("gur fo eht naq. "),
    "marks": _repeated("%&\\=."),
    "one run of marks": lambda length: f"th3n x{'.' * length}"[: max(0, length - 1)] + "y",
    "one run of spaces": lambda length: f"th3n x{' ' * length}"[: max(0, length - 1)] + "y",
    "numbers": _repeated(" 12. A"),
    "one long word": _repeated("a"),
    "new lines": _repeated("\n"),
    "the names looked for": _repeated("yauq elleriM zveryyr dhnl "),
}
