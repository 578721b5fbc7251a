"""Aho–Corasick automata over normalised characters, shared by engine, scanner and aliases.

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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from guard.normalise import SEP, folded

# Words of six letters that begin or end another word without being its stem are rare; of five,
# common.
ENOUGH_LETTERS: Final = 6
# Of a longer phrase only so many letters count: it is forbidden from the last of them on.
MAX_LETTERS: Final = 64
# What a phrase that matches as words can have at most: its letters, one separator before each.
MAX_WORD_SYMBOLS: Final = 2 * (ENOUGH_LETTERS - 1)


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


class PhraseAutomaton:
    """Finds any of a set of normalised phrases in one pass.

    Args:
        phrases: normalised, non-empty texts (see ``guard.normalise.normalise``). A match reports
            the index into this sequence; a duplicate reports each of its indices.
        letters_alone: match on letters alone rather than as words.

    Attributes:
        start: the state of a text of which nothing was read.
        goto: per state, the trie edges only; failure edges are in ``fail``.
        depth: per state, how many characters of a pattern it has read. Patterns of words begin
            with a separator, which counts.
        outputs: per state, the phrases that end here, longest first. Where they match as words, it
            is for the caller to check that the word ends, since only the caller knows what follows.
        ends_in_sep: per state, whether a separator was read last; always False on letters alone.
    """

    ROOT: Final = 0

    def __init__(self, phrases: Sequence[str], *, letters_alone: bool = False) -> None:
        self.letters_alone = letters_alone
        self.goto: list[dict[str, int]] = [{}]
        self.depth: list[int] = [0]
        self._own: list[tuple[int, ...]] = [()]
        self.ends_in_sep: list[bool] = [False]
        self.start = self.ROOT
        if not letters_alone:
            self.start = self._child(self.ROOT, SEP)
        for index, phrase in enumerate(phrases):
            if not phrase or phrase != phrase.strip(SEP):
                raise ValueError(f"phrase {index} is not normalised: {phrase!r}")
            state = self.start
            for symbol in letters_of(phrase) if letters_alone else phrase:
                state = self._child(state, symbol)
            self._own[state] += (index,)
        self.fail: list[int] = [0] * len(self.goto)
        self.outputs: list[tuple[int, ...]] = [()] * len(self.goto)
        self._link()

    def _child(self, state: int, symbol: str) -> int:
        following = self.goto[state].get(symbol)
        if following is None:
            following = len(self.goto)
            self.goto[state][symbol] = following
            self.goto.append({})
            self.depth.append(self.depth[state] + 1)
            self._own.append(())
            self.ends_in_sep.append(symbol == SEP)
        return following

    def _link(self) -> None:
        queue = [self.ROOT]
        for state in queue:
            self.outputs[state] = self._own[state] + self.outputs[self.fail[state]]
            for symbol, following in self.goto[state].items():
                if state != self.ROOT:
                    self.fail[following] = self._advance(self.fail[state], symbol)
                queue.append(following)

    def _advance(self, state: int, symbol: str) -> int:
        while True:
            following = self.goto[state].get(symbol)
            if following is not None:
                return following
            if state == self.ROOT:
                return self.ROOT
            state = self.fail[state]

    def __len__(self) -> int:
        """How many states the automaton has."""
        return len(self.goto)

    def own(self, state: int) -> tuple[int, ...]:
        """The phrases that are exactly what a state has read."""
        return self._own[state]

    def step(self, state: int, symbol: str) -> int:
        """The state after one more normalised character."""
        if symbol == SEP and (self.letters_alone or self.ends_in_sep[state]):
            return state
        return self._advance(state, symbol)

    def walk(self, state: int, symbols: str) -> int:
        """The state after several more normalised characters."""
        for symbol in symbols:
            state = self.step(state, symbol)
        return state

    def search(self, text: str, phrases: Sequence[str]) -> Iterator[Match]:
        """Every occurrence in a whole text, offsets in terms of ``text`` itself.

        As words, the last word of a phrase with enough letters may go on, as in a plural.

        Args:
            text: any text; it is normalised here.
            phrases: the sequence that the automaton was built from.
        """
        symbols, offsets = folded(text)
        places: list[int] = []  # of each symbol that counts, its place in the normalised text
        state = self.start
        for place, symbol in enumerate(symbols):
            if symbol == SEP and self.letters_alone:
                continue
            places.append(place)
            state = self.step(state, symbol)
            found = self.outputs[state]
            if not found:
                continue
            ends_word = place + 1 == len(symbols) or symbols[place + 1] == SEP
            for phrase in found:
                pattern = phrases[phrase]
                if not (self.letters_alone or ends_word or has_enough_letters(pattern)):
                    continue
                length = len(letters_of(pattern)) if self.letters_alone else len(pattern)
                yield Match(phrase, offsets[places[-length]], offsets[place] + 1)


class PhraseSearch:
    """Finds forbidden phrases, each in the way that suits its length.

    Args:
        phrases: normalised, non-empty texts.

    Attributes:
        phrases: as given; matches report indices into it.
        words, letters: the two automata; ``word_ids`` and ``letter_ids`` give the index in
            ``phrases`` of each of theirs.
    """

    def __init__(self, phrases: Sequence[str]) -> None:
        self.phrases = tuple(phrases)
        long = [has_enough_letters(phrase) for phrase in self.phrases]
        self.word_ids = tuple(index for index, is_long in enumerate(long) if not is_long)
        self.letter_ids = tuple(index for index, is_long in enumerate(long) if is_long)
        self._word_texts = [self.phrases[index] for index in self.word_ids]
        self._letter_texts = [self.phrases[index] for index in self.letter_ids]
        self.words = PhraseAutomaton(self._word_texts)
        self.letters = PhraseAutomaton(self._letter_texts, letters_alone=True)

    def search(self, text: str) -> list[Match]:
        """Every occurrence in a whole text, by where it ends."""
        found = [
            Match(self.word_ids[match.phrase], match.start, match.end)
            for match in self.words.search(text, self._word_texts)
        ]
        found += [
            Match(self.letter_ids[match.phrase], match.start, match.end)
            for match in self.letters.search(text, self._letter_texts)
        ]
        return sorted(found, key=lambda match: (match.end, match.start, match.phrase))
