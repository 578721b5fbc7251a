"""Ways to hide a text, by the standard library where it has them; the views must undo each."""

from __future__ import annotations

import base64
import codecs
from collections.abc import Callable
from typing import Final

_LEET: Final = str.maketrans("oeast", "03457")
_LOOKALIKES: Final = str.maketrans("oaecpxOAECPXBMTHK", "оаесрхОАЕСРХВМТНК")


def _wrapped(text: str) -> str:
    return base64.encodebytes(text.encode()).decode().strip()


def _unpadded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _reversed(text: str) -> str:
    return text[::-1]


def _units(text: str) -> list[int]:
    data = text.encode("utf-16-be")
    return [int.from_bytes(data[place : place + 2]) for place in range(0, len(data), 2)]


DIGITS: Final[dict[str, Callable[[str], str]]] = {
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for addresses, unpadded": _unpadded,
    "base64 in lines": _wrapped,
    "hex": lambda text: text.encode().hex(),
    "hex in capitals": lambda text: text.encode().hex().upper(),
    "hex with spaces": lambda text: text.encode().hex(" "),
    "hex with colons": lambda text: text.encode().hex(":"),
    "hex of C": lambda text: ", ".join(f"0x{byte:02x}" for byte in text.encode()),
}
ESCAPES: Final[dict[str, Callable[[str], str]]] = {
    "percent": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "decimal entities": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "hexadecimal entities": lambda text: "".join(f"&#x{ord(char):X};" for char in text),
    "json escapes": lambda text: "".join(f"\\u{unit:04x}" for unit in _units(text)),
}
TURNS: Final[dict[str, Callable[[str], str]]] = {
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "reversed": _reversed,
}
LETTERS: Final[dict[str, Callable[[str], str]]] = {
    "spaced": lambda text: "   ".join(" ".join(word) for word in text.split(" ")),
    "dotted": lambda text: "  ".join(".".join(word) for word in text.split(" ")),
    "dashed": lambda text: " ".join("-".join(word) for word in text.split(" ")),
    "underscored": lambda text: " ".join("_".join(word) for word in text.split(" ")),
    "leet": lambda text: text.translate(_LEET),
    "lookalikes": lambda text: text.translate(_LOOKALIKES),
    "zero-width": lambda text: "\u200b".join(text),
    "soft hyphens": lambda text: "\u00ad".join(text),
}
HIDDEN: Final = {**DIGITS, **ESCAPES, **TURNS, **LETTERS}
SPACED: Final = ("spaced", "dotted", "dashed", "underscored")


def makes_sense(outer: str, inner: str) -> bool:
    """Whether a reader could undo the outer one and find the inner one whole."""
    if outer == inner:
        return outer in DIGITS or outer in ESCAPES
    if outer == "leet":  # digits read as letters are no digits any more
        return inner not in DIGITS and inner not in ESCAPES
    if outer in SPACED:  # marks are lost between letters
        return inner not in SPACED and (inner in TURNS or inner in ("leet", "lookalikes"))
    return not (outer == "leet" and inner in SPACED)
