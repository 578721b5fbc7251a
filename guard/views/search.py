"""Looking for names and phrases in views: at next to no cost where there are none.

A view that hides nothing is noise, and every text has such views. So a view is searched only if the
first letters of something that is looked for stand in it; that is found by a look-up in a table for
every place of the view at once. Names shorter than that are looked for only in what reads as text:
in noise they would be found by chance.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence

from guard.context import Span, overlapping
from guard.normalise import normalise
from guard.phrases import Match, has_enough_letters
from guard.views.openings import Openings
from guard.views.view import View


class ViewSearch:
    """Finds normalised phrases in views.

    Args:
        phrases: what is looked for; a match holds an index into it.
    """

    def __init__(self, phrases: Sequence[str]) -> None:
        self._long = [has_enough_letters(phrase) for phrase in phrases]
        self._short = not all(self._long)
        self._openings = Openings(phrases)

    def may_hold(self, text: str) -> bool:
        """Whether one of the phrases with enough letters may stand in a text."""
        return self._openings.any_in(text)

    def hidden(
        self, view: View, original: str, search: Callable[[str], Iterable[Match]]
    ) -> list[tuple[int, Span]]:
        """What a view says where the original does not, and what of the original says it.

        Args:
            original: the text that it is a view of.
            search: finds the phrases in a text.

        Returns:
            The index of each phrase found, with where in the original the sentences of the view
            came from that it stands in; each pair once.
        """
        found = [match for match in self._find(view, search) if _is_hidden(view, match, original)]
        sentences = view.sentences() if found else []
        pairs: dict[tuple[int, int, int], Span] = {}
        for match in found:
            said = overlapping(sentences, Span(match.start, match.end))
            start = min(match.start, said[0].start) if said else match.start
            end = max(match.end, said[-1].end) if said else match.end
            key = (match.phrase, start, end)
            if key not in pairs:
                pairs[key] = view.source(start, end)
        return [(phrase, span) for (phrase, _, _), span in pairs.items()]

    def _find(self, view: View, search: Callable[[str], Iterable[Match]]) -> Iterator[Match]:
        if self.may_hold(view.text):
            for match in search(view.text):
                if self._long[match.phrase] or _reads(view, match):
                    yield match
        elif self._short:
            for part in view.readable:
                for match in search(view.text[part.start : part.end]):
                    yield Match(match.phrase, part.start + match.start, part.start + match.end)


def _is_hidden(view: View, match: Match, original: str) -> bool:
    """Whether the original does not say the same at the place that a match came from."""
    span = view.source(match.start, match.end)
    said = normalise(view.text[match.start : match.end])
    return normalise(original[span.start : span.end]) != said


def _reads(view: View, match: Match) -> bool:
    """Whether a match stands in a part that reads as text."""
    place = bisect_right(view.readable, match.start, key=lambda part: part.start) - 1
    return place >= 0 and match.end <= view.readable[place].end
