"""The output scanner: releases a streamed answer as soon as no forbidden phrase can begin in it.

The engine's ban is the first net; this is the second, on the text that leaves the proxy, so that a
phrase is never released even in part by an engine that failed. A match is what
``guard.phrases.PhraseSearch`` finds, and a word that makes a run of a protected text too long
(guard/runs.py); of such a run only that word is held back, since what goes before it may be said.

What is held back begins at the first letter of the longest phrase that the text read so far may
still be part of, and is therefore never longer than the longest phrase plus the separators and
invisible characters written between its letters, or than one word where a run may end with it. Work
per code point is constant on average.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from guard.normalise import SEP, fold
from guard.phrase_table import BundlePhrase
from guard.phrases import PhraseAutomaton, PhraseSearch, letters_of
from guard.runs import RunHit, RunReading
from guard.verbatim import RunFilter


class Scanner:
    """What some targets forbid, compiled; immutable, shared by any number of scans.

    Args:
        phrases: of the active targets; soft ones are left out, since they are no reason to cut.
        verbatim: index of each target with a protected text, and its filter.
    """

    def __init__(
        self,
        phrases: Sequence[BundlePhrase],
        verbatim: Sequence[tuple[int, RunFilter]] = (),
    ) -> None:
        self.verbatim = tuple(verbatim)
        self.phrases = tuple(phrase for phrase in phrases if phrase.strength == "hard")
        self.search = PhraseSearch([phrase.text for phrase in self.phrases])
        self.longest = max((len(phrase.text) for phrase in self.phrases), default=0)

    @property
    def active(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self.phrases or self.verbatim)

    def start(self) -> StreamScan:
        """A scan of one text, from its beginning."""
        return StreamScan(self)


class _Reading:
    """One automaton on its way through a text."""

    def __init__(self, automaton: PhraseAutomaton, ids: tuple[int, ...], longest: int) -> None:
        self.automaton = automaton
        self.ids = ids
        self.state = automaton.start
        # Where a release may end, were it to end before this symbol; for the latest symbols.
        self.cuts: deque[int] = deque(maxlen=longest)

    def step(self, symbol: str, cut: int) -> None:
        self.cuts.append(cut)
        self.state = self.automaton.step(self.state, symbol)

    def found(self) -> int | None:
        """The longest phrase that the text ends with."""
        outputs = self.automaton.outputs[self.state]
        return self.ids[outputs[0]] if outputs else None

    def live(self) -> int:
        """How many letters of a phrase, its separators included, the text ends with."""
        # Less the separator that patterns of words begin with.
        return self.automaton.depth[self.state] - (not self.automaton.letters_alone)


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
        search, longest = scanner.search, scanner.longest
        self._words = _Reading(search.words, search.word_ids, longest)
        self._letters = _Reading(search.letters, search.letter_ids, longest)
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
        word, run = self._words.found(), self._runs.completed()
        if word is not None:
            self._record_hit(self._scanner.phrases[word], self._word_start(word))
        if run is not None:
            self._record_hit(run, self._runs.word_cut)

    def _word_start(self, phrase: int) -> int:
        return self._words.cuts[-len(self._scanner.phrases[phrase].text)]

    def _advance(self, symbols: str) -> None:
        """Read the folded form of one code point; stop at a hit."""
        cut = self._read
        ended = self._words.found()
        if ended is not None:
            # Unless a separator follows, the phrase is the head of a longer word. A release that
            # ended between the two would show it as a whole word, so it may not end there.
            cut = self._word_start(ended)
        if self._runs.completed() is not None:
            cut = min(cut, self._runs.word_cut)  # for the same reason
        for symbol in symbols:
            if symbol != SEP:
                self._words.step(symbol, cut)
                self._letters.step(symbol, cut)
                if self._counts_runs:
                    self._runs.letter(symbol, cut)
            else:
                self._end_word()
                if self.hit is not None:
                    return
                self._runs.end_word()
                if not self._words.automaton.ends_in_sep[self._words.state]:
                    self._words.step(symbol, cut)
            letters = self._letters.found()
            if letters is not None:
                length = len(letters_of(self._scanner.phrases[letters].text))
                self._record_hit(self._scanner.phrases[letters], self._letters.cuts[-length])
                return

    def _hold(self) -> int:
        """Where the text begins that may still become part of a match."""
        starts = [
            reading.cuts[-reading.live()]
            for reading in (self._words, self._letters)
            if reading.live() > 0
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
