"""The same prompts about others: near misses that every target with a name has.

"Where was Hina Ameen born?" is about a target; "Where was Runa Bexley born?" is not, and says
nearly the same. Such prompts are made of the examples, with their names swapped for invented ones
(``guard.stand_ins``): some to tell what only the target's prompts say (``scoring.Contrast``), and
some, with other inventions, to see that the rest does pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from guard.normalise import SEP, normalise
from guard.policy.named import names_in
from guard.stand_ins import Swap, pairs
from guard.stand_ins.choice import choose

# Different inventions for the prompts that are learnt from, and for those that are held out: what
# is learnt must not be of one invented name.
LEARNT: Final = 4
HELD_OUT: Final = 2
# Examples that are swapped, evenly chosen: each costs two sentences for the encoder.
MOST: Final = 64


@dataclass(frozen=True, slots=True)
class AboutOthers:
    """An example that names something, asked about others.

    Attributes:
        place: which of the examples.
        learnt: to learn from.
        held_out: the same, about others again.
    """

    place: int
    learnt: str
    held_out: str


def about_others(aliases: Sequence[str], prompts: Sequence[str]) -> list[AboutOthers]:
    """Those of a target's example prompts that name something, about others; at most ``MOST``."""
    places = _evenly(len(prompts))
    names = names_in(aliases, [prompts[place] for place in places])
    taken = {word for name in names for word in _words(name.text)}

    def is_taken(text: str) -> bool:
        return not taken.isdisjoint(_words(text))

    swaps = []
    for _ in range(LEARNT + HELD_OUT):
        invented = choose(names, is_taken)
        taken.update(word for made in invented for word in _words(made.instead))
        swaps.append(Swap([(name, instead) for _, name, instead in pairs(invented)]))
    found = []
    for turn, place in enumerate(places):
        prompt = prompts[place]
        learnt = swaps[turn % LEARNT].apply(prompt)
        held_out = swaps[LEARNT + turn % HELD_OUT].apply(prompt)
        if prompt not in (learnt, held_out):
            found.append(AboutOthers(place, learnt, held_out))
    return found


def _evenly(count: int) -> list[int]:
    if count <= MOST:
        return list(range(count))
    return [place * count // MOST for place in range(MOST)]


def _words(text: str) -> set[str]:
    words = normalise(text)
    return {words, *words.split(SEP)}
