"""A sentence without its names, so that it is compared by what it says and not by of whom."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from guard.policy.words import is_common_word

# Stands in the place of a name. Of a person, since it is people and works that are renamed; for
# the likeness of what is left, the word matters little.
MASK: Final = "someone"
# Names of one sentence that are masked in turn. Its subject is among the first.
_MOST: Final = 4
_WORD: Final = re.compile(r"[^\W\d_][\w]*(?:[-'’][^\W\d_]\w*)*")
_POSSESSIVE: Final = re.compile(r"['’]s?$")


def without_names(text: str) -> list[str]:
    """The text as it is, and with each of its first names masked, the same name throughout.

    A name is a run of words with capitals; which of them is the subject is not to be told by form.
    """
    found: dict[str, None] = {}
    for name in _names(text):
        if not any(name in other.split() for other in found):
            found.setdefault(name)
    return [text, *(_mask(text, name) for name in list(found)[:_MOST])]


def _names(text: str) -> Iterator[str]:
    """Runs of words with capitals, less everyday words that they begin with."""
    run: list[str] = []
    end = 0
    for match in _WORD.finditer(text):
        word = match.group()
        if run and (text[end : match.start()].strip() or not word[0].isupper()):
            yield " ".join(run)
            run = []
        if word[0].isupper() and (run or not is_common_word(word.casefold())):
            run.append(_POSSESSIVE.sub("", word))
            if run[-1] != word:
                yield " ".join(run)
                run = []
        end = match.end()
    if run:
        yield " ".join(run)


def _mask(text: str, name: str) -> str:
    """Mask a name, and its last word where that stands alone."""
    for each in dict.fromkeys((name, name.split()[-1])):
        text = re.sub(rf"(?<!\w){re.escape(each)}(?!\w)", MASK, text)
    return text
