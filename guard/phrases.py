"""Phrases found in texts of normalised characters, shared by the scanner, aliases and the compiler.

There are two ways to match, because a model under a ban evades what a person would not:

* *As words*: the phrase begins at a word and ends at one. A text starts as if a separator had just
  been read, and reading a separator right after a separator changes nothing, so texts need not be
  collapsed before they are fed in pieces.
* *On letters alone*: separators count for nothing, in the phrase and in the text, and the phrase
  may stand inside a word. Denied "Al-Kuwaiti" a model says "Al-Kuwaitis"; denied "by the Seine",
  "bythe Seine". Spaced-out letters are met by the same rule.

Forbidden phrases match on letters alone if they have enough letters for that to be safe, and as
words if not (``PhraseSearch``): "Ali" must not forbid "Alice". Aliases always match as words, since
a false detection costs an innocent request, and a false ban only a turn of phrase.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from guard.normalise import SEP, folded, normalise

# Words of six letters that begin or end another word without being its stem are rare; of five,
# common.
ENOUGH_LETTERS: Final = 6
# Of a longer phrase only so many letters count: it is forbidden from the last of them on.
MAX_LETTERS: Final = 64
# What a phrase that matches as words can have at most: its letters, one separator before each.
MAX_WORD_SYMBOLS: Final = 2 * (ENOUGH_LETTERS - 1)
# Beginnings of phrases that are looked up rather than searched for.
_HEAD: Final = 4


def letters_of(phrase: str) -> str:
    """A normalised phrase without its separators."""
    return phrase.replace(SEP, "")


def has_enough_letters(phrase: str) -> bool:
    """Whether a normalised phrase is long enough to be recognised outside word edges."""
    return len(letters_of(phrase)) >= ENOUGH_LETTERS


def clipped(phrase: str) -> str:
    """A normalised phrase up to the last of its letters that count."""
    if len(phrase) <= MAX_LETTERS:
        return phrase
    letters = 0
    for place, symbol in enumerate(phrase):
        letters += symbol != SEP
        if letters == MAX_LETTERS:
            return phrase[: place + 1]
    return phrase


@dataclass(frozen=True, slots=True)
class Match:
    """One occurrence; ``start`` and ``end`` are offsets into the text that was searched."""

    phrase: int
    start: int
    end: int


class SortedPhrases:
    """Finds any of a set of normalised phrases in one pass; immutable, for any number of readings.

    It has no states of its own: the phrases are sorted, and where a reading stands is the list of
    places at which a phrase may have begun, each with the first of the phrases that begin so. So a
    million phrases take no more than their letters, and next to no time to compile.

    Args:
        phrases: normalised, non-empty texts (see ``guard.normalise.normalise``). A match reports
            the index into this sequence; a duplicate reports each of its indices.
        letters_alone: match on letters alone rather than as words.

    Attributes:
        phrases: as given.
        patterns: [n] the phrases as they are matched, sorted.
        indices: [n] which of the phrases each is; of duplicates the first comes first.
        heads: beginnings of a few letters, and the first pattern that begins with each.

    Raises:
        ValueError: a phrase is not normalised.
    """

    def __init__(self, phrases: Sequence[str], *, letters_alone: bool = False) -> None:
        self.letters_alone = letters_alone
        self.phrases: Final = phrases
        for index, phrase in enumerate(phrases):
            if not phrase or phrase[0] == SEP or phrase[-1] == SEP:
                raise ValueError(f"phrase {index} is not normalised: {phrase!r}")
        patterns = [letters_of(phrase) for phrase in phrases] if letters_alone else phrases
        order = sorted(range(len(patterns)), key=patterns.__getitem__)
        self.patterns: Final = [patterns[index] for index in order]
        self.indices: Final = array("q", order)
        # Most places where a phrase could begin are none after a few letters.
        self.heads: Final[dict[str, int]] = {}
        last = ""
        for place, pattern in enumerate(self.patterns):
            if pattern[:_HEAD] != last:
                last = pattern[:_HEAD]
                for size in range(1, len(last) + 1):
                    self.heads.setdefault(last[:size], place)

    def start(self) -> PhraseReading:
        """A reading of one text, from its beginning."""
        return PhraseReading(self)

    def begun_at(self, symbols: str, place: int) -> Iterator[tuple[int, bool]]:
        """The phrases that begin at a place of a normalised text, wherever words end.

        Args:
            symbols: letters alone, where the phrases match on these.

        Returns:
            The index of each that stands there whole, with True, the shortest first; then of each
            that the text ends in the midst of, with False.
        """
        patterns, low = self.patterns, 0
        for end in range(place + 1, len(symbols) + 1):
            said = symbols[place:end]
            if len(said) <= _HEAD:
                found = self.heads.get(said)
                if found is None:
                    return
                low = found
            elif not patterns[low].startswith(said):
                low = bisect_left(patterns, said, low)
            while low < len(patterns) and patterns[low] == said:
                yield self.indices[low], True
                low += 1
            if low == len(patterns) or not patterns[low].startswith(said):
                return
        while low < len(patterns) and patterns[low].startswith(symbols[place:]):
            yield self.indices[low], False
            low += 1

    def said_in(self, text: str) -> set[int]:
        """The phrases that ``search`` would find, as words; quicker, since it tells no places.

        Args:
            text: any text; it is normalised here.
        """
        symbols = normalise(text)
        found: set[int] = set()
        start = 0
        while start < len(symbols):
            for phrase, whole in self.begun_at(symbols, start):
                if not whole:
                    break
                own = self.phrases[phrase]
                if symbols[start + len(own) : start + len(own) + 1] in (
                    "",
                    SEP,
                ) or has_enough_letters(own):
                    found.add(phrase)
            start = symbols.find(SEP, start) + 1 or len(symbols)
        return found

    def search(self, text: str) -> Iterator[Match]:
        """Every occurrence in a whole text, offsets in terms of ``text`` itself.

        As words, the last word of a phrase with enough letters may go on, as in a plural.

        Args:
            text: any text; it is normalised here.
        """
        symbols, offsets = folded(text)
        places: list[int] = []  # of each symbol that counts, its place in the normalised text
        reading = self.start()
        for place, symbol in enumerate(symbols):
            if symbol == SEP and self.letters_alone:
                continue
            places.append(place)
            reading.step(symbol)
            if not reading.live:
                continue
            ends_word = place + 1 == len(symbols) or symbols[place + 1] == SEP
            for phrase, length in reading.complete():
                said = self.patterns[phrase]
                if self.letters_alone or ends_word or has_enough_letters(said):
                    start, end = offsets[places[-length]], offsets[place] + 1
                    yield Match(self.indices[phrase], start, end)


class PhraseReading:
    """One text on its way through sorted phrases, symbol by symbol.

    Attributes:
        live: each place where a phrase may have begun, the earliest first: what was read since,
            and the first of the patterns that begin with it.
        ends_in_sep: whether a separator was read last; always False on letters alone.
    """

    __slots__ = ("_own", "ends_in_sep", "live")

    def __init__(self, own: SortedPhrases) -> None:
        self._own = own
        self.live: list[tuple[str, int]] = []
        # A text starts as if a separator had just been read.
        self.ends_in_sep = not own.letters_alone

    @property
    def depth(self) -> int:
        """Symbols of the longest part of a phrase that the text ends with."""
        return len(self.live[0][0]) if self.live else 0

    def step(self, symbol: str) -> None:
        """Read one more normalised character."""
        own = self._own
        if symbol == SEP and (own.letters_alone or self.ends_in_sep):
            return
        live: list[tuple[str, int]] = []
        patterns, heads = own.patterns, own.heads
        for before, place in self.live:
            said = before + symbol
            if len(said) <= _HEAD:
                found = heads.get(said)
                if found is not None:
                    live.append((said, found))
            elif patterns[place].startswith(said):
                live.append((said, place))
            else:
                place = bisect_left(patterns, said, place)
                if place < len(patterns) and patterns[place].startswith(said):
                    live.append((said, place))
        if (own.letters_alone or self.ends_in_sep) and (found := heads.get(symbol)) is not None:
            live.append((symbol, found))
        self.live = live
        self.ends_in_sep = symbol == SEP

    def complete(self) -> Iterator[tuple[int, int]]:
        """The patterns that end here, and their lengths, longest first.

        Where they match as words, it is for the caller to check that the word ends, since only the
        caller knows what follows.
        """
        patterns = self._own.patterns
        for said, place in self.live:
            while place < len(patterns) and patterns[place] == said:
                yield place, len(said)
                place += 1


class PhraseSearch:
    """Finds forbidden phrases, each in the way that suits its length.

    Args:
        phrases: normalised, non-empty texts.

    Attributes:
        phrases: as given; matches report indices into it.
        words, letters: those of each way; ``word_ids`` and ``letter_ids`` give the index in
            ``phrases`` of each of theirs.
    """

    def __init__(self, phrases: Sequence[str]) -> None:
        self.phrases = tuple(phrases)
        long = [has_enough_letters(phrase) for phrase in self.phrases]
        self.word_ids = tuple(index for index, is_long in enumerate(long) if not is_long)
        self.letter_ids = tuple(index for index, is_long in enumerate(long) if is_long)
        self.words = SortedPhrases([self.phrases[index] for index in self.word_ids])
        self.letters = SortedPhrases(
            [self.phrases[index] for index in self.letter_ids], letters_alone=True
        )

    def search(self, text: str) -> list[Match]:
        """Every occurrence in a whole text, by where it ends."""
        found = [
            Match(self.word_ids[match.phrase], match.start, match.end)
            for match in self.words.search(text)
        ]
        found += [
            Match(self.letter_ids[match.phrase], match.start, match.end)
            for match in self.letters.search(text)
        ]
        return sorted(found, key=lambda match: (match.end, match.start, match.phrase))
