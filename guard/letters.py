"""How many runs of three letters a text shares with example prompts, weighed by how rare they are.

A question whose words are misspelt, clipped, run together or put in another order says little to a
sentence encoder, and its names are no words of anybody's list; most of its runs of three letters
are still there. So this compares what is written, and not what is meant: spaces, capitals and
punctuation do not count, nor where in the text a run stands, and letters that look like Latin ones
are read as these.

Two shares are taken, and the higher one counts: of what text and example hold together (the cosine
of their weights), which a copy with its words worn has; and, times ``WITHIN``, of what the example
holds alone, which is had by whatever else stands around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from guard.letter_table import Codes, LetterTable
from guard.lexicon import lexicon
from guard.normalise import SEP, normalise
from guard.views.lookalikes import confusables
from guard.views.view import codes_of

Weights = npt.NDArray[np.float32]
_Doubles = npt.NDArray[np.float64]

# All chosen on the authors of TOFU's `retain` set, by attacks that the guard may be tuned on; see
# detection in docs/BENCHMARKS.md. How much a run counts that the same question about others holds.
FRAME: Final = 0.3
# From 0.6 to 0.7 it makes little difference.
WITHIN: Final = 0.65
# Fewer of an example's own runs are shared by names that begin alike ("Harbor", "Harry").
LEAST_OWN: Final = 5
_RUN: Final = 3
# Bits for a letter: a to z, 0 to 9, and what is left for the letters of all other scripts.
_BITS: Final = 6
_OTHERS: Final = (1 << _BITS) - 37
# How many words a prompt has: a run is as rare as prompts are that hold it.
_WORDS: Final = 12
# What no word has is taken to stand in one prompt of so many.
_RAREST: Final = 1500
# Words that were counted less often are misspellings and names as often as not.
_LEAST_COUNT: Final = 50
_KEPT: Final = 16_384

_NONE: Final[Codes] = np.zeros(0, np.int32)


@lru_cache(_KEPT)
def runs_of(text: str) -> Codes:
    """The distinct runs of three letters of a text, [n] int32, ascending, not to be written to."""
    runs: Codes = np.unique(_runs(codes_of(_letters(text))))
    runs.flags.writeable = False
    return runs


def _letters(text: str) -> str:
    """The letters of a text, small, those that look like Latin ones as these."""
    if text.isascii():
        return normalise(text).replace(SEP, "")
    table = confusables()
    # Again once they are small: of some letters only the small form looks like a Latin one.
    folded = normalise(text.translate(table)).replace(SEP, "").translate(table)
    # Folding makes Cherokee large, and then it looks like Latin capitals.
    return folded.lower()


def _runs(codes: npt.NDArray[np.uint32]) -> Codes:
    """Every run of some letters' code points, in their order; along the last axis."""
    if codes.shape[-1] < _RUN:
        return np.zeros((*codes.shape[:-1], 0), np.int32)
    letters = np.where(codes < 0x80, _ASCII[codes & 0x7F], 37 + codes % _OTHERS).astype(np.int32)
    first, second, third = (letters[..., at : letters.shape[-1] - 2 + at] for at in range(_RUN))
    runs: Codes = (first << 2 * _BITS) | (second << _BITS) | third
    return runs


def _ascii() -> npt.NDArray[np.int32]:
    places = np.zeros(0x80, np.int32)
    for place, letter in enumerate("abcdefghijklmnopqrstuvwxyz0123456789", 1):
        places[ord(letter)] = place
    return places


_ASCII: Final = _ascii()


@cache
def rarity() -> Weights:
    """[2^18] float32 in [0, 1], by run: 1 for what no English word holds."""
    counts = np.zeros(1 << _RUN * _BITS, np.float64)
    by_length: dict[int, list[tuple[str, int]]] = {}
    total = 0
    for word, count in lexicon().items():
        total += count
        if count >= _LEAST_COUNT and word.isascii() and word.isalnum():
            by_length.setdefault(len(word), []).append((word, count))
    for length, words in by_length.items():
        runs = _runs(codes_of("".join(word for word, _ in words)).reshape(-1, length))
        each = np.array([count for _, count in words], np.float64)
        np.add.at(counts, runs.ravel(), np.repeat(each, runs.shape[1]))
    share = np.clip(_WORDS * counts / total, 1 / _RAREST, 1)
    weights: Weights = (np.log(share) / np.log(1 / _RAREST)).astype(np.float32)
    return weights


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """Texts that share something with an example.

    Attributes:
        texts, examples: [n] int64, places; each pair once, in the order of texts, then examples.
        scores: [n] float32 in (0, 1].
    """

    texts: npt.NDArray[np.int64]
    examples: npt.NDArray[np.int64]
    scores: Weights


class LetterScores:
    """Scores texts by a table.

    A text that shares fewer than ``LEAST_OWN`` runs of an example's own has no score by it,
    whatever else it shares; nor has one that shares fewer beside those of a single name that is
    everybody's. A question about the city is not about who was born there.

    Args:
        least: [n_examples] float32, the score from which on each example counts; scores below it
            may be left out. None to have every score.
    """

    def __init__(self, table: LetterTable, least: Weights | None = None) -> None:
        weights = rarity()
        own, frame = weights[table.own], FRAME * weights[table.frame]
        owners = np.repeat(np.arange(len(table.targets)), np.diff(table.own_starts))
        order = np.argsort(table.own, kind="stable")
        # Each run that is some example's own, and where the examples begin that it is of.
        self._codes, starts = np.unique(table.own[order], return_index=True)
        self._starts = np.append(starts, len(order))
        self._examples = owners[order]
        self._weights = own[order]
        self._world = table.world[order]
        self._frame_starts = table.frame_starts
        self._frame = table.frame
        self._frame_sizes = _sums(frame, table.frame_starts)
        self._sizes = _sums(own, table.own_starts) + self._frame_sizes
        self._least = least

    def scores(self, texts: Sequence[str]) -> Shared:
        """The scores of texts."""
        held = [runs_of(text) for text in texts]
        runs = np.concatenate([_NONE, *held])
        rows = np.repeat(np.arange(len(texts)), [len(own) for own in held])
        wholes = _sums(rarity()[runs], np.cumsum([0, *map(len, held)]))
        if not len(self._codes):
            return _shared(rows[:0], rows[:0], wholes[:0])
        at = np.minimum(np.searchsorted(self._codes, runs), len(self._codes) - 1)
        met = self._codes[at] == runs
        spread, of = _ranges(self._starts[at[met]], self._starts[at[met] + 1])
        pairs = rows[met][of] * len(self._sizes) + self._examples[spread]
        pairs, place = np.unique(pairs, return_inverse=True)
        shared = _summed(place, self._weights[spread], len(pairs))
        enough = self._enough(spread, place, len(pairs))
        pairs, shared = pairs[enough], shared[enough]
        texts_of, examples = np.divmod(pairs, len(self._sizes))
        if self._least is not None:
            # All that the frame could still add.
            most = np.minimum(self._frame_sizes[examples], FRAME * wholes[texts_of])
            left = self._score(shared + most, texts_of, examples, wholes) >= self._least[examples]
            texts_of, examples, shared = texts_of[left], examples[left], shared[left]
        shared = shared + self._of_frames(texts_of, examples, rows, runs)
        return _shared(texts_of, examples, self._score(shared, texts_of, examples, wholes))

    def _enough(
        self, spread: npt.NDArray[np.int64], place: npt.NDArray[np.int64], count: int
    ) -> npt.NDArray[np.bool_]:
        """Of which pairs enough is shared, [count].

        Args:
            spread, place: [n], each own run that is shared, and the pair that shares it.
        """
        shared = np.bincount(place, minlength=count)
        world = self._world[spread]
        (of_names,) = np.nonzero(world)
        if len(of_names):
            named, runs = np.unique(place[of_names] << 8 | world[of_names], return_counts=True)
            most = np.zeros(count, np.int64)
            np.maximum.at(most, named >> 8, runs)
            shared = shared - most
        enough: npt.NDArray[np.bool_] = shared >= LEAST_OWN
        return enough

    def _score(
        self,
        shared: _Doubles,
        texts: npt.NDArray[np.int64],
        examples: npt.NDArray[np.int64],
        wholes: _Doubles,
    ) -> _Doubles:
        sizes = self._sizes[examples]
        both: _Doubles = shared / np.sqrt(sizes * wholes[texts])
        return np.maximum(both, WITHIN * shared / sizes)

    def _of_frames(
        self,
        texts: npt.NDArray[np.int64],
        examples: npt.NDArray[np.int64],
        rows: npt.NDArray[np.int64],
        runs: Codes,
    ) -> _Doubles:
        """What pairs share of the examples' frames.

        Args:
            texts, examples: [n], the pairs.
            rows, runs: [m], every run of every text, ascending.
        """
        every = rows << _RUN * _BITS | runs
        spread, of = _ranges(self._frame_starts[examples], self._frame_starts[examples + 1])
        wanted = texts[of] << _RUN * _BITS | self._frame[spread]
        at = np.minimum(np.searchsorted(every, wanted), len(every) - 1)
        met = every[at] == wanted if len(every) else np.zeros(len(wanted), np.bool_)
        weights = FRAME * rarity()[self._frame[spread[met]]]
        return _summed(of[met], weights, len(texts))


def _shared(
    texts: npt.NDArray[np.int64],
    examples: npt.NDArray[np.int64],
    scores: _Doubles,
) -> Shared:
    return Shared(texts, examples, scores.astype(np.float32))


def _summed(places: npt.NDArray[np.int64], values: Weights, count: int) -> _Doubles:
    """[count] the sum of the values of each place."""
    sums: _Doubles = np.bincount(places, values, count).astype(np.float64)
    return sums


def _sums(values: Weights, starts: npt.NDArray[np.int64]) -> _Doubles:
    """[n] the sums of parts that follow each other; ``starts`` [n + 1]."""
    sums = np.append(0.0, np.cumsum(values, dtype=np.float64))
    parts: _Doubles = sums[starts[1:]] - sums[starts[:-1]]
    return parts


def _ranges(
    starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Every place of some ranges, [m], and which range each is of, [m]."""
    sizes = ends - starts
    of = np.repeat(np.arange(len(starts)), sizes)
    before = np.cumsum(sizes) - sizes
    return np.arange(len(of)) - before[of] + starts[of], of
