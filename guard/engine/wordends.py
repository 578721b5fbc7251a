"""Where words end in the tokens of a vocabulary, and what they do to a run that goes before.

A token that adds the words u_1 … u_k to a text ends a run at each of them: the j-th ends the run of
the last words before the token and of u_1 … u_j. All but the hash of what went before is known
ahead of time, so that a look through the vocabulary is a few products and sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from guard.engine.runs import RunWindows, Words
from guard.engine.symbols import SymbolVocabulary
from guard.engine.windows import TextWindows, to_tensor
from guard.hashing import Int64Array, finish, powers
from guard.verbatim import MAX_WORDS


@dataclass(frozen=True, slots=True, eq=False)
class WordEnds:
    """Places where words end in the texts of a vocabulary, on a device.

    A text's k-th word is the k-th of what it adds to a run; the first may continue the word that a
    row ends with.

    Attributes:
        text: [E] index of the text.
        place: [E] how many words of the text end up to here, this one included.
        first: [E] unfinished hash of the text's first word.
        factor: [E] the base to the power of that word's length.
        whole: [E] that word's hash, where it continues none.
        rest: [E] hash of the run of the words after the first.
        alone: by length of run, [E] hash of the last words of the text up to here, where there are
            more than so many, else 0.
    """

    text: torch.Tensor
    place: torch.Tensor
    first: torch.Tensor
    factor: torch.Tensor
    whole: torch.Tensor
    rest: torch.Tensor
    alone: dict[int, torch.Tensor]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.text)

    def at(self, places: torch.Tensor) -> WordEnds:
        """Some of them."""
        return WordEnds(
            self.text[places], self.place[places], self.first[places], self.factor[places],
            self.whole[places], self.rest[places],
            {length: hashes[places] for length, hashes in self.alone.items()},
        )  # fmt: skip


class RunVocabulary:
    """A vocabulary's texts as the ends of runs, on one device; shared by all bundles.

    Attributes:
        windows, runs: read tokens.
        joins: [T] bool, whether a text continues an open word.
        leaves_open: [T] bool, whether its last word may go on after it.
        most_words: words that a text has at most.
        first_end: [T + 1] where each text's ends begin in ``ends``.
        first_token: [T + 1] where its tokens begin in ``tokens``, as they read after no unfinished
            code point.
    """

    def __init__(self, vocabulary: SymbolVocabulary, windows: TextWindows) -> None:
        self.windows = windows
        self._words = words = Words(vocabulary)
        self.runs = RunWindows(vocabulary, words, windows)
        device = windows.device
        n_texts = len(words.joins)
        self.joins = to_tensor(words.joins, device)
        self.leaves_open = to_tensor(words.leaves_open, device)
        self.most_words = int(words.counts.max(initial=0))
        self.first_end = to_tensor(words.offset, device)
        plain = vocabulary.plain[:-1].astype(np.int64)
        order = np.argsort(plain, kind="stable")
        self.tokens = to_tensor(order, device)
        first_token = np.searchsorted(plain[order], np.arange(n_texts + 1))
        self.first_token = to_tensor(first_token, device)
        # Texts of code points alone are no tokens'.
        self._spelt: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.diff(first_token) > 0

    def ends(self, lengths: set[int]) -> WordEnds:
        """All ends, by text, for runs of these lengths."""
        words = self._words
        counts = words.counts
        text = np.repeat(np.arange(len(counts)), counts)
        begin = words.offset[text]
        place = np.arange(len(text)) - begin + 1
        whole = finish(words.hashes)
        rest = _run_hashes(whole, np.minimum(place - 1, MAX_WORDS))
        alone = {
            length: np.where(place > length, _run_hashes(whole, np.full(len(place), length)), 0)
            for length in lengths
        }
        device = self.windows.device
        return WordEnds(
            to_tensor(text, device), to_tensor(place, device),
            to_tensor(words.hashes[begin], device), to_tensor(words.factors[begin], device),
            to_tensor(whole[begin], device), to_tensor(rest, device),
            {length: to_tensor(hashes, device) for length, hashes in alone.items()},
        )  # fmt: skip

    def places(self) -> Iterator[tuple[bool, int, torch.Tensor]]:
        """The ends in texts that tokens have, by kind: joins, place, [m] index of the end."""
        counts = self._words.counts
        text = np.repeat(np.arange(len(counts)), counts)
        place = np.arange(len(text)) - self._words.offset[text] + 1
        for joins in (True, False):
            kind = self._spelt[text] & (self._words.joins[text] == joins)
            for each in np.unique(place[kind]).tolist():
                chosen = np.flatnonzero(kind & (place == each))
                yield joins, each, to_tensor(chosen, self.windows.device)


def _run_hashes(words: Int64Array, count: Int64Array) -> Int64Array:
    """[W] hash of the run of the last ``count`` words up to each; may reach into other texts."""
    total = np.zeros(len(words), np.int64)
    scale = powers(MAX_WORDS + 2)
    at = np.arange(len(words))
    for back in range(int(count.max(initial=0))):
        within = back < count
        total += np.where(within, words[np.maximum(at - back, 0)] * scale[back], 0)
    return total


def members_of(
    first: torch.Tensor, members: torch.Tensor | None, group: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The members of some groups, one after another.

    Args:
        first: [G + 1] where each group begins in ``members``.
        members: None where they are their own places.

    Returns:
        [m] index into ``group``, [m] the member.
    """
    begin = first[group]
    count = first[group + 1] - begin
    at = torch.repeat_interleave(torch.arange(len(group), device=group.device), count)
    place = begin[at] + torch.arange(len(at), device=group.device) - (count.cumsum(0) - count)[at]
    return at, place if members is None else members[place]
