"""Words without the spaces between them: ``WhoisthefatherofMirelleQuay,the"Saltgate"author?``.

Where a small letter is followed by a capital one, a word begins. What is left is parted into words
of a list, so that as little as can be is in none of them; that stays in one piece, as names do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Final

from guard.context import Span
from guard.lexicon import is_word, lexicon
from guard.views.view import Unit, View
from guard.views.words import is_common

KIND: Final = "glued words"

# Characters without a space, of a word or more.
_STRETCH: Final = re.compile(r"\S{5,}")
# Few words are longer. A shorter stretch is parted only beside others like it.
_LONG: Final = 16
# What addresses, paths and code have, and sentences do not; a date may have a slash.
_CODE: Final = re.compile(r"[=&%\\{}<>@_]|/(?!\d)")
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_CASE: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
# The most common words of English that are parted into.
_LISTED: Final = 20_000
_WORD: Final = re.compile(r"[a-z]+")
_SHORT: Final = frozenset(
    """a i am an as at be by do he if in is it me my no of on or so to up us we""".split()
)
# A capitalised word that is longer is none, but several.
_LONGEST_NAME: Final = 12
# What a letter outside of all words costs, and to begin such letters; a word costs 2 to 10.
_UNKNOWN: Final = 3.0
_UNKNOWN_START: Final = 6.0
# Different common words that a stretch must be made of, for it to be one that had spaces.
_LEAST_COMMON: Final = 3
# Of its letters, those that must be in longer words of the list.
_LEAST_SHARE: Final = 0.25
# Characters of a text that are looked at: parting a run costs more than other readings.
_MOST: Final = 4_000


def parted(view: View) -> Iterator[View]:
    """The text with spaces between such words, if it has any."""
    found: list[tuple[re.Match[str], list[int], bool]] = []
    together: set[str] = set()
    left = 0
    for stretch in _STRETCH.finditer(view.text):
        if _CODE.search(stretch[0]):
            continue
        ends, words = _parted(stretch[0])
        left += len(stretch[0]) if ends else 0
        if left > _MOST:
            break
        alone = len(stretch[0]) >= _LONG and _reads(words)
        if ends and (alone or all(map(_is_listed, words))):
            found.append((stretch, ends, alone))
            together |= set() if alone else _common(words)
    # One may be a name that happens to be made of words; several are not.
    if len(together) < _LEAST_COMMON:
        found = [each for each in found if each[2]]
    units: list[Unit] = []
    stretches: list[Span] = []
    for stretch, ends, _ in found:
        start = stretch.start() + len(units)
        # A space comes of the letter before it, so that each character of a view has a place.
        places = (stretch.start() + end for end in ends)
        units += [Unit(place - 1, place, f"{view.text[place - 1]} ") for place in places]
        stretches.append(Span(start, stretch.end() + len(units)))
    if units:
        made, _ = view.replaced(units, KIND)
        yield made.reading(_sentences(made, stretches))


def _parted(stretch: str) -> tuple[list[int], list[str]]:
    """Where in a stretch words end that are glued to another, and its words."""
    words: list[str] = []
    ends: list[int] = []
    for run in _LETTERS.finditer(stretch):
        places = [] if is_word(run[0].lower()) else _ends(run[0])
        words += [run[0][a:b] for a, b in pairwise([0, *places, len(run[0])])]
        ends += [run.start() + place for place in places]
    return ends, words


def _is_listed(word: str) -> bool:
    """Whether it is a word of the list, or begins with a capital as names do."""
    return word.lower() in _words()[0] or (word[0].isupper() and len(word) > 2)


def _common(words: list[str]) -> set[str]:
    return {word.lower() for word in words if is_common(word)}


def _reads(words: list[str]) -> bool:
    """Whether the words of a stretch are words, and not what chance makes of letters."""
    known = sum(len(word) for word in words if len(word) > 2 and word.lower() in _words()[0])
    return len(_common(words)) >= _LEAST_COMMON and known >= _LEAST_SHARE * sum(map(len, words))


def _sentences(made: View, stretches: list[Span]) -> list[Span]:
    """The sentences that hold any of the stretches."""
    said = made.sentences()
    return [s for s in said if any(s.start < t.end and t.start < s.end for t in stretches)]


def _ends(run: str) -> list[int]:
    """Where in a run of letters, but at its end, a word ends."""
    cuts = [match.start() for match in _CASE.finditer(run)]
    found: list[int] = []
    for start, end in pairwise([0, *cuts, len(run)]):
        letters = run[start:end]
        places = _parts(letters.lower())
        words = [letters[a:b].lower() for a, b in pairwise([0, *places, len(letters)])]
        name = letters[0].isupper() and len(letters) <= _LONGEST_NAME
        if not name or all(word in _words()[0] for word in words):
            found += [start + place for place in places]
        found.append(end)
    return found[:-1]


def _parts(letters: str) -> list[int]:
    """Where one word ends and the next begins, by the least cost of all ways to part letters."""
    costs, beginnings = _words()
    size = len(letters)
    # By place: the least cost of what is before it, with its last letter in a word, and outside.
    known, unknown = [math.inf] * (size + 1), [math.inf] * (size + 1)
    known[0] = 0.0
    began = [0] * (size + 1)  # of the word that ends there
    outside = [0] * (size + 1)  # of the letters outside of words that end there
    for place in range(size):
        here = min(known[place], unknown[place])
        if known[place] + _UNKNOWN_START <= unknown[place]:
            unknown[place + 1], outside[place + 1] = (
                known[place] + _UNKNOWN_START + _UNKNOWN,
                place,
            )
        else:
            unknown[place + 1], outside[place + 1] = unknown[place] + _UNKNOWN, outside[place]
        for end in range(place + 1, size + 1):
            piece = letters[place:end]
            if piece not in beginnings:
                break
            cost = costs.get(piece)
            if cost is not None and here + cost < known[end]:
                known[end], began[end] = here + cost, place
    places: list[int] = []
    place = size
    while place > 0:
        place = began[place] if known[place] <= unknown[place] else outside[place]
        places.append(place)
    return places[::-1][1:]


@cache
def _words() -> tuple[dict[str, float], frozenset[str]]:
    """The cost of each word, rarer ones more, and all that words begin with."""
    counted = sorted(lexicon().items(), key=lambda each: (-each[1], each[0]))
    words = (word for word, _ in counted if _WORD.fullmatch(word))
    ranked = [word for word in words if len(word) > 2 or word in _SHORT][:_LISTED]
    scale = math.log(len(ranked))
    costs = {word: math.log((rank + 1) * scale) for rank, word in enumerate(ranked)}
    begins = frozenset(word[:n] for word in costs for n in range(1, len(word) + 1))
    return costs, begins
