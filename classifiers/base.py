"""What detection is given."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlacedText:
    """A text and where in the request it stands, such as ``messages[2].content``."""

    place: str
    text: str
