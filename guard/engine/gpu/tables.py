"""What the kernels read: a vocabulary, and a bundle's segments, as tables on the device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from guard.engine.lexicon import RaggedSymbols, texts_for
from guard.engine.matcher import BoundSegment, Tokens
from guard.engine.segment import BEGINNING, WHOLE
from guard.engine.symbols import SEP_TEXT
from guard.engine.windows import LETTERS_WIDTH, WORDS_WIDTH
from guard.hashing import Int64Array, powers, salts
from guard.normalise import SEP

# As guard/engine/gpu/lookup.py has them; that module needs Triton.
_RECORD, _ALL_LEAD, _IS_EMPTY, _OPENS_WITH_SEP = 8, 8, 16, 1 << 30
_FIELDS = 9
_LANES, _LETTER_LANES = 128, 64


class TokenTables:
    """A vocabulary for the kernels.

    Attributes:
        records: [V + 2, 8] int32 of each token, of the empty one, and of all beyond: its text where
            nothing pends, the same without its lead bytes, flags (how many lead bytes, 8 where they
            are all, 16 where it is empty), what it leaves pending, and the bits of its first 0, 1,
            2, 3 lead bytes.
        texts: [T, 4] int32 of each text: where its letters begin and how many they are, then the
            same of its symbols with separators, 2^30 added to the number where the first is one.
        letter_values, word_values: [...] int64 symbols.
        letter_counts: [V + 2] int32 letters of each token where nothing pends.
        code_points: [0x110000] int32 text of each code point.
        lead_tokens: [L] int64 tokens that can finish or extend a pending code point.
        order: [m] int64 token ids, as segments' ranges count them.
        factors: [128] int64 powers of the base: 0 for an end without symbols, then 1, base, …; for
            letters, and again from lane 64 on for words.
        end_salts: [128] int64 salts of ends of 0, 1, 2, … symbols as beginnings of phrases.
        whole_salts: [128] int64 salts of ends of 1, 2, 3, … symbols as whole phrases.
    """

    def __init__(self, tokens: Tokens) -> None:
        vocabulary, device = tokens.windows.vocabulary, tokens.windows.device
        flags = vocabulary.lead + _ALL_LEAD * vocabulary.all_lead + _IS_EMPTY * vocabulary.is_empty
        columns = [vocabulary.plain, vocabulary.rest, flags, vocabulary.tail]
        known = np.column_stack([*columns, vocabulary.lead_bits]).astype(np.int32)
        beyond = np.zeros((1, _RECORD), np.int32)
        beyond[:, :2] = SEP_TEXT
        records = np.concatenate([known, beyond])
        assert records.shape[1] == _RECORD
        letters = RaggedSymbols.of(texts_for(vocabulary, letters_alone=True))
        words = RaggedSymbols.of(texts_for(vocabulary, letters_alone=False))
        opens = np.array([text[:1] == SEP for text in vocabulary.texts])
        texts = np.column_stack(
            [
                letters.offset[:-1],
                letters.lengths,
                words.offset[:-1],
                words.lengths + _OPENS_WITH_SEP * opens,
            ]
        )

        def on_device(array: npt.NDArray[np.integer], dtype: type[np.integer]) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(array, dtype)).to(device)

        self.records = on_device(records, np.int32)
        self.texts = on_device(texts, np.int32)
        self.letter_values = on_device(np.append(letters.values, 0), np.int64)
        self.word_values = on_device(np.append(words.values, 0), np.int64)
        self.letter_counts = on_device(np.append(letters.lengths[vocabulary.plain], 0), np.int32)
        self.code_points = torch.from_numpy(vocabulary.code_point).to(device)
        self.lead_tokens = tokens.windows.lead_tokens
        self.order = tokens.order
        self.factors = on_device(_side_by_side(_factors(), _factors()), np.int64)
        ends = [salts(_LETTER_LANES, BEGINNING[alone]) for alone in (True, False)]
        whole = [salts(_LETTER_LANES + 1, WHOLE[alone])[1:] for alone in (True, False)]
        self.end_salts = on_device(_side_by_side(*ends), np.int64)
        self.whole_salts = on_device(_side_by_side(*whole), np.int64)


def _factors() -> Int64Array:
    """[64] what the symbol before the end's first, of 0, 1, 2, … symbols, is multiplied with."""
    return np.append(np.zeros(1, np.int64), powers(_LETTER_LANES - 1))


def _side_by_side(letters: Int64Array, words: Int64Array) -> Int64Array:
    joined: Int64Array = np.concatenate([letters, words])
    assert len(joined) == _LANES >= LETTERS_WIDTH + WORDS_WIDTH
    return joined


class BundleTables:
    """A bundle's segments for the kernels.

    Attributes:
        segments: [n, 9] int64 of each segment: the addresses of its keys, directory, offsets,
            lows, highs, targets, penalties and slots, and the shift of its directory.
        count: segments.
        lowers: whether any penalty is finite.
    """

    def __init__(self, bound: Sequence[BoundSegment], device: torch.device) -> None:
        # Addresses are worth nothing without what lies there.
        self._kept = tuple(bound)
        rows = []
        for each in bound:
            here = each.tensors
            arrays = (
                here.keys.keys, here.keys.directory, here.offset, here.low, here.high,
                here.target, here.penalty, each.slots,
            )  # fmt: skip
            rows.append([*(array.data_ptr() for array in arrays), here.keys.shift])
        self.segments = torch.tensor(rows, dtype=torch.int64).reshape(-1, _FIELDS).to(device)
        self.count = len(rows)
        self.lowers = any(each.tensors.lowers for each in bound)
