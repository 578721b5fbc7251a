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

from guard.bundle import StandIn
from guard.normalise import SEP, normalise
from guard.policy.named import names_in
from guard.stand_ins import Swap, pairs
from guard.stand_ins.choice import ARTICLES, BEFORE_PLACE, Name, choose

# Different inventions for the prompts that are learnt from, and for those that are held out: what
# is learnt must not be of one invented name.
LEARNT: Final = 4
HELD_OUT: Final = 2
# Examples that are swapped, evenly chosen: each costs two sentences for the encoder.
MOST: Final = 64
_SHARED: Final = frozenset(
    normalise(f"{' '.join(BEFORE_PLACE)} {' '.join(ARTICLES)} of").split(SEP)
)


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
    places = looked_at(len(prompts))
    names = names_in(aliases, [prompts[place] for place in places])
    own = {word for name in names for word in _words(name.text)}
    taken = set(own)
    swaps = []
    for _ in range(LEARNT + HELD_OUT):
        invented = _invented(names, own, taken)
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


def _invented(names: Sequence[Name], own: set[str], taken: set[str]) -> list[StandIn]:
    """Stand-ins for all names, of words that no other invention has where there are as many.

    A name that is left as it is would still be asked about.
    """
    made = list(choose(names, lambda text: not taken.isdisjoint(_words(text))))
    swapped = {each.text for each in made}
    left = [name for name in names if name.text not in swapped]
    here = own.union(*(_words(each.instead) for each in made))
    return [*made, *choose(left, lambda text: not here.isdisjoint(_words(text)))]


def looked_at(count: int) -> list[int]:
    """Which of a target's example prompts are asked about others, if they name something."""
    if count <= MOST:
        return list(range(count))
    return [place * count // MOST for place in range(MOST)]


def _words(text: str) -> set[str]:
    """What a name is known by: itself, and its words but for those that many names share."""
    words = normalise(text)
    return {words, *words.split(SEP)} - _SHARED
