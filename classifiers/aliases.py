"""Which targets a text names: the aliases of all targets, looked for at once."""

from __future__ import annotations

from collections.abc import Iterator

from classifiers.spelling import KIND as MISSPELT
from classifiers.spelling import LONG
from guard.bundle import Bundle
from guard.context import Span
from guard.normalise import SEP
from guard.phrases import Match, SortedPhrases, has_enough_letters
from guard.views import SPACED, View, ViewSearch


class AliasMatcher:
    """Finds aliases as whole words, whatever their case, accents and punctuation."""

    def __init__(self, bundle: Bundle) -> None:
        pairs = [
            (alias, index)
            for index, target in enumerate(bundle.targets)
            for alias in target.aliases
        ]
        self._aliases = [alias for alias, _ in pairs]
        self._owners = [owner for _, owner in pairs]
        self._as_words = SortedPhrases(self._aliases)
        self._in_views = ViewSearch(self._aliases)
        # Letters that were spaced evenly are joined without a word's edge between them.
        self._long = [i for i, alias in enumerate(self._aliases) if has_enough_letters(alias)]
        self._glued = SortedPhrases(
            [self._aliases[index] for index in self._long], letters_alone=True
        )
        self._never_misspelt = {
            i for i, alias in enumerate(self._aliases) if SEP not in alias and len(alias) < LONG
        }

    def named(self, text: str) -> frozenset[int]:
        """Indices of the targets that the text names."""
        if not self._aliases:
            return frozenset()
        return frozenset(self._owners[alias] for alias in self._as_words.said_in(text))

    def hidden(self, view: View, original: str) -> list[tuple[int, Span]]:
        """The targets that a view names where the original does not, and where that came from."""
        if not self._aliases:
            return []
        search = self._letters if SPACED in view.via else self._words
        found = self._in_views.hidden(view, original, search)
        if MISSPELT in view.via:
            # Near a single short word, such as "Quay", stand too many others.
            found = [each for each in found if each[0] not in self._never_misspelt]
        return [(self._owners[alias], span) for alias, span in found]

    def _words(self, text: str) -> Iterator[Match]:
        return self._as_words.search(text)

    def _letters(self, text: str) -> Iterator[Match]:
        yield from self._words(text)
        for match in self._glued.search(text):
            yield Match(self._long[match.phrase], match.start, match.end)
