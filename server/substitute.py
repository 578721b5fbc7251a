"""``respond: substitute``: the model is asked about stand-ins, the user answered about names.

What a memory hangs on is mostly a name. So the names, titles, places and dates that a touched
target is asked about with are swapped for stand-ins in every text of the request, and swapped back
in the answer. The engine is bound as for ``suppress``: the plan is the same.

Only what the user has said is swapped back, and only what the answer may say: a name that only a
document says stays a stand-in. Names in places that cannot be edited (keys, names of tools) stay as
they are; there the target is suppressed and no more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from guard.bundle import StandIn
from guard.decision import Substitution
from guard.normalise import SEP, normalise
from guard.stand_ins import Name, Swap, choose, pairs
from server.active import ActivePolicy, ActiveSet
from server.swap_back import SwapBack
from server.wire.answers import Api
from server.wire.parse import request_texts
from server.wire.texts import RequestText


@dataclass(frozen=True, slots=True)
class Substituted:
    """A request that asks about stand-ins.

    Attributes:
        back: swaps them back in the answer.
        counts: for the decision, by target.
    """

    back: SwapBack
    counts: tuple[Substitution, ...]


def substitute(
    policy: ActivePolicy,
    active: ActiveSet,
    touched: Iterable[str],
    api: Api,
    raw: dict[str, Any],
    said: Sequence[str],
) -> Substituted | None:
    """Swap the names of touched targets in a request, in place.

    Args:
        active: the targets in force; what others were detected in stays.
        touched: ids of the detected targets.
        raw: the body, its context edited.
        said: what the user's turns said before any edit.

    Returns:
        None where nothing was to be swapped.
    """
    owners = [
        target
        for name in sorted(set(touched))
        if active.holds(name) and (target := policy.targets[name]).respond == "substitute"
    ]
    known = {made.text: made for target in owners for made in target.stand_ins}
    if not known:
        return None
    texts = request_texts(api, raw)
    met = _met(tuple(known.values()), [text.text for text in texts])
    stand_ins = _free(met, active, texts)
    table, there = _table(stand_ins)
    swapped: Counter[str] = Counter()
    for text in texts:
        found = there.find(text.text) if text.write is not None else None
        if found and text.write is not None:
            text.write(there.apply(text.text))
            for pair, count in found.items():
                swapped[table[pair][0].text] += count
    if not swapped:
        return None
    _swap_stops(raw, there)
    mine = _met(stand_ins, said)
    back = SwapBack.of(
        [(instead, name) for made, name, instead in table if made in mine], active.scanner
    )
    counts = tuple(
        Substitution(target.id, len(own), sum(own.values()))
        for target in owners
        if (own := {s.text: swapped[s.text] for s in target.stand_ins if swapped[s.text]})
    )
    return Substituted(back, counts)


# Tables are kept, since a target may have thousands of names.
@lru_cache(maxsize=64)
def _table(stand_ins: tuple[StandIn, ...]) -> tuple[list[tuple[StandIn, str, str]], Swap]:
    """The ways to write each name and its stand-in, and what swaps the one for the other."""
    table = list(pairs(stand_ins))
    return table, Swap([(name, instead) for _, name, instead in table])


def _met(stand_ins: tuple[StandIn, ...], texts: Iterable[str]) -> list[StandIn]:
    """Those whose names stand in some text, the words of a person's name with the whole."""
    table, swap = _table(stand_ins)
    found = {table[pair][0] for text in texts for pair in swap.find(text)}
    words = {
        normalise(word) for made in found if made.kind == "person" for word in made.text.split()
    }
    found |= {
        made for made, _, _ in table
        if made.kind in ("given", "family") and normalise(made.text) in words
    }  # fmt: skip
    return [made for made in dict.fromkeys(made for made, _, _ in table) if made in found]


def _free(
    stand_ins: Sequence[StandIn], active: ActiveSet, texts: Sequence[RequestText]
) -> tuple[StandIn, ...]:
    """The stand-ins, others in place of those that the conversation or the policy already holds."""
    words = SEP.join(normalise(text.text) for text in texts)

    def avoid(instead: str) -> bool:
        return f" {normalise(instead)} " in f" {words} " or not _may_say(active, instead)

    names = [Name(made.text, made.kind) for made in stand_ins]
    return choose(names, avoid, kept=stand_ins)


def _may_say(active: ActiveSet, text: str) -> bool:
    return not active.search(text)


def _swap_stops(raw: dict[str, Any], there: Swap) -> None:
    """An answer stops at a name that the model says as a stand-in."""
    stop = raw.get("stop")
    if isinstance(stop, str):
        raw["stop"] = there.apply(stop)
    elif isinstance(stop, list):
        raw["stop"] = [there.apply(each) for each in stop]
