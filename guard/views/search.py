"""Looking for names and phrases in views: at next to no cost where there are none.

A view that hides nothing is noise, and every text has such views. So a view is searched only if the
first letters of something that is looked for stand in it; that is found by a look-up in a table for
every place of the view at once. Names shorter than that are looked for only in what reads as text:
in noise they would be found by chance.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from guard.context import Span, overlapping
from guard.normalise import fold, normalise
from guard.phrases import ENOUGH_LETTERS, Match, has_enough_letters, letters_of
from guard.views.folding import Folding
from guard.views.view import View, codes_of

# Of a table; there may be some hundred of them, each for other targets.
_BITS: Final = 16
_FACTORS: Final = np.array(
    [pow(0x9E3779B97F4A7C15, power, 1 << 64) for power in range(1, ENOUGH_LETTERS + 1)], np.uint64
)
_LOWER: Final = bytes(ord(chr(code).lower()) if code < 128 else code for code in range(256))
_NO_LETTERS: Final = bytes(code for code in range(256) if not (code < 128 and chr(code).isalnum()))


# Code points and what they fold to, normalised.
_FOLDED: Final = Folding(fold)


class Openings:
    """Tells where a phrase may begin, by its first six letters, whatever stands between them.

    Args:
        phrases: normalised; those with fewer letters are left out.
        bits: of the table that is looked in first; the more phrases, the more.
    """

    def __init__(self, phrases: Iterable[str], bits: int = _BITS) -> None:
        letters = map(letters_of, phrases)
        opens = "".join(own[:ENOUGH_LETTERS] for own in letters if len(own) >= ENOUGH_LETTERS)
        # The first letters of all, one after the other: every sixth hash is of one of them.
        self._opens = np.unique(_hashes(codes_of(opens))[::ENOUGH_LETTERS])
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(1 << bits, np.bool_)
        self._table[self._places(self._opens)] = True

    def any_in(self, text: str) -> bool:
        """Whether one of the phrases may begin in a text."""
        return self._any_of(_letters(text))

    def any_in_normalised(self, text: str) -> bool:
        """The same, of a text that was normalised."""
        return self._any_of(codes_of(letters_of(text)))

    def _any_of(self, letters: npt.NDArray[np.uint32]) -> bool:
        hashes = _hashes(letters)
        likely = hashes[self._table[self._places(hashes)]]
        if not len(likely):
            return False
        at = np.minimum(np.searchsorted(self._opens, likely), len(self._opens) - 1)
        return bool((self._opens[at] == likely).any())

    def _places(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """[n] int64, where in the table each hash stands."""
        return (hashes >> self._shift).astype(np.int64)


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


def _letters(text: str) -> npt.NDArray[np.uint32]:
    """[n] uint32, the letters and digits of a text, normalised."""
    if text.isascii():
        return np.frombuffer(text.encode().translate(_LOWER, _NO_LETTERS), np.uint8).astype(
            np.uint32
        )
    return codes_of(letters_of(text.translate(_FOLDED)))


def _hashes(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """[n - 5] uint64, of each run of six letters."""
    count = len(codes) - ENOUGH_LETTERS + 1
    if count <= 0:
        return np.zeros(0, np.uint64)
    total = np.zeros(count, np.uint64)
    for place, factor in enumerate(_FACTORS):
        total += codes[place : place + count].astype(np.uint64) * factor
    return total
