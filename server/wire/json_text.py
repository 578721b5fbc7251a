"""JSON as a text: what it says once its escapes are resolved, whole JSON or not."""

from __future__ import annotations

import re
from typing import Final

_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_PLAIN: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


def unescape_json(text: str) -> str:
    """Resolve the escapes of JSON strings anywhere in a text."""

    def plain(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return _PLAIN.get(match[2], match[2])

    text = _ESCAPE.sub(plain, text)
    # Escaped pairs of surrogates stand for one character.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
