"""What the sampler remembers of a text: the symbols that can still be the beginning of a phrase.

A row's ``state`` is one vector of int64: the values of the last letters, those of the last symbols
with separators kept, the latest of each first, and the packed unfinished code point that the text
ends with (0 for none). Places before the text's beginning hold 0, but for the separator that a text
is taken to begin after. The state depends on the vocabulary alone, not on any bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from guard.engine.lexicon import RaggedSymbols, texts_for
from guard.engine.segment import window_width
from guard.engine.symbols import (
    EMPTY_TEXT,
    EXTRA_SHIFT,
    MISSING_SHIFT,
    SEP_TEXT,
    SMALLEST,
    SymbolVocabulary,
    pending_after,
)
from guard.engine.vocabulary import SPECIAL
from guard.hashing import symbol_values
from guard.normalise import SEP, fold_bytes
from guard.phrases import letters_of

LETTERS_WIDTH = window_width(letters_alone=True)
WORDS_WIDTH = window_width(letters_alone=False)
STATE_WIDTH = LETTERS_WIDTH + WORDS_WIDTH + 1

_BITS_MASK = (1 << MISSING_SHIFT) - 1
_BEYOND_UNICODE = 0x110000
# Letters read beyond the window, since bytes that a cut leaves without their first are misread.
_MARGIN = 8
# Whatever stands before the last so many letters of a text cannot matter.
ENOUGH_LETTERS_READ = LETTERS_WIDTH + _MARGIN
SEP_VALUE = int(symbol_values(np.array([ord(SEP)], np.int64))[0])


def to_tensor(array: npt.NDArray[np.generic], device: torch.device) -> torch.Tensor:
    """An array on a device, its integers as int64 (what torch indexes with)."""
    wide = array.astype(np.int64) if array.dtype == np.int32 else array
    return torch.from_numpy(np.ascontiguousarray(wide)).to(device)


@dataclass(frozen=True, slots=True)
class Pieces:
    """Tokens as two texts, read after code points that may be pending.

    Attributes:
        first: [...] what a token makes of the pending code point: its text, a separator where it
            leaves it broken, or nothing.
        second: [...] text of the rest of the token.
    """

    first: torch.Tensor
    second: torch.Tensor


class SpeltTexts:
    """The vocabulary's texts for one way of matching, on a device.

    Attributes:
        first, length: [T] int64 where the symbols of each begin in ``values``, and their number.
        values: [...] int64.
        opens_with_sep: [T] bool.
    """

    def __init__(self, texts: Sequence[str], device: torch.device) -> None:
        symbols = RaggedSymbols.of(texts)
        self.first = to_tensor(symbols.offset[:-1], device)
        self.length = to_tensor(symbols.lengths, device)
        # One more, so that an empty text at the very end has a place to point at.
        self.values = to_tensor(np.append(symbols.values, np.int64(0)), device)
        self.opens_with_sep = to_tensor(np.array([text[:1] == SEP for text in texts]), device)


class TextWindows:
    """Reads tokens into states, for one vocabulary and device.

    Args:
        vocabulary: of the served tokenizer.
        device: where the states are.

    Attributes:
        vocabulary: the same.
        vocab_size: tokens.
        empty_token: a token id beyond the vocabulary that leaves its row as it is.
        letters, words: the vocabulary's texts, for both ways of matching.
        plain: [V + 1] text of each token where nothing is pending.
        tail: [V + 1] what it leaves pending.
        lead: [V + 1] how many continuation bytes a token starts with.
        lead_tokens: [L] the tokens that can finish or extend a pending code point.
    """

    def __init__(self, vocabulary: SymbolVocabulary, device: torch.device) -> None:
        self.device = device
        self.vocab_size = self.empty_token = len(vocabulary)
        self.vocabulary = vocabulary
        self.letters = SpeltTexts(texts_for(vocabulary, letters_alone=True), device)
        self.words = SpeltTexts(texts_for(vocabulary, letters_alone=False), device)
        self.plain = to_tensor(vocabulary.plain, device)
        self._rest = to_tensor(vocabulary.rest, device)
        self._code_point = to_tensor(vocabulary.code_point, device)
        self._lead_bits = to_tensor(vocabulary.lead_bits, device)
        self._all_lead = to_tensor(vocabulary.all_lead, device).bool()
        self.tail = to_tensor(vocabulary.tail, device)
        self._is_empty = to_tensor(vocabulary.is_empty, device).bool()
        self._smallest = torch.tensor(SMALLEST, device=device)
        self.lead = to_tensor(vocabulary.lead, device)
        self.lead_tokens = torch.nonzero(self.lead[:-1]).flatten()
        # [V] on the host
        letters = np.array([len(letters_of(text)) for text in vocabulary.texts])
        self._letter_counts = letters[vocabulary.plain[:-1]].tolist()
        self._steps = torch.arange(LETTERS_WIDTH, device=device)

    def start(self, rows: int = 1) -> torch.Tensor:
        """[rows, STATE_WIDTH] states of texts of which nothing was read."""
        state = torch.zeros((rows, STATE_WIDTH), dtype=torch.int64, device=self.device)
        state[:, LETTERS_WIDTH] = SEP_VALUE
        return state

    def advance(self, state: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        """States after one more token each.

        Args:
            state: [B, STATE_WIDTH] int64.
            token: [B] int64 token ids; ``empty_token`` leaves its row unchanged.
        """
        letters, words, pending = split(state)
        if self.device.type == "cpu" and not bool(pending.any()):
            text = self.plain[token]
            after = [self._push_letters(letters, text), self._push_words(words, text)]
            return torch.cat([*after, self.tail[token][:, None]], dim=1)
        pieces = self.pieces(pending, token)
        for text in (pieces.first, pieces.second):
            letters, words = self._push_letters(letters, text), self._push_words(words, text)
        return torch.cat([letters, words, self.pending_after(pending, token)[:, None]], dim=1)

    def broken(self, state: torch.Tensor) -> torch.Tensor:
        """States after a separator, as where a code point is left unfinished."""
        letters, words, pending = split(state)
        sep = torch.full((len(words),), SEP_TEXT, device=self.device)
        return torch.cat([letters, self._push_words(words, sep), pending[:, None]], dim=1)

    def read_texts(self, texts: Sequence[Sequence[int]]) -> torch.Tensor:
        """[B, STATE_WIDTH] states after whole texts, from as much of their ends as can matter.

        Args:
            texts: ``B`` sequences of token ids, ``empty_token`` or negative ids not among them.
        """
        states = np.zeros((len(texts), STATE_WIDTH), np.int64)
        for row, text in enumerate(texts):
            states[row] = self._state_of(self._end_of(text))
        return torch.from_numpy(states).to(self.device)

    def pieces(self, pending: torch.Tensor, token: torch.Tensor) -> Pieces:
        """Tokens after pending code points.

        Args:
            pending, token: [...] int64 of one shape.
        """
        missing = pending >> MISSING_SHIFT & 3
        extra = pending >> EXTRA_SHIFT
        lead = self.lead[token]
        pends = pending > 0
        finishes = pends & (lead >= missing)
        waits = self._is_empty[token] | (pends & ~finishes & self._all_lead[token])
        code = (pending & _BITS_MASK) << 6 * missing | self._lead_bits[token, missing]
        # Overlong forms are no code points, and neither is anything beyond Unicode.
        valid = (code >= self._smallest[extra]) & (code < _BEYOND_UNICODE)
        finished = torch.where(
            valid, self._code_point[code.clamp(max=_BEYOND_UNICODE - 1)], SEP_TEXT
        )
        broken = torch.where(pends & ~finishes & ~waits, SEP_TEXT, EMPTY_TEXT)
        # `plain` begins with a separator where stray bytes are left over.
        uses_up = finishes & (lead == missing)
        second = torch.where(uses_up, self._rest[token], self.plain[token])
        return Pieces(
            first=torch.where(finishes, finished, broken),
            second=torch.where(waits, EMPTY_TEXT, second),
        )

    def added(self, pieces: Pieces) -> tuple[torch.Tensor, torch.Tensor]:
        """[n, J] letters that tokens add, and [n, K] symbols with separators; 0 for none."""
        letters, words = (
            torch.cat([self._spelt(texts, pieces.first), self._spelt(texts, pieces.second)], 1)
            for texts in (self.letters, self.words)
        )
        return letters, words

    def _spelt(self, texts: SpeltTexts, text: torch.Tensor) -> torch.Tensor:
        length = texts.length[text]
        longest = int(length.max()) if len(length) else 0
        steps = torch.arange(longest, device=self.device)
        place = (texts.first[text][:, None] + steps).clamp(max=len(texts.values) - 1)
        return torch.where(steps < length[:, None], texts.values[place], 0)

    def _push_letters(self, window: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        return self._push(window, self.letters, self.letters.first[text], self.letters.length[text])

    def _push_words(self, window: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        # Runs of separators count once.
        repeats = self.words.opens_with_sep[text] & (window[:, 0] == SEP_VALUE)
        skip = repeats.long()
        return self._push(
            window, self.words, self.words.first[text] + skip, self.words.length[text] - skip
        )

    def _push(
        self, window: torch.Tensor, texts: SpeltTexts, first: torch.Tensor, length: torch.Tensor
    ) -> torch.Tensor:
        """[B, width] the window moved on by ``length`` symbols from ``texts``, at ``first``."""
        width = window.shape[1]
        back = self._steps[:width] - length[:, None]
        kept = window.gather(1, back.clamp(min=0))
        # `back` is -1 for the first symbol of the text, and less for later ones.
        added = texts.values[first[:, None] - 1 - back.clamp(max=-1)]
        return torch.where(back >= 0, kept, added)

    def pending_after(self, pending: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        """What is pending after tokens; shapes as of ``pieces``."""
        missing = pending >> MISSING_SHIFT & 3
        lead = self.lead[token]
        extends = (pending > 0) & (lead < missing) & self._all_lead[token]
        bits = (pending & _BITS_MASK) << 6 * lead | self._lead_bits[token, lead.clamp(max=3)]
        longer = bits | (missing - lead) << MISSING_SHIFT | pending >> EXTRA_SHIFT << EXTRA_SHIFT
        after = torch.where(extends, longer, self.tail[token])
        return torch.where(self._is_empty[token], pending, after)

    def _end_of(self, text: Sequence[int]) -> bytes:
        """The bytes that a text ends with, as far back as a phrase can have begun."""
        ends: list[bytes] = []
        letters = 0
        known = len(self.vocabulary.data)
        for token in reversed(text):
            if token >= known:
                ends.append(SPECIAL)
                continue
            ends.append(self.vocabulary.data[token])
            letters += self._letter_counts[token]
            if letters >= ENOUGH_LETTERS_READ:
                break
        return b"".join(reversed(ends))

    def _state_of(self, data: bytes) -> npt.NDArray[np.int64]:
        text = fold_bytes(data)
        words = text if text[:1] == SEP else SEP + text
        state = np.zeros(STATE_WIDTH, np.int64)
        for symbols, begin, width in (
            (letters_of(text), 0, LETTERS_WIDTH),
            (words, LETTERS_WIDTH, WORDS_WIDTH),
        ):
            values = RaggedSymbols.of([symbols[-width:]]).values
            state[begin : begin + len(values)] = values[::-1]
        state[-1] = pending_after(data)
        return state


def split(state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """[B, LETTERS_WIDTH] letters, [B, WORDS_WIDTH] words and [B] pending of states."""
    return (
        state[:, :LETTERS_WIDTH],
        state[:, LETTERS_WIDTH : LETTERS_WIDTH + WORDS_WIDTH],
        state[:, -1],
    )
