"""The output scanner: releases a streamed answer as soon as no forbidden phrase can begin in it.

The engine's ban is the first net; this is the second, on the text that leaves the proxy, so that a
phrase is never released even in part by an engine that failed. A match is what
``guard.phrases.PhraseSearch`` finds, and a word that makes a run of a protected text too long
(guard/runs.py); of such a run only that word is held back, since what goes before it may be said.

What is held back begins at the first letter of the longest phrase that the text read so far may
still be part of, and is therefore never longer than the longest phrase plus the separators and
invisible characters written between its letters, or than one word where a run may end with it. Work
per code point is bounded by the letters of the longest phrase, and constant on average in a text.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence

from guard.normalise import SEP, fold
from guard.phrase_table import BundlePhrase
from guard.phrases import Match, PhraseSearch, SortedPhrases
from guard.runs import RunHit, RunReading
from guard.verbatim import RunFilter


class ScannedPhrases:
    """Phrases compiled to be looked for; immutable, shared by any number of scanners."""

    def __init__(self, phrases: Sequence[BundlePhrase]) -> None:
        self.phrases = tuple(phrases)
        self.search = PhraseSearch([phrase.text for phrase in self.phrases])
        self.longest = max((len(phrase.text) for phrase in self.phrases), default=0)


class Scanner:
    """What some targets forbid, compiled; immutable, shared by any number of scans.

    Args:
        phrases: of the active targets; soft ones are left out, since they are no reason to cut.
        verbatim: index of each target with a protected text, and its filter.
        beside: what other targets forbid, which is not compiled again.
        free: the cues among its phrases that may be said.
        lifted: indices of targets that do not hold, of those that ``beside`` is made of.

    Attributes:
        parts: its phrases, as they were compiled.
    """

    def __init__(
        self,
        phrases: Sequence[BundlePhrase],
        verbatim: Sequence[tuple[int, RunFilter]] = (),
        *,
        beside: Scanner | None = None,
        free: Collection[str] = (),
        lifted: Collection[int] = (),
    ) -> None:
        self._free = frozenset(free)
        self._lifted = frozenset(lifted)
        own = [phrase for phrase in phrases if phrase.strength == "hard"]
        parts = [*([ScannedPhrases(own)] if own else []), *(beside.parts if beside else ())]
        self.parts: tuple[ScannedPhrases, ...] = tuple(parts)
        self.verbatim: tuple[tuple[int, RunFilter], ...] = (
            *verbatim,
            *(each for each in (beside.verbatim if beside else ()) if each[0] not in self._lifted),
        )

    @property
    def active(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self.parts or self.verbatim)

    def forbids(self, phrase: BundlePhrase) -> bool:
        """Whether one of its phrases may not be said."""
        if phrase.target in self._lifted:
            return False
        return not (phrase.cue and phrase.text in self._free)

    def find(self, text: str) -> list[tuple[BundlePhrase, Match]]:
        """Every phrase in a whole text, by where it ends; what its match names is of no use."""
        found = [
            (part.phrases[match.phrase], match)
            for part in self.parts
            for match in part.search.search(text)
            if self.forbids(part.phrases[match.phrase])
        ]
        return sorted(found, key=lambda each: (each[1].end, each[1].start))

    def start(self) -> StreamScan:
        """A scan of one text, from its beginning."""
        return StreamScan(self)


class _Reading:
    """A text on its way through the phrases that match in one way."""

    def __init__(
        self, scanner: Scanner, part: ScannedPhrases, own: SortedPhrases, ids: Sequence[int]
    ) -> None:
        self._reading = own.start()
        # Where a release may end, were it to end before this symbol; for the latest symbols.
        self._cuts: deque[int] = deque(maxlen=part.longest)
        self._own = own
        self._scanner = scanner
        self._phrases = part.phrases
        self._ids = ids

    def step(self, symbol: str, cut: int) -> None:
        self._cuts.append(cut)
        self._reading.step(symbol)

    def separate(self, cut: int) -> None:
        """Read a separator, of which several are as one."""
        if not self._reading.ends_in_sep:
            self.step(SEP, cut)

    def found(self) -> tuple[BundlePhrase, int] | None:
        """The longest forbidden phrase at the end of the text, and where the text before ends."""
        for place, length in self._reading.complete():
            phrase = self._phrases[self._ids[self._own.indices[place]]]
            if self._scanner.forbids(phrase):
                return phrase, self._cuts[-length]
        return None

    def hold(self) -> int | None:
        """Where a phrase may have begun that the text ends in the midst of."""
        depth = self._reading.depth
        return self._cuts[-depth] if depth else None


class StreamScan:
    """One text on its way out, piece by piece.

    Whatever the pieces, what is released is the text up to the first match: the one that ends
    first, and of those that end together the one that starts first.

    Attributes:
        hit: what was found. Once set, ``feed`` and ``flush`` return "" for good.
    """

    def __init__(self, scanner: Scanner) -> None:
        self.hit: BundlePhrase | RunHit | None = None
        self._scanner = scanner
        self._words = [
            _Reading(scanner, part, part.search.words, part.search.word_ids)
            for part in scanner.parts
            if part.search.word_ids
        ]
        self._letters = [
            _Reading(scanner, part, part.search.letters, part.search.letter_ids)
            for part in scanner.parts
            if part.search.letter_ids
        ]
        self._runs = RunReading(scanner.verbatim)
        self._read = 0
        self._hit_start = 0
        self._pieces: deque[str] = deque()  # the unreleased text, less the first `_used` of it
        self._used = 0
        self._released = 0
        self._counts_runs = True
        self._ended = False

    def feed(self, text: str, *, ends_runs: bool = False) -> str:
        """Take the next piece.

        Args:
            ends_runs: this is whole words that count for no run of a protected text, and no run
                reaches over them.

        Returns:
            The text now cleared for release; "" when all of it is held back.

        Raises:
            RuntimeError: the text was already ended by ``flush``.
        """
        if self.hit is not None:
            return ""
        if self._ended:
            raise RuntimeError("a scan takes no text after `flush`; start another")
        if not self._scanner.active or not text:
            return text
        self._pieces.append(text)
        self._counts_runs = not ends_runs
        if ends_runs:
            self._runs.reset()
        for char in text:
            symbols = fold(char)
            if symbols:
                self._advance(symbols)
                if self.hit is not None:
                    return self._finish(self._hit_start)
            self._read += 1
        return self._release(self._hold())

    def flush(self) -> str:
        """End the text.

        Returns:
            What was held back, less what the end of the text completes.
        """
        if self.hit is not None or self._ended:
            return ""
        self._ended = True
        # Phrases on letters alone were found at their last letter.
        self._end_word()
        return self._finish(self._read if self.hit is None else self._hit_start)

    def _record_hit(self, hit: BundlePhrase | RunHit, start: int) -> None:
        if self.hit is None or start < self._hit_start:
            self.hit, self._hit_start = hit, start

    def _end_word(self) -> None:
        """Record what is complete if the text's last word ends here."""
        for words in self._words:
            if (found := words.found()) is not None:
                self._record_hit(*found)
        run = self._runs.completed()
        if run is not None:
            self._record_hit(run, self._runs.word_cut)

    def _advance(self, symbols: str) -> None:
        """Read the folded form of one code point; stop at a hit."""
        # Unless a separator follows, a phrase that ends here is the head of a longer word. A
        # release that ended between the two would show it as a whole word, so it may not end there.
        ended = [found[1] for words in self._words if (found := words.found()) is not None]
        cut = min([self._read, *ended])
        if self._runs.completed() is not None:
            cut = min(cut, self._runs.word_cut)  # for the same reason
        for symbol in symbols:
            if symbol != SEP:
                for reading in (*self._words, *self._letters):
                    reading.step(symbol, cut)
                if self._counts_runs:
                    self._runs.letter(symbol, cut)
            else:
                self._end_word()
                if self.hit is not None:
                    return
                self._runs.end_word()
                for words in self._words:
                    words.separate(cut)
            for letters in self._letters:
                if (found := letters.found()) is not None:
                    self._record_hit(*found)
            if self.hit is not None:
                return

    def _hold(self) -> int:
        """Where the text begins that may still become part of a match."""
        starts = [
            start
            for reading in (*self._words, *self._letters)
            if (start := reading.hold()) is not None
        ]
        if self._runs.holds:
            starts.append(self._runs.word_cut)
        return min([self._read, *starts])

    def _release(self, until: int) -> str:
        out: list[str] = []
        while self._released < until:
            piece = self._pieces[0]
            end = min(len(piece), self._used + until - self._released)
            out.append(piece[self._used : end])
            self._released += end - self._used
            self._used = end
            if end == len(piece):
                self._pieces.popleft()
                self._used = 0
        return "".join(out)

    def _finish(self, until: int) -> str:
        out = self._release(until)
        self._pieces.clear()
        return out
