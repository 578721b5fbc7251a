"""Fewer rows for a quick run: as many of each entity, drawn with a fixed seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Final, TypeVar

_SEED: Final = 2407
_T = TypeVar("_T")


def sample(rows: Sequence[_T], limit: int, entity: Callable[[_T], str]) -> list[_T]:
    """At most ``limit`` rows (0: all), spread over entities as evenly as can be, in their order."""
    if not limit or len(rows) <= limit:
        return list(rows)
    chance = random.Random(_SEED)  # noqa: S311 - a fixed choice of questions, no secret
    own: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        own.setdefault(entity(row), []).append(place)
    for places in own.values():
        chance.shuffle(places)
    queues = list(own.values())
    chance.shuffle(queues)
    chosen = [p for layer in zip_longest(*queues) for p in layer if p is not None][:limit]
    return [rows[place] for place in sorted(chosen)]
