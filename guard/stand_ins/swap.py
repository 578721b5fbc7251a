"""Texts swapped for others, whole or as they stream by.

A text is met as whole words, whatever its case, accents and what stands between its words, and so
before a possessive, too ("Hina Ameen's"). Of several texts that begin at one word the longest is
swapped, and none within another. What is written in capitals, or small, is swapped for the same.

Of a stream only that much is held back which may still turn out to be a text to be swapped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from guard.normalise import SEP, folded, normalise

# Between two letters of a text to be swapped stand at most so many characters that are none. It
# bounds what an endless run of them holds back.
MAX_GAP: Final = 8


class Swap:
    """A table of texts and what to put in their place; immutable, shared by any number of streams.

    Args:
        pairs: text to be swapped, what to put in its place. Of texts that are the same words the
            first counts; what holds no letter or digit is left out.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self.pairs = tuple(pairs)
        self._next: list[dict[str, int]] = [{}]
        self._pair: list[int | None] = [None]
        for index, (text, _) in enumerate(self.pairs):
            state = 0
            for symbol in normalise(text):
                following = self._next[state].get(symbol)
                if following is None:
                    following = self._next[state][symbol] = len(self._next)
                    self._next.append({})
                    self._pair.append(None)
                state = following
            if state and self._pair[state] is None:
                self._pair[state] = index

    def start(self) -> SwapStream:
        """A stream, from its beginning."""
        return SwapStream(self)

    def apply(self, text: str) -> str:
        """A whole text with all of it swapped."""
        stream = self.start()
        return stream.feed(text) + stream.flush()

    def find(self, text: str) -> Counter[int]:
        """How often each pair, by index, is met in a whole text."""
        stream = self.start()
        stream.feed(text)
        stream.flush()
        return stream.met

    def longest_at(
        self, symbols: str, offsets: Sequence[int], first: int, length: int
    ) -> tuple[int, int | None, bool]:
        """What begins at a word.

        Args:
            symbols, offsets: a text as ``guard.normalise.folded`` gives it.
            first: where in ``symbols`` the word begins.
            length: of the text.

        Returns:
            Where in ``symbols`` the longest pair's text ends, the pair, and whether more text could
            change that.
        """
        state, end, found = 0, first, None
        if _letter_before(symbols, offsets, first) == offsets[first]:
            return end, found, False  # the second part of a code point such as ½
        for place in range(first, len(symbols)):
            if place > first and offsets[place] - offsets[place - 1] > MAX_GAP:
                return end, found, False
            following = self._next[state].get(symbols[place])
            if following is None:
                return end, found, False
            state = following
            after = place + 1
            if self._pair[state] is not None and _ends_word(symbols, offsets, place):
                end, found = after, self._pair[state]
        return end, found, length - offsets[-1] <= MAX_GAP


class SwapStream:
    """One text on its way, piece by piece; whatever the pieces, what comes out is the same.

    Attributes:
        met: how often each pair, by index, was swapped.
        held: characters held back.
    """

    def __init__(self, swap: Swap) -> None:
        self.met: Counter[int] = Counter()
        self._swap = swap
        self._buffer = ""
        self._in_word = False

    @property
    def held(self) -> int:
        """How many characters are held back."""
        return len(self._buffer)

    def feed(self, text: str) -> str:
        """Take the next piece; returns what can no longer change."""
        return "".join(said for said, _ in self.pieces(text))

    def flush(self) -> str:
        """End the text; returns the rest of it."""
        return "".join(said for said, _ in self.last_pieces())

    def pieces(self, text: str) -> list[tuple[str, int | None]]:
        """``feed``, with what each part of it was swapped by; None for what stays."""
        return self._drain(self._buffer + text, ended=False)

    def last_pieces(self) -> list[tuple[str, int | None]]:
        """``flush``, in the same way."""
        return self._drain(self._buffer, ended=True)

    def _drain(self, text: str, *, ended: bool) -> list[tuple[str, int | None]]:
        symbols, offsets = folded(text)
        out: list[tuple[str, int | None]] = []
        done = place = 0
        self._buffer = ""
        while place < len(symbols):
            if symbols[place] == SEP or self._in_word:
                self._in_word = symbols[place] != SEP
                place += 1
                continue
            end, pair, may_change = self._swap.longest_at(symbols, offsets, place, len(text))
            if may_change and not ended:
                self._buffer = text[offsets[place] :]
                out.append((text[done : offsets[place]], None))
                return out
            self._in_word = True
            if pair is None:
                place += 1
                continue
            # Invisible characters go with the word that they follow.
            after = offsets[end] if end < len(symbols) else len(text)
            after = min(max(after, offsets[end - 1] + 1), offsets[end - 1] + 1 + MAX_GAP)
            self.met[pair] += 1
            out.append((text[done : offsets[place]], None))
            out.append((_in_case_of(text[offsets[place] : after], self._swap.pairs[pair][1]), pair))
            done, place = after, end
        out.append((text[done:], None))
        return out


def _letter_before(symbols: str, offsets: Sequence[int], place: int) -> int:
    """Offset of the letter before a word; -1 if there is none."""
    before = place - 2 if place and symbols[place - 1] == SEP else place - 1
    return offsets[before] if before >= 0 else -1


def _ends_word(symbols: str, offsets: Sequence[int], last: int) -> bool:
    """Whether a word ends with a letter, and with its code point."""
    after = last + 1
    if after == len(symbols):
        return True
    if symbols[after] != SEP:
        return offsets[after] - offsets[last] > MAX_GAP
    return after + 1 == len(symbols) or offsets[after + 1] != offsets[last]


def _in_case_of(said: str, to: str) -> str:
    """``to`` in capitals or small letters, where what was said is."""
    if said.isupper() and sum(map(str.isalpha, said)) > 1:
        return to.upper()
    return to.lower() if said.islower() else to
