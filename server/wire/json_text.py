"""JSON as a text: what it says once its escapes are resolved, whole JSON or not."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

# Bits of the largest number that JSON's readers agree on.
_MOST_BITS: Final = 1024

_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
# Text, and escapes; two of these where they stand for one character; the beginning of one.
_TOKEN: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|\\u[0-9a-fA-F]{4}|\\.|[^\\]+|\\",
    re.DOTALL,
)
# The end of a text, where an escape may go on.
_UNENDED: Final = re.compile(r"(?:\\u[dD][89abAB][0-9a-fA-F]{2})?(?:\\(?:u[0-9a-fA-F]{0,3})?)?\Z")
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


class Unescaping:
    """The same, piece by piece.

    Args:
        at: the place of the first character to come.
    """

    def __init__(self, at: int = 0) -> None:
        self._at = at
        self._rest = ""

    def feed(self, text: str) -> Iterator[tuple[int, str]]:
        """The characters that have come to their end, each with the place where it does."""
        text = self._rest + text
        done = 0
        for token in _TOKEN.finditer(text):
            if token[0][0] != "\\":
                yield from enumerate(token[0], self._at + done)
            elif _UNENDED.match(text, done):
                break
            else:
                for char in unescape_json(token[0]):
                    yield self._at + token.end() - 1, char
            done = token.end()
        self._at += done
        self._rest = text[done:]


@dataclass(frozen=True, slots=True)
class ReadJson:
    """JSON that was in a string.

    Attributes:
        equal_keys: whether an object has members with the same name; the last of them is kept.
    """

    value: Any
    equal_keys: bool


def read_json(text: str) -> ReadJson | None:
    """JSON as data; None where it could not be written again, so that it is a text like any."""
    equal = False

    def once(members: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal equal
        kept = dict(members)
        equal = equal or len(kept) < len(members)
        return kept

    try:
        value = json.loads(text, object_pairs_hook=once)
        if overflowing(value) is not None:
            return None
        json.dumps(value, ensure_ascii=False).encode()  # fails on half of a surrogate pair
    except (ValueError, RecursionError):
        return None
    return ReadJson(value, equal)


def overflowing(value: Any) -> str | None:
    """The path of a number in a JSON value that is larger than others could read; None if none."""
    left = [("", value)]
    while left:
        path, each = left.pop()
        if isinstance(each, dict):
            left += [(f"{path}.{key}" if path else key, own) for key, own in each.items()]
        elif isinstance(each, list):
            left += [(f"{path}[{index}]", own) for index, own in enumerate(each)]
        elif isinstance(each, float | int) and _too_large(each):
            return path
    return None


def _too_large(number: float | int) -> bool:
    if isinstance(number, int):
        return number.bit_length() > _MOST_BITS
    return math.isinf(number)
