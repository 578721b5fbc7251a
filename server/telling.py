"""Whether a text about a target tells something of it, or only names it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from guard.normalise import SEP, normalise
from guard.phrase_table import BundlePhrase
from guard.phrases import has_enough_letters, letters_of
from guard.stream import Scanner
from guard.verbatim import RunFilter
from server.answer_scan import find_in

# Of the phrases that people ask by, so many together say how one thing has to do with another.
RELATED: Final = 2


class Said:
    """A text, made ready once for any number of targets to be looked for in it."""

    def __init__(self, text: str) -> None:
        words = normalise(text)
        self.text = text
        self._words = f"{SEP}{words}{SEP}"
        self._letters = letters_of(words)

    def says(self, phrase: str) -> bool:
        """Whether a normalised phrase stands in it, as ``PhraseSearch`` would find it."""
        if has_enough_letters(phrase):
            return letters_of(phrase) in self._letters
        return f"{SEP}{phrase}{SEP}" in self._words


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
        self._own = [phrase.text for phrase in hard if not phrase.cue]
        self._asked_by = [phrase.text for phrase in hard if phrase.cue]
        self._runs = Scanner((), verbatim)

    def tells(self, said: Said) -> bool:
        """Whether a text that is about the target tells something of it."""
        if any(map(said.says, self._own)):
            return True
        if self._runs.active and find_in(self._runs, said.text) is not None:
            return True
        cues = list(filter(said.says, self._asked_by))
        # What is a part of another is said with it.
        apart = (one for one in cues if not any(one != o and Said(o).says(one) for o in cues))
        return len(cues) >= RELATED and len(list(apart)) >= RELATED
