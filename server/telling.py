"""Whether a text about a target tells something of it, or only names it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from guard.phrase_table import BundlePhrase
from guard.phrases import PhraseSearch
from guard.stream import Scanner
from guard.verbatim import RunFilter
from server.answer_scan import find_in

# Of the phrases that people ask by, so many together say how one thing has to do with another.
RELATED: Final = 2


class Telling:
    """What answers about one target say.

    A text tells something that says a phrase which nobody asks by, repeats more of a protected text
    than may be repeated, or says two of the phrases that people do ask by: who wrote which book. A
    name alone tells nothing, however often.

    Args:
        phrases: of the target; soft ones are left out.
        verbatim: its index and filter, if it has a protected text.
    """

    def __init__(
        self, phrases: Sequence[BundlePhrase], verbatim: Sequence[tuple[int, RunFilter]]
    ) -> None:
        hard = [phrase for phrase in phrases if phrase.strength == "hard"]
        self._own = Scanner([phrase for phrase in hard if not phrase.cue], verbatim)
        self._asked_by = PhraseSearch([phrase.text for phrase in hard if phrase.cue])

    def tells(self, text: str) -> bool:
        """Whether a text that is about the target tells something of it."""
        if self._own.active and find_in(self._own, text) is not None:
            return True
        said = {self._asked_by.phrases[match.phrase] for match in self._asked_by.search(text)}
        # What is a part of another is said with it.
        apart = [one for one in said if not any(one != other and one in other for other in said)]
        return len(apart) >= RELATED
