"""What detection is given, and what it tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guard.context import Span
from guard.decision import Detection
from guard.views import View


@dataclass(frozen=True, slots=True)
class PlacedText:
    """A text and where in the request it stands, such as ``messages[2].content``.

    Attributes:
        views: whether to look at what it hides as well. A part of a text that is looked at as a
            whole needs not.
        compared: whether to compare it with examples as well. Names are looked for in any case.
        by_letters: whether to compare its letters, too. Several whole sentences together share
            more letters with an example than one of them does, and tell no more.
    """

    place: str
    text: str
    views: bool = True
    compared: bool = True
    by_letters: bool = True


@dataclass(frozen=True, slots=True)
class Hidden:
    """Where in a text something stands that only a view of it shows, and of which target."""

    span: Span
    target: str


@dataclass(frozen=True, slots=True)
class Found:
    """What one text touches.

    Attributes:
        detections: in the order of the bundle's targets.
        hidden: what its views showed, sentence by sentence of what they say.
        views: its views, for whoever looks for more in them; empty if they were not asked for.
    """

    detections: tuple[Detection, ...] = ()
    hidden: tuple[Hidden, ...] = ()
    views: Sequence[View] = ()
