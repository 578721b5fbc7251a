"""Aho–Corasick automaton over normalised characters, shared by engine, scanner and aliases.

A phrase matches where its normalised words begin at a word: after a separator or at the start.
Whether its last word may go on depends on its length (``goes_on``): a model that may not say
"Al-Kuwaiti" is quick to say "Al-Kuwaitis", so long phrases match as heads of longer words; a short
one must end where a word ends, or "Ali" would forbid "Alice". The left edge is compiled in (every
pattern begins with the separator, and a text starts as if one had just been read); the right edge
is for the caller to check, because only the caller knows whether more text follows.

Reading a separator right after a separator changes nothing, so texts need not be collapsed before
they are fed in pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from guard.normalise import SEP, folded


# Words of six letters that begin another word without being its stem are rare; of five, common.
GOES_ON_LETTERS: Final = 6


def goes_on(phrase: str) -> bool:
    """Whether a normalised phrase also matches where its last word continues, as in a plural."""
    return len(phrase) - phrase.count(SEP) >= GOES_ON_LETTERS


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

    Attributes:
        goto: per state, the trie edges only; failure edges are in ``fail``.
        depth: per state, how many characters of a pattern (its leading separator included) it
            has read.
    """

    ROOT: Final = 0
    START: Final = 1

    def __init__(self, phrases: Sequence[str]) -> None:
        self.goto: list[dict[str, int]] = [{SEP: 1}, {}]
        self.depth: list[int] = [0, 1]
        self._own: list[tuple[int, ...]] = [(), ()]
        self.ends_in_sep: list[bool] = [False, True]
        for index, phrase in enumerate(phrases):
            if not phrase or phrase != phrase.strip(SEP):
                raise ValueError(f"phrase {index} is not normalised: {phrase!r}")
            self._insert(phrase, index)
        self.fail: list[int] = [0] * len(self.goto)
        # Per state, every phrase that ends here, found by following failure edges once.
        self.outputs: list[tuple[int, ...]] = [()] * len(self.goto)
        self._link()

    def _insert(self, phrase: str, index: int) -> None:
        state = self.START
        for symbol in phrase:
            following = self.goto[state].get(symbol)
            if following is None:
                following = len(self.goto)
                self.goto[state][symbol] = following
                self.goto.append({})
                self.depth.append(self.depth[state] + 1)
                self._own.append(())
                self.ends_in_sep.append(symbol == SEP)
            state = following
        self._own[state] += (index,)

    def _link(self) -> None:
        queue = [self.START]
        for state in queue:
            self.outputs[state] = self._own[state] + self.outputs[self.fail[state]]
            for symbol, following in self.goto[state].items():
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

    def step(self, state: int, symbol: str) -> int:
        """The state after one more normalised character."""
        if symbol == SEP and self.ends_in_sep[state]:
            return state
        return self._advance(state, symbol)

    def walk(self, state: int, symbols: str) -> int:
        """The state after several more normalised characters."""
        for symbol in symbols:
            state = self.step(state, symbol)
        return state

    def search(self, text: str, phrases: Sequence[str]) -> Iterator[Match]:
        """Every occurrence in a whole text, offsets in terms of ``text`` itself.

        Args:
            text: any text; it is normalised here.
            phrases: the sequence that the automaton was built from.
        """
        symbols, offsets = folded(text)
        state = self.START
        for position, symbol in enumerate(symbols):
            state = self.step(state, symbol)
            found = self.outputs[state]
            if not found:
                continue
            ends_word = position + 1 == len(symbols) or symbols[position + 1] == SEP
            for phrase in found:
                if not ends_word and not goes_on(phrases[phrase]):
                    continue
                first = position + 1 - len(phrases[phrase])
                yield Match(phrase, offsets[first], offsets[position] + 1)
