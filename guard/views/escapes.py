"""Characters written as numbers or names: percent encoding, HTML entities, JSON and C escapes."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from typing import Final

from guard.views.readable import sentences_with
from guard.views.view import Unit, View

_PERCENT: Final = re.compile(
    r"%[0-7][0-9a-f]|%c[2-9a-f]%[89ab][0-9a-f]|%d[0-9a-f]%[89ab][0-9a-f]"
    r"|%e[0-9a-f](?:%[89ab][0-9a-f]){2}|%f[0-4](?:%[89ab][0-9a-f]){3}",
    re.IGNORECASE,
)
_ENTITY: Final = re.compile(
    r"&(?:#[0-9]{1,8};?|#[xX][0-9a-fA-F]{1,7};?|[A-Za-z][A-Za-z0-9]{1,30};)"
)
_ESCAPE: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}"
    r"|\\u\{[0-9a-fA-F]{1,6}\}|\\U[0-9a-fA-F]{8}|\\x[0-9a-fA-F]{2}|\\[0-7]{3}"
)
_SURROGATES: Final = re.compile(r"[\ud800-\udfff]")


def _percent(escape: str) -> str:
    return bytes.fromhex(escape.replace("%", "")).decode("utf-8", "replace")


def _escape(escape: str) -> str:
    if escape[1] not in "uUx":
        return chr(int(escape[1:], 8))
    numbers = [int(number.strip("{}"), 16) for number in re.split(r"\\[uUx]", escape)[1:]]
    if len(numbers) == 2:
        return chr(0x10000 + ((numbers[0] - 0xD800) << 10) + (numbers[1] - 0xDC00))
    return chr(numbers[0]) if numbers[0] <= 0x10FFFF else "\ufffd"


_KINDS: Final[tuple[tuple[str, str, re.Pattern[str], Callable[[str], str]], ...]] = (
    ("percent encoding", "%", _PERCENT, _percent),
    ("html entities", "&", _ENTITY, html.unescape),
    ("escapes", "\\", _ESCAPE, _escape),
)


def unescaped(view: View) -> Iterator[View]:
    """The text with its escapes read, one view for each kind that it has any of.

    A sentence reads as text where so much of it was escaped that nothing but hiding it explains
    that: an address with `%20` in it, or a page with `&amp;`, does not.
    """
    for kind, mark, pattern, decode in _KINDS:
        if mark not in view.text:
            continue
        units = [
            Unit(match.start(), match.end(), _SURROGATES.sub("\ufffd", read))
            for match in pattern.finditer(view.text)
            if (read := decode(match[0])) != match[0]
        ]
        if units:
            made, new = view.replaced(units, kind)
            yield made.reading(sentences_with(made.text, new))
