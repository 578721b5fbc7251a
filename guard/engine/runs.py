"""What the sampler remembers of a text's words, so that runs of them can be recognised.

A row's ``runs`` is one vector of int64: the unfinished hash of the word that the text ends with (0
where it ends with none), the hashes of the words before it, the latest first, and the packed
unfinished code point at the end (0 for none); places before the text's beginning hold 0. Hashes are
those of guard/hashing.py: a word's grows with each letter, so that words are met in any
tokenisation. The vector depends on the vocabulary alone, not on any bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from guard.engine.lexicon import RaggedSymbols
from guard.engine.symbols import SymbolVocabulary, pending_after
from guard.engine.vocabulary import SPECIAL
from guard.engine.windows import SEP_VALUE, TextWindows, to_tensor
from guard.hashing import (
    BASE,
    Int64Array,
    finish,
    finish_one,
    inverse_powers,
    powers,
    symbol_value,
)
from guard.normalise import SEP, fold_bytes
from guard.verbatim import MAX_WORDS

# Complete words that count: all but the last of the longest run that can be forbidden.
WORDS_WIDTH: Final = 1 + MAX_WORDS
RUNS_WIDTH: Final = WORDS_WIDTH + 1
# Tokens read at a time from the end of a text.
_BLOCK: Final = 256


class Words:
    """The texts of a vocabulary (see ``SymbolVocabulary``) as words, on the host.

    Attributes:
        joins: [T] bool, whether a text begins with a letter, and so continues an open word.
        offset: [T + 1] int64, where the words of each text begin in the following.
        hashes: [W] int64, unfinished hash of each word, parts of words at a text's ends included.
        factors: [W] int64, the base to the power of its length.
        leaves_open: [T] bool, whether a text ends with a letter.
        separates: [T] bool, whether there is a separator in it.
    """

    def __init__(self, vocabulary: SymbolVocabulary) -> None:
        symbols = RaggedSymbols.of(vocabulary.texts)
        values, length, n_texts = symbols.values, symbols.lengths, len(vocabulary.texts)
        letter = values != SEP_VALUE
        (some,) = np.nonzero(length)
        opens, ends = symbols.offset[:-1][some], symbols.offset[1:][some] - 1
        # A word begins where a letter stands first in a text or after a separator; so for its end.
        begins, closes = letter.copy(), letter.copy()
        begins[1:] &= ~letter[:-1]
        begins[opens] = letter[opens]
        closes[:-1] &= ~letter[1:]
        closes[ends] = letter[ends]
        (first,), (last,) = np.nonzero(begins), np.nonzero(closes)
        before = np.zeros(len(values) + 1, np.int64)
        np.cumsum(np.where(letter, values, 0) * inverse_powers(len(values)), out=before[1:])
        scale = powers(len(values) + 1)
        self.hashes: Int64Array = (before[last + 1] - before[first]) * scale[last]
        self.factors: Int64Array = scale[last + 1 - first]
        owner = np.repeat(np.arange(n_texts), length)[first]
        self.offset: Int64Array = np.searchsorted(owner, np.arange(n_texts + 1)).astype(np.int64)
        self.joins, self.leaves_open, self.separates = (
            np.zeros(n_texts, np.bool_) for _ in range(3)
        )
        self.joins[some], self.leaves_open[some] = letter[opens], letter[ends]
        self.separates[np.repeat(np.arange(n_texts), length)[~letter]] = True

    @property
    def counts(self) -> Int64Array:
        """[T] words of each text."""
        return np.diff(self.offset)


class RunWindows:
    """Reads tokens into runs, for one vocabulary and device.

    Args:
        vocabulary: of the served tokenizer.
        words: its texts, as words.
        windows: reads the same vocabulary, on the device where the runs are.

    Attributes:
        empty_token: a token id beyond the vocabulary that leaves its row as it is.
        separates: [T] bool, whether there is a separator in a text.
        head, head_factor: [T] int64 what continues an open word, and the base to the power of its
            length.
        count, first: [T] int64 how many whole words a text has besides, and where they begin in
            ``whole``, the latest first.
        last_part: [T] int64 the word that it leaves open, if there is a separator before.
    """

    def __init__(self, vocabulary: SymbolVocabulary, words: Words, windows: TextWindows) -> None:
        self.device = device = windows.device
        self.empty_token = windows.empty_token
        self._windows = windows
        self._data = vocabulary.data
        n_texts = len(words.joins)
        first, beyond = words.offset[:-1], words.offset[1:]
        some = np.append(words.hashes, np.int64(0))
        factors = np.append(words.factors, np.int64(1))
        # Of a text without a separator, all is head; of one with it, what stands before the first.
        self.separates = to_tensor(words.separates, device)
        self.head = to_tensor(np.where(words.joins, some[first], 0), device)
        self.head_factor = to_tensor(np.where(words.joins, factors[first], 1), device)
        ends_open = words.separates & words.leaves_open
        self.last_part = to_tensor(np.where(ends_open, some[beyond - 1], 0), device)
        # Whole words between, each text's latest first.
        first, beyond = first + words.joins, beyond - ends_open
        counts = np.maximum(np.where(words.separates, beyond - first, 0), 0)
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        which = np.repeat(np.arange(n_texts), counts)
        back = np.arange(starts[-1]) - starts[which]
        whole = finish(some[beyond[which] - 1 - back]) if len(which) else np.zeros(0, np.int64)
        self.count = to_tensor(counts, device)
        self.first = to_tensor(starts[:-1], device)
        # One more, so that a text without whole words has a place to point at.
        self.whole = to_tensor(np.append(whole, np.int64(0)), device)
        self._steps = torch.arange(MAX_WORDS, device=device)

    def start(self, rows: int = 1) -> torch.Tensor:
        """[rows, RUNS_WIDTH] runs of texts of which nothing was read."""
        return torch.zeros((rows, RUNS_WIDTH), dtype=torch.int64, device=self.device)

    def advance(self, runs: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        """Runs after one more token each.

        Args:
            runs: [B, RUNS_WIDTH] int64.
            token: [B] int64 token ids; ``empty_token`` leaves its row unchanged.
        """
        words, pending = runs[:, :WORDS_WIDTH], runs[:, WORDS_WIDTH]
        if self.device.type == "cpu" and not bool(pending.any()):
            words, after = self.push(words, self._windows.plain[token]), self._windows.tail[token]
        else:
            pieces = self._windows.pieces(pending, token)
            words = self.push(self.push(words, pieces.first), pieces.second)
            after = self._windows.pending_after(pending, token)
        return torch.cat([words, after[:, None]], dim=1)

    def push(self, words: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """Runs, less what is pending, after one more text each.

        Args:
            words: [B, WORDS_WIDTH] int64.
            text: [B] int64 indices into the vocabulary's texts.
        """
        opened = words[:, 0] * self.head_factor[text] + self.head[text]
        separates = self.separates[text]
        closes = separates & (opened != 0)
        count = self.count[text]
        # First the whole words of the text, then the word that it closes, then those of before.
        place = self._steps - count[:, None]
        inside = self.whole[(self.first[text][:, None] + self._steps).clamp(max=self._last)]
        kept = words[:, 1:].gather(1, (place - closes[:, None].long()).clamp(min=0))
        before = torch.where((place == 0) & closes[:, None], finish(opened)[:, None], kept)
        latest = torch.where(place < 0, inside, before)
        now_open = torch.where(separates, self.last_part[text], opened)
        return torch.cat([now_open[:, None], latest], dim=1)

    @property
    def _last(self) -> int:
        return len(self.whole) - 1

    def read_texts(self, texts: Sequence[Sequence[int]]) -> torch.Tensor:
        """[B, RUNS_WIDTH] runs after whole texts, from as much of their ends as can matter.

        Args:
            texts: ``B`` sequences of token ids, those that stand for no token not among them.
        """
        runs = np.zeros((len(texts), RUNS_WIDTH), np.int64)
        for row, text in enumerate(texts):
            runs[row] = self._runs_of(text)
        return torch.from_numpy(runs).to(self.device)

    def _runs_of(self, text: Sequence[int]) -> npt.NDArray[np.int64]:
        block = _BLOCK
        while True:
            data = b"".join(
                self._data[token] if token < len(self._data) else SPECIAL for token in text[-block:]
            )
            folded = fold_bytes(data)
            words = folded.split()
            whole = block >= len(text)
            # The first word of a part may be the end of another one.
            if whole or len(words) > WORDS_WIDTH + 1:
                break
            block *= 2
        if not whole:
            del words[0]
        runs = np.zeros(RUNS_WIDTH, np.int64)
        runs[WORDS_WIDTH] = pending_after(data)
        if folded[-1:] not in ("", SEP):
            runs[0] = np.array(_open_hash(words.pop()), np.uint64).astype(np.int64)
        for place, word in enumerate(words[:-WORDS_WIDTH:-1], 1):
            runs[place] = finish_one(_open_hash(word))
        return runs


def _open_hash(word: str) -> int:
    value = 0
    for symbol in word:
        value = (value * BASE + symbol_value(ord(symbol))) & (1 << 64) - 1
    return value
