"""Reads tokens into states with compiled loops; see ``guard.engine.reader``."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import torch

from guard.engine.cpu.compiled import BoolArray, UInt64Array, compiled, finish, unsigned
from guard.engine.matcher import Tokens
from guard.engine.reader import TextReader
from guard.engine.runs import RunWindows
from guard.engine.windows import LETTERS_WIDTH, SEP_VALUE, STATE_WIDTH, WORDS_WIDTH
from guard.hashing import Int64Array
from guard.verbatim import MAX_WORDS

# Where runs of words begin in a state.
_OPEN: Final = STATE_WIDTH
_LAST_WORD: Final = STATE_WIDTH + 1
_SEP: Final = np.uint64(SEP_VALUE)
_NONE: Final = np.uint64(0)
_PENDING: Final = STATE_WIDTH - 1


class Texts(NamedTuple):
    """What tokens add to a state, see ``guard.engine.windows.TextWindows``.

    Attributes:
        plain: [V + 1] text of each token.
        tail: [V + 1] what it leaves pending.
        letters, letter_count: [T] where each text's letters begin, and how many they are.
        letter_values: [...] symbols.
        words, word_count, word_values: the same with separators.
        opens_with_sep: [T].
    """

    plain: Int64Array
    tail: UInt64Array
    letters: Int64Array
    letter_count: Int64Array
    letter_values: UInt64Array
    words: Int64Array
    word_count: Int64Array
    word_values: UInt64Array
    opens_with_sep: BoolArray


class Runs(NamedTuple):
    """What texts add to runs of words, see ``guard.engine.runs.RunWindows``; [T] of each text."""

    head: UInt64Array
    head_factor: UInt64Array
    separates: BoolArray
    number: Int64Array
    first: Int64Array
    whole: UInt64Array
    last_part: UInt64Array


def _no_runs() -> Runs:
    longs, some, bools = np.zeros(1, np.int64), np.zeros(1, np.uint64), np.zeros(1, np.bool_)
    return Runs(some, some, bools, longs, longs, some, some)


# Until a bundle with a protected text is loaded.
_NO_RUNS: Final = _no_runs()


@compiled
def _shift(state: UInt64Array, begin: int, width: int, count: int) -> int:
    """Make room for ``count`` values at the front of a window; for how many there is room."""
    count = min(count, width)
    for place in range(width - 1, count - 1, -1):
        state[begin + place] = state[begin + place - count]
    return count


@compiled
def _push(
    state: UInt64Array, begin: int, width: int, values: UInt64Array, first: int, beyond: int
) -> None:
    """Move a window on by some symbols, of which the latest comes first then."""
    for place in range(_shift(state, begin, width, beyond - first)):
        state[begin + place] = values[beyond - 1 - place]


@compiled
def _read_phrases(state: UInt64Array, token: int, texts: Texts) -> None:
    """``TextWindows.advance`` of one row in place."""
    text = texts.plain[token]
    first, count = texts.letters[text], texts.letter_count[text]
    _push(state, 0, LETTERS_WIDTH, texts.letter_values, first, first + count)
    first, count = texts.words[text], texts.word_count[text]
    # Runs of separators count once.
    repeats = int(texts.opens_with_sep[text] and state[LETTERS_WIDTH] == _SEP)
    _push(state, LETTERS_WIDTH, WORDS_WIDTH, texts.word_values, first + repeats, first + count)
    state[_PENDING] = texts.tail[token]


@compiled
def _read_runs(state: UInt64Array, token: int, texts: Texts, runs: Runs) -> None:
    """``RunWindows.advance`` of one row in place."""
    text = texts.plain[token]
    opened = state[_OPEN] * runs.head_factor[text] + runs.head[text]
    state[_OPEN] = opened
    if runs.separates[text]:
        if opened != _NONE:
            _shift(state, _LAST_WORD, MAX_WORDS, 1)
            state[_LAST_WORD] = finish(opened)
        for place in range(_shift(state, _LAST_WORD, MAX_WORDS, runs.number[text])):
            state[_LAST_WORD + place] = runs.whole[runs.first[text] + place]
        state[_OPEN] = runs.last_part[text]
    state[_LAST_WORD + MAX_WORDS] = texts.tail[token]


@compiled
def read(state: UInt64Array, token: Int64Array, texts: Texts, runs: Runs, with_runs: bool) -> bool:
    """Read a token into each row, in place.

    Args:
        state: [B, READER_WIDTH].
        token: [B] int64 token ids; the one beyond the vocabulary leaves its row unchanged.
        with_runs: whether anybody asks for runs of words.

    Returns:
        False, with nothing done, where a code point is pending in any row.
    """
    for row in range(len(token)):
        if state[row, _PENDING] > _NONE:
            return False
    for row in range(len(token)):
        if token[row] < len(texts.plain) - 1:
            _read_phrases(state[row], token[row], texts)
            if with_runs:
                _read_runs(state[row], token[row], texts, runs)
    return True


def compile_reading() -> None:
    """Compile the loops, for no row at all: no request is to wait for that."""
    longs, some, bools = np.zeros(1, np.int64), np.zeros(1, np.uint64), np.zeros(1, np.bool_)
    texts = Texts(longs, some, longs, longs, some, longs, longs, some, bools)
    read(np.zeros((0, 1), np.uint64), longs[:0], texts, _NO_RUNS, False)


class HostReader(TextReader):
    """The same on a CPU."""

    def __init__(self, tokens: Tokens) -> None:
        super().__init__(tokens)
        windows = tokens.windows
        letters, words = windows.letters, windows.words
        self._texts = Texts(
            windows.plain.numpy(), unsigned(windows.tail), letters.first.numpy(),
            letters.length.numpy(), unsigned(letters.values), words.first.numpy(),
            words.length.numpy(), unsigned(words.values), words.opens_with_sep.numpy(),
        )  # fmt: skip
        self._runs = _NO_RUNS

    def advance(self, state: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        """States after one more token each, in place.

        Args:
            state: [B, READER_WIDTH] int64, without gaps.
            token: [B] int64 token ids; ``empty_token`` leaves its row unchanged.
        """
        if self._tokens.runs is not None and self._runs is _NO_RUNS:
            self._runs = _runs_of(self._tokens.runs)
        with_runs = self._runs is not _NO_RUNS
        # A view: what is written there is in the state.
        values, tokens = state.numpy().view(np.uint64), token.numpy()
        if not read(values, tokens, self._texts, self._runs, with_runs):
            pends = state[:, _PENDING] > 0
            after = super().advance(state[pends], token[pends])
            rest = state[~pends]
            read(
                rest.numpy().view(np.uint64), token[~pends].numpy(), self._texts, self._runs,
                with_runs,
            )  # fmt: skip
            state[pends], state[~pends] = after, rest
        return state


def _runs_of(runs: RunWindows) -> Runs:
    return Runs(
        unsigned(runs.head), unsigned(runs.head_factor), runs.separates.numpy(),
        runs.count.numpy(), runs.first.numpy(), unsigned(runs.whole), unsigned(runs.last_part),
    )  # fmt: skip
