"""Which stand-in a name gets: one of our own pools, the same one whenever that can be.

The choice follows from the name alone, so that the same question gets the same answer, a follow-up
turn goes on about the same stand-in, and neither a restart nor an edit elsewhere in the policy
changes what is said. Nothing is protected by it: a stand-in is not a secret.

The pools (``*.txt`` beside this file) were written for this project. A person gets one stand-in for
each word of the name, so that a surname alone, another order and a relative's name go together.
A stand-in has as many words as the name, where the pools allow it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from guard.bundle import NameKind, StandIn
from guard.normalise import SEP, normalise
from guard.stand_ins.dates import Day, find_days, wordings

# Joins the words of a name, and stays as it is.
PARTICLES: Final = frozenset(
    """of de del della di da dos do du des la las le les el al van von der den ter ten bin ibn bint
    ben abu y zu zur and""".split()
)
ARTICLES: Final = ("The ", "A ", "An ")
# What an award or a body is called by; it stays, and the words that make it one's own go.
INSTITUTIONS: Final = frozenset(
    """academy agency association award bureau centre center church club college commission
    committee company corporation council department faculty fellowship festival foundation fund
    gallery group guild hospital hotel institute institution laboratory league library magazine
    medal ministry museum office order organisation organization orchestra party press prize school
    society studio studios team theatre theater trophy trust union university""".split()
)

# What else stands in such names and tells nothing.
_QUALIFIERS: Final = frozenset(
    """the a an for in on at to annual central distinguished first global grand great high
    international junior literary literature medical memorial national new order outstanding public
    royal science sciences senior state technical world""".split()
)
_POOL: Final = {
    "given": "given", "family": "family", "place": "places", "title": "titles",
    "adjective": "adjectives",
}  # fmt: skip
# Stand-ins have as many words as the names, so that a bound on words in a row holds alike for both.
BEFORE_PLACE: Final = ("Upper", "Old", "East")
_TITLES: Final = (
    "{noun}s", "{adjective} {noun}", "{noun} of {other}s", "{adjective} {noun} of {other}s",
    "{noun} of the {adjective} {other}", "{adjective} {noun} of the {more} {other}",
)  # fmt: skip
# How far apart two words of one stand-in are in their pool.
_STEP: Final = 7
_SHIFTS: Final = 19


@dataclass(frozen=True, slots=True)
class Name:
    """What a prompt calls something or someone by, and what it is."""

    text: str
    kind: NameKind


def choose(
    names: Iterable[Name], avoid: Callable[[str], bool], kept: Sequence[StandIn] = ()
) -> tuple[StandIn, ...]:
    """Stand-ins for names, no two of them alike.

    Args:
        avoid: whether a stand-in cannot be had, such as one that is said already.
        kept: choices made before, taken again where that can be.

    Returns:
        In the order of ``names``; a name for which the pool holds nothing is left out.
    """
    chooser = _Chooser(avoid, kept)
    made = (chooser.stand_in(name) for name in names)
    return tuple(stand_in for stand_in in made if stand_in is not None)


def pairs(stand_ins: Iterable[StandIn]) -> Iterator[tuple[StandIn, str, str]]:
    """Each way to write a name, and its stand-in written in the same way."""
    for made in stand_ins:
        yield made, made.text, made.instead
        if made.kind == "day":
            days = (_day(made.text), _day(made.instead))
            for said, instead in zip(*map(wordings, days), strict=True):
                yield made, said, instead
        if made.kind == "title":
            yield made, _bare(made.text), _bare(made.instead)
        if made.kind in ("family", "place") and not made.text.endswith("s"):
            yield made, f"{made.text}s", f"{made.instead}s"


def _bare(title: str) -> str:
    return next((title[len(a) :] for a in ARTICLES if title.startswith(a)), title)


def _day(text: str) -> Day:
    return find_days(text)[0]


class _Chooser:
    def __init__(self, avoid: Callable[[str], bool], kept: Sequence[StandIn]) -> None:
        self._avoid = avoid
        self._kept: dict[tuple[str, str], str] = {}
        for made in kept:
            self._kept[_pool_of(made.kind), normalise(made.text)] = made.instead
            if made.kind == "person":
                for word, instead in zip(made.text.split(), made.instead.split(), strict=True):
                    self._kept.setdefault(("word", normalise(word)), instead)
        self._made: dict[tuple[str, str], str] = {}
        self._taken: set[str] = set()

    def stand_in(self, name: Name) -> StandIn | None:
        instead = getattr(self, f"_{name.kind}")(name.text)
        return StandIn(name.text, name.kind, instead) if instead else None

    def _person(self, text: str) -> str | None:
        words = text.split()
        own = [place for place, word in enumerate(words) if _is_own(word)]
        for place in own:
            role = "family" if place == own[-1] else "given"
            instead = self._word(words[place], role)
            if instead is None:
                return None
            words[place] = instead
        return " ".join(words) if own else None

    def _word(self, text: str, role: str) -> str | None:
        """One word of a person's name, the same in whichever place; a double one for a double."""
        pool = _pool(role)
        count = normalise(text).count(SEP) + 1
        return self._pick("word", text, [_joined(pool, i, count, "-") for i in range(len(pool))])

    def _given(self, text: str) -> str | None:
        return self._word(text, "given")

    def _family(self, text: str) -> str | None:
        return self._word(text, "family")

    def _place(self, text: str) -> str | None:
        before = BEFORE_PLACE[: normalise(text).count(SEP)]
        return self._pick("place", text, [" ".join([*before, each]) for each in _pool("place")])

    def _title(self, text: str) -> str | None:
        article = next((article for article in ARTICLES if text.startswith(article)), "")
        form = _TITLES[min(normalise(_bare(text)).count(SEP), len(_TITLES) - 1)]
        nouns, adjectives = _pool("title"), _pool("adjective")
        made = [
            form.format(
                noun=noun,
                other=nouns[(i + _STEP) % len(nouns)],
                adjective=adjectives[i % len(adjectives)],
                more=adjectives[(i + _STEP) % len(adjectives)],
            )
            for i, noun in enumerate(nouns)
        ]
        return self._pick("title", text, [article + each for each in made])

    def _institution(self, text: str) -> str | None:
        """What tells a body or an award from others of its kind is swapped, the rest stays."""
        words = text.split()
        own = [
            place
            for place, word in enumerate(words)
            if not {normalise(word)} & (INSTITUTIONS | PARTICLES | _QUALIFIERS)
        ]
        pool = _pool("place")

        def with_own(first: int) -> str:
            there = [*words]
            for step, place in enumerate(own):
                there[place] = _joined(pool, first + step * _STEP, 1, "-")
            return " ".join(there)

        return self._pick("institution", text, [with_own(i) for i in range(len(pool))])

    def _number(self, text: str) -> str | None:
        if len(text) == 4 and text.isdecimal() and "1000" <= text < "2100":
            shifted = [int(text) + by for by in range(-_SHIFTS, _SHIFTS + 1) if by]
            return self._pick("number", text, [str(year) for year in shifted])
        return self._pick("number", text, [_digits(text, by) for by in range(1, 9)])

    def _day(self, text: str) -> str | None:
        day = _day(text)
        year = day.year
        if year is not None:
            shifted = self._number(str(year))
            if shifted is None:
                return None
            year = int(shifted)
        # Days that every month has, and no numeric way to write reads as another day's.
        other = [
            Day(year, 1 + (day.month - 1 + months) % 12, 13 + (day.day + days) % 15)
            for days in range(1, 15)
            for months in range(1, 12)
        ]
        return self._pick("day", text, [wordings(each)[0] for each in other])

    def _pick(self, pool: str, text: str, candidates: Sequence[str]) -> str | None:
        key = pool, normalise(text)
        if key in self._made:
            return self._made[key]
        start = int.from_bytes(hashlib.sha256("\0".join(key).encode()).digest()[:8])
        turned = [candidates[(start + step) % len(candidates)] for step in range(len(candidates))]
        for candidate in [*filter(None, [self._kept.get(key)]), *turned]:
            words = normalise(_bare(candidate))
            if words not in self._taken and words != key[1] and not self._avoid(candidate):
                self._taken.add(words)
                self._made[key] = candidate
                return candidate
        return None


def _joined(pool: Sequence[str], first: int, count: int, by: str) -> str:
    return by.join(pool[(first + step * _STEP) % len(pool)] for step in range(count))


def _pool_of(kind: NameKind) -> str:
    return "word" if kind in ("given", "family") else kind


def _is_own(word: str) -> bool:
    """Whether a word of a name is someone's own: no particle, and no initial."""
    words = normalise(word).split(SEP)
    return normalise(word) not in PARTICLES and any(len(part) > 1 for part in words)


def _digits(text: str, by: int) -> str:
    """A number of the same form, each digit another."""
    return "".join(str(1 + (int(c) + by - 1) % 9) if c in "123456789" else c for c in text)


@cache
def _pool(kind: str) -> tuple[str, ...]:
    text = resources.files("guard.stand_ins").joinpath(f"{_POOL[kind]}.txt").read_text("utf-8")
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and line[0] != "#")
