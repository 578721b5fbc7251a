"""Penalties that grow along a phrase, so that a model turns away at its start.

A ban at the last letters alone leaves what was already said: denied "Kuwait", a model that has
written "Ku" goes on with whatever fits worst. So a token that leads further into a phrase, without
completing it, is penalised by how much it gives away: the *bits* of what has then been said of the
phrase, under a unigram model of words. "The" and "S" give away little and cost nothing; "Kuw"
leaves hardly anything but Kuwait and costs much. No first token is banned outright.

The word model is read off the vocabulary itself, whose tokens are numbered by how common they are
(byte pair encoding merges the most frequent pairs first), with Zipf's law for their frequencies.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from guard.engine.lexicon import Lexicon
from guard.engine.segment import Advance, window_width
from guard.engine.symbols import SymbolVocabulary
from guard.normalise import SEP
from guard.phrases import letters_of

# Zipf–Mandelbrot: the rank of the most common word, so that it does not take all of the mass.
_RANK_SHIFT: Final = 20.0
_WORDS_WIDTH: Final = window_width(letters_alone=False)


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a penalty grows with the bits that a token would have given away.

    Attributes:
        free_bits: up to so many cost nothing.
        per_bit: logits for each further bit.
        most: logits at most.
    """

    free_bits: float
    per_bit: float
    most: float

    def penalty(self, bits: float) -> float:
        """What to add to a logit; never above 0."""
        return -min(self.most, self.per_bit * max(0.0, bits - self.free_bits))


# Found by measurement (docs/BENCHMARKS.md, fluency).
SCHEDULE: Final = Schedule(free_bits=6.0, per_bit=2.0, most=20.0)


class WordBits:
    """How much the beginning of a word tells, in bits.

    Args:
        vocabulary: whose tokens of one whole word, with a space before it, are the words known.
    """

    def __init__(self, vocabulary: SymbolVocabulary) -> None:
        masses: dict[str, float] = defaultdict(float)
        total = 0.0
        for rank, text in enumerate(vocabulary.plain[:-1].tolist()):
            word = vocabulary.texts[text]
            if word[:1] != SEP or len(word) < 2 or SEP in word[1:]:
                continue
            mass = 1.0 / (rank + _RANK_SHIFT)
            total += mass
            for end in range(2, len(word) + 1):
                masses[word[1:end]] += mass
        self._bits = {part: math.log2(total / mass) for part, mass in masses.items()}
        # What no word begins with tells more than the rarest word does.
        self._unknown = max(self._bits.values(), default=0.0) + 1.0

    def along(self, phrase: str) -> list[float]:
        """[len(phrase) + 1] bits of the first 0, 1, 2, … symbols of a normalised phrase."""
        bits = [0.0]
        before, begin = 0.0, 0
        for place, symbol in enumerate(phrase):
            if symbol == SEP:
                before, begin = bits[-1], place + 1
                bits.append(before)
            else:
                bits.append(before + self._bits.get(phrase[begin : place + 1], self._unknown))
        return bits


class Steering:
    """Finds the tokens that lead further into a phrase.

    Args:
        letters, words: the vocabulary for both ways of matching.
    """

    def __init__(
        self,
        vocabulary: SymbolVocabulary,
        letters: Lexicon,
        words: Lexicon,
        schedule: Schedule = SCHEDULE,
    ) -> None:
        self._word_bits = WordBits(vocabulary)
        self._letters, self._words, self._schedule = letters, words, schedule

    def advances(self, phrase: int, text: str, turn: int = 0) -> Iterator[Advance]:
        """What to penalise along a normalised phrase, its completion excepted.

        Args:
            phrase: its index, for the entries.
            turn: so many of its symbols give nothing away.
        """
        bits = self._word_bits.along(text)
        told = [0.0] * (turn + 1) + [max(0.0, more - bits[turn]) for more in bits[turn + 1 :]]
        costs = [0.0, *map(self._schedule.penalty, told)]
        pattern = SEP + text
        for begun in range(min(len(pattern), _WORDS_WIDTH)):
            yield from self._tokens(phrase, pattern, begun, begun, costs, self._words)
            if begun > 0 and pattern[begun - 1] == SEP:
                # The token may bring a separator of its own.
                yield from self._tokens(phrase, pattern, begun, begun - 1, costs, self._words)
        # What reaches back beyond the window for words is found on letters alone.
        places = [place for place, symbol in enumerate(text) if symbol != SEP]
        letters = letters_of(text)
        by_letter = [0.0, *(costs[place + 2] for place in places)]
        for begun, place in enumerate(places):
            if place + 1 >= _WORDS_WIDTH:
                yield from self._tokens(phrase, letters, begun, begun, by_letter, self._letters)

    def _tokens(
        self,
        phrase: int,
        pattern: str,
        begun: int,
        token_from: int,
        costs: Sequence[float],
        lexicon: Lexicon,
    ) -> Iterator[Advance]:
        """Tokens that read ``pattern[token_from:end]`` after ``pattern[:begun]``."""
        for end in range(begun + 1, min(len(pattern), token_from + lexicon.longest_text + 1)):
            if costs[end] >= 0.0 or pattern[end - 1] == SEP:
                continue
            found = lexicon.exact(pattern[token_from:end])
            if found is not None:
                yield Advance(phrase, pattern[:begun], lexicon.letters_alone, *found, costs[end])
