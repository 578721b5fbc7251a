"""The attacks there are, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from guard.errors import GuardError
from server.attacks.families import (
    begun,
    channels,
    choosing,
    coded,
    forced,
    guises,
    mingled,
    named,
    parts,
    rewording,
    slips,
    surroundings,
    turns,
    worn,
)
from server.attacks.family import Family

_MODULES: Final = (
    rewording, slips, worn, named, mingled, parts, guises, coded, begun, choosing, forced, channels,
    surroundings, turns,
)  # fmt: skip

FAMILIES: Final[Mapping[str, Family]] = {
    family.name: family
    for family in sorted(
        (family for module in _MODULES for family in module.FAMILIES), key=lambda each: each.name
    )
}


def chosen(names: Sequence[str]) -> list[Family]:
    """The families of these names; all where none are given.

    Raises:
        GuardError: a name that is none of theirs.
    """
    for name in names:
        if name not in FAMILIES:
            raise GuardError(
                f"`--families`: there is no `{name}`", fix=f"choose among {', '.join(FAMILIES)}"
            )
    return [FAMILIES[name] for name in dict.fromkeys(names)] if names else list(FAMILIES.values())
