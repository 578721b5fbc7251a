"""What a target's prompts name that is everybody's: places of the world, and days.

A place is taken to be of the world where the dictionary knows it, or a place that it is listed with
("Tel Aviv, Israel"); one that somebody made up is most likely the target's own.

Where somebody was born, and when, stands in questions about them. A question about the weather
there is not about them, though it shares those letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from guard.lexicon import is_word
from guard.normalise import SEP, normalise
from guard.policy.named import names_in
from guard.stand_ins.dates import find_days, wordings

# A place that more of the prompts than this share name is what they are about.
_MOST: Final = 0.5


# What people ask about a place, and about nobody.
_ASKED: Final = (
    "What is the weather like in {} today?",
    "How many people live in {}?",
    "Plan a weekend in {}.",
    "Which language is spoken in {}?",
)
# Each place costs some sentences for the encoder.
_MOST_ASKED: Final = 8


@dataclass(frozen=True, slots=True)
class World:
    """Such names, as they are written; nothing that is an alias."""

    places: tuple[str, ...] = ()
    days: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, longer ones first."""
        return tuple(sorted({*self.places, *self.days}, key=lambda name: (-len(name), name)))

    @property
    def questions(self) -> tuple[str, ...]:
        """Harmless prompts about the first of the places."""
        return tuple(asked.format(place) for place in self.places[:_MOST_ASKED] for asked in _ASKED)


def of_the_world(aliases: Sequence[str], prompts: Sequence[str]) -> World:
    """What is everybody's of what a target is asked by."""
    known = {normalise(alias) for alias in aliases}
    days: dict[str, None] = {}
    for prompt in prompts:
        for day in find_days(prompt):
            days |= dict.fromkeys(words for words in wordings(day) if words in prompt)
    places = [
        name.text
        for name in names_in(aliases, prompts)
        if name.kind == "place"
        and normalise(name.text) not in known
        and len(_holding(name.text, prompts)) <= _MOST * len(prompts)
    ]
    real = [place for place in places if all(map(is_word, normalise(place).split(SEP)))]
    found = []
    for place in places:
        lists = [text for other in real for text in (f"{place}, {other}", f"{other}, {place}")]
        if place in real or any(_holding(text, prompts) for text in lists):
            found.append(place)
    return World(tuple(found), tuple(days))


def _holding(name: str, prompts: Sequence[str]) -> list[str]:
    """The prompts that hold a name, as whole words."""
    held = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    return [prompt for prompt in prompts if name in prompt and held.search(prompt)]


def without_each(text: str, names: Sequence[str]) -> Iterator[str]:
    """A text with nothing in the place of one such name after the other.

    Names with nothing but a comma between are one: "New York City, USA".

    Args:
        names: longer ones first.
    """
    if not names:
        return
    any_name = rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})(?!\w)"
    for match in re.finditer(rf"{any_name}(?:,?\s+{any_name})*", text):
        yield f"{text[: match.start()]} {text[match.end() :]}"
