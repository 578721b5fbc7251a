"""The matching core: penalises the tokens that would complete a phrase, whole batches at a time.

Both vLLM adapters use it. Shapes are those of the rows that are handed in (``B``), never of the
whole batch. This is the readable form, for CPUs and as the measure of faster ones: it asks the
device how many entries there are, which a GPU would have to wait for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from guard.engine.boundary import WordBoundaries
from guard.engine.keytable import KeyTensors
from guard.engine.lexicon import Lexicon, build_lexicon
from guard.engine.runs import RunWindows
from guard.engine.segment import BEGINNING, WHOLE, Segment
from guard.engine.steer import Steering
from guard.engine.symbols import SymbolVocabulary
from guard.engine.windows import (
    LETTERS_WIDTH,
    SEP_VALUE,
    WORDS_WIDTH,
    TextWindows,
    split,
    to_tensor,
)
from guard.engine.wordends import RunVocabulary
from guard.hashing import finish, powers, salts


class Tokens:
    """A vocabulary as the sampler needs it, on one device; shared by all bundles.

    Attributes:
        letters, words: the vocabulary sorted for both ways of matching.
        order: [m] token ids, as segments' ranges count them.
        steering: finds what leads further into a phrase.
        windows: reads tokens into states.
        boundaries: keeps words apart.
    """

    def __init__(self, vocabulary: SymbolVocabulary, device: torch.device) -> None:
        self._vocabulary = vocabulary
        self._word_ends: RunVocabulary | None = None
        self.letters: Lexicon = build_lexicon(vocabulary, letters_alone=True)
        self.words: Lexicon = build_lexicon(vocabulary, letters_alone=False)
        self.steering = Steering(vocabulary, self.letters, self.words)
        self.windows = TextWindows(vocabulary, device)
        self.boundaries = WordBoundaries(self.windows)
        self.order = torch.cat(
            [to_tensor(self.letters.order, device), to_tensor(self.words.order, device)]
        )

    @property
    def runs(self) -> RunWindows | None:
        """Reads tokens as words; None until a protected text asks for it."""
        return self._word_ends.runs if self._word_ends else None

    def word_ends(self) -> RunVocabulary:
        """The vocabulary as ends of words, for protected texts; made when first asked for."""
        if self._word_ends is None:
            self._word_ends = RunVocabulary(self._vocabulary, self.windows)
        return self._word_ends


@dataclass(frozen=True, slots=True)
class _Bans:
    """What was found: tokens to penalise, a token perhaps more than once."""

    row: torch.Tensor  # [m] index into the rows handed in
    token: torch.Tensor  # [m]
    penalty: torch.Tensor  # [m]


class SegmentTensors:
    """A segment on a device; see ``guard.engine.segment.Segment``.

    Attributes:
        lowers: whether any penalty is finite; known without asking the device.
    """

    def __init__(self, segment: Segment, device: torch.device) -> None:
        self.keys = KeyTensors(segment.table, device)
        self.offset = torch.from_numpy(segment.offset).to(device)
        self.low = torch.from_numpy(segment.low).to(device)
        self.high = torch.from_numpy(segment.high).to(device)
        self.target = torch.from_numpy(segment.target).to(device)
        self.penalty = torch.from_numpy(segment.penalty).to(device)
        self.lowers = bool(np.isfinite(segment.penalty).any())


@dataclass(frozen=True, slots=True, eq=False)
class BoundSegment:
    """A segment as one bundle uses it.

    Attributes:
        slots: [n] int64 index of each of the segment's targets among the bundle's, -1 for none.
    """

    tensors: SegmentTensors
    slots: torch.Tensor

    def entries(
        self, keys: torch.Tensor, active: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Entries of the keys that are here, of active targets.

        Args:
            keys: [B, K] int64.
            active: [B, n_targets] bool.

        Returns:
            [m] row, [m] entry.
        """
        here = self.tensors
        flat, place = here.keys.find(keys)
        first = here.offset[place]
        which, entry = _spread(first, here.offset[place + 1] - first)
        row, slot = flat[which] // keys.shape[1], self.slots[here.target[entry].long()]
        holds = (slot >= 0) & active[row, slot.clamp(min=0)]
        return row[holds], entry[holds]


class PhraseMatcher:
    """Phrases of one bundle, ready for one tokenizer and one device.

    Args:
        tokens: of the served tokenizer.
        segments: compiled for it, and bound to the bundle.

    Attributes:
        segments: the same.
    """

    def __init__(self, tokens: Tokens, segments: Sequence[BoundSegment]) -> None:
        self.windows = tokens.windows
        self.segments = segments
        self._order = tokens.order
        device = tokens.windows.device
        self._ends = EndKeys(
            ((LETTERS_WIDTH, BEGINNING[True]), (WORDS_WIDTH, BEGINNING[False])), device
        )
        self._whole_letters = EndKeys(((LETTERS_WIDTH + 1, WHOLE[True]),), device)
        self._whole_words = EndKeys(((WORDS_WIDTH + 1, WHOLE[False]),), device)

    def penalise(
        self,
        logits: torch.Tensor,
        rows: torch.Tensor,
        state: torch.Tensor,
        active: torch.Tensor,
    ) -> None:
        """Lower the logits of every token that would complete a phrase of an active target.

        Where several phrases would be completed, the strongest penalty holds.

        Args:
            logits: [N, V] float32, changed in place; the logits of a row side by side.
            rows: [B] int64, the rows of ``logits`` to guard, each at most once.
            state: [B, STATE_WIDTH] int64, after the text so far.
            active: [B, n_slots] bool.
        """
        if not len(rows):
            return
        text, waits = state[:, :-1], state[:, -1] > 0
        some_wait = bool(waits.any())
        if some_wait:
            # A token that does not finish a pending code point first reads as a separator.
            text = torch.where(waits[:, None], self.windows.broken(state)[:, :-1], text)
        keys = self._ends(text)
        bans = _joined(self._beginnings(keys, active))
        if some_wait:
            # Tokens that may finish it are judged one by one.
            rest = ~(waits[bans.row] & (self.windows.lead[bans.token] > 0))
            bans = _Bans(bans.row[rest], bans.token[rest], bans.penalty[rest])
            (waiting,) = torch.nonzero(waits, as_tuple=True)
            finishing = _joined(self._finishing(state[waiting], active[waiting]))
            _apply(logits, rows[waiting], finishing)
        _apply(logits, rows, bans)

    def _beginnings(self, keys: torch.Tensor, active: torch.Tensor) -> Iterator[_Bans]:
        """What the ends of the texts forbid."""
        for segment in self.segments:
            row, entry = segment.entries(keys, active)
            low, high = segment.tensors.low[entry].long(), segment.tensors.high[entry].long()
            which, place = _spread(low, high - low)
            yield _Bans(row[which], self._order[place], segment.tensors.penalty[entry[which]])

    def _finishing(self, state: torch.Tensor, active: torch.Tensor) -> Iterator[_Bans]:
        """What is forbidden of the tokens that can finish the pending code points of ``state``."""
        tokens = self.windows.lead_tokens
        n_rows, n_tokens = len(state), len(tokens)
        letters, words, pending = split(state.repeat_interleave(n_tokens, dim=0))
        pieces = self.windows.pieces(pending, tokens.repeat(n_rows))
        by_letters, by_words = self.windows.added(pieces)
        keys = torch.cat(
            [
                self._after(letters, by_letters, self._whole_letters, letters_alone=True),
                self._after(words, by_words, self._whole_words, letters_alone=False),
            ],
            dim=1,
        )
        of_pair = active.repeat_interleave(n_tokens, dim=0)
        for segment in self.segments:
            pair, entry = segment.entries(keys, of_pair)
            yield _Bans(pair // n_tokens, tokens[pair % n_tokens], segment.tensors.penalty[entry])

    def _after(
        self, window: torch.Tensor, added: torch.Tensor, keys_of: EndKeys, *, letters_alone: bool
    ) -> torch.Tensor:
        """[n, J * width] keys of all ends of a text, at each place where a phrase may end.

        Args:
            window: [n, width - 1] what the text ends with.
            added: [n, J] symbols that a token adds, 0 where there is none.
        """
        keys = [keys_of.none(len(added))]
        for place in range(added.shape[1]):
            symbol = added[:, place, None]
            is_sep = symbol == SEP_VALUE
            skip = (symbol == 0) | (is_sep & (window[:, :1] == SEP_VALUE))
            longer = torch.cat([symbol, window], dim=1)
            following = _first_of(added[:, place + 1 :])
            ends_word = (following == 0) | (following == SEP_VALUE)
            here = ~skip & ~is_sep & (letters_alone | ends_word[:, None])
            keys.append(torch.where(here, keys_of(longer), -1))
            window = torch.where(skip, window, longer[:, :-1])
        return torch.cat(keys, dim=1)


class EndKeys:
    """Keys of all ends of windows, the empty ends included.

    Args:
        windows: width and salt of each of the windows that lie side by side.
    """

    def __init__(self, windows: Sequence[tuple[int, int]], device: torch.device) -> None:
        factors = np.concatenate([powers(width) for width, _ in windows])
        salted = np.concatenate([salts(width + 1, salt) for width, salt in windows])
        self._factors = torch.from_numpy(factors).to(device)
        self._salts = torch.from_numpy(salted).to(device)
        ends = np.cumsum([width for width, _ in windows]).tolist()
        self._parts = list(zip([0, *ends], ends, strict=False))

    def __call__(self, text: torch.Tensor) -> torch.Tensor:
        """[B, total width + number of windows] keys of the last 0, 1, 2, … symbols of each window.

        An end that reaches beyond the beginning of the text has a key that no string has.

        Args:
            text: [B, total width] int64, the latest symbol of each window first.
        """
        terms = text * self._factors
        keys = torch.zeros((len(text), len(self._salts)), dtype=torch.int64, device=text.device)
        for place, (begin, end) in enumerate(self._parts):
            torch.cumsum(terms[:, begin:end], 1, out=keys[:, begin + place + 1 : end + place + 1])
        return finish(keys + self._salts)

    def none(self, rows: int) -> torch.Tensor:
        """[rows, 0] no keys."""
        return torch.zeros((rows, 0), dtype=torch.int64, device=self._salts.device)


def _first_of(added: torch.Tensor) -> torch.Tensor:
    """[n] the first symbol that is not absent, 0 if all are."""
    if not added.shape[1]:
        return torch.zeros(len(added), dtype=torch.int64, device=added.device)
    place = (added != 0).int().argmax(dim=1, keepdim=True)
    return added.gather(1, place).squeeze(1)


def _spread(first: torch.Tensor, count: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The members of [n] ranges, one after another: [m] index of the range, [m] the member."""
    which = torch.repeat_interleave(torch.arange(len(first), device=first.device), count)
    before = torch.cumsum(count, 0) - count
    steps = torch.arange(len(which), device=first.device) - before[which]
    return which, first[which] + steps


def _joined(parts: Iterable[_Bans]) -> _Bans:
    found = list(parts)
    if len(found) == 1:
        return found[0]
    return _Bans(
        torch.cat([bans.row for bans in found]),
        torch.cat([bans.token for bans in found]),
        torch.cat([bans.penalty for bans in found]),
    )


def flat(logits: torch.Tensor) -> torch.Tensor:
    """Rows of logits, and what may lie between them, in one dimension."""
    rows, width = logits.shape
    return logits.as_strided(((rows - 1) * logits.stride(0) + width,), (1,))


def _apply(logits: torch.Tensor, rows: torch.Tensor, bans: _Bans) -> None:
    """Add penalties, the strongest where a token has several."""
    place = rows[bans.row] * logits.stride(0) + bans.token
    values = flat(logits)
    values.scatter_reduce_(0, place, values[place] + bans.penalty, "amin")
