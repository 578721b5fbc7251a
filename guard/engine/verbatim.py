"""Keeps answers from repeating a protected text: bans tokens that complete a run of its words.

With a bound of N words, no token may end a word that is the last of N + 1 words in a row of the
corpus (see guard/verbatim.py). A token that ends with the word's last letter counts, since the
answer may end there. Words begun in the prompt count as any others.

Most texts are far from any such run, and a look at their last words tells: unless the N words
before the next one are the corpus's, no word of a token can complete a run, and of the few tokens
that hold several words hardly any. Only for the other rows is the vocabulary looked through.

The readable form, for CPUs and as the measure of faster ones: it asks the device how many rows and
tokens are left after each look.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from guard.engine.runs import WORDS_WIDTH
from guard.engine.wordends import RunVocabulary, WordEnds, members_of
from guard.hashing import BASE, finish, powers
from guard.verbatim import (
    BEGINNING,
    FORBIDDEN,
    MAX_WORDS,
    MIDDLE,
    PROBES,
    ROLES,
    Role,
    RunFilters,
    place_of,
    run_length,
    run_salt,
)

# Pairs of a row and a word's end that are looked at together, to bound memory.
_MOST_PAIRS: Final = 1 << 22


class FilterTensors:
    """The filters of a bundle on a device; see ``guard.verbatim.RunFilters``."""

    def __init__(self, filters: RunFilters, device: torch.device) -> None:
        self.host = filters
        self.bits = torch.from_numpy(filters.bits).to(device)
        self.first = torch.from_numpy(filters.first).to(device)
        self.size = torch.from_numpy(filters.size).to(device)
        self.target = torch.from_numpy(filters.target.astype(np.int64)).to(device)

    def holding(self, keys: torch.Tensor, of: torch.Tensor, role: Role) -> torch.Tensor:
        """[m] flat places in ``keys`` of those that a filter holds.

        Args:
            keys: [n, k] int64.
            of: [n] int64, which of the filters is asked for each row of keys.
        """
        per_row = keys.shape[1]
        first, size = self.first[of, role], 8 * self.size[of, role]
        hit = self._bit(place_of(keys, 0, size[:, None]), first[:, None])
        (left,) = torch.nonzero(hit.reshape(-1), as_tuple=True)
        flat = keys.reshape(-1)
        for probe in range(1, PROBES[role]):
            if not len(left):
                break
            row = left // per_row
            left = left[self._bit(place_of(flat[left], probe, size[row]), first[row])]
        return left

    def _bit(self, place: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
        byte = self.bits[first + (place >> 3)].long()
        return byte >> (place & 7) & 1 == 1


def filters_of(
    filters: RunFilters, device: torch.device, previous: FilterTensors | None
) -> FilterTensors | None:
    """The filters on a device, those of the previous bundle where they are the same; None for none.

    Filters are large, and most edits of a policy leave them as they are.
    """
    if not len(filters):
        return None
    if previous is not None and previous.host.same_as(filters):
        return previous
    return FilterTensors(filters, device)


@dataclass(frozen=True, slots=True, eq=False)
class _Contexts:
    """What stands before the next word: [n] of them.

    Attributes:
        filter: [n] which filter is asked.
        open: [n] unfinished hash of the word that a joining text continues, 0 for none.
        joined: [n, MAX_WORDS + 1] hashes of the last 0, 1, 2, … words before that word.
        apart: [n, MAX_WORDS + 1] the same where a text begins with a separator.
    """

    filter: torch.Tensor
    open: torch.Tensor
    joined: torch.Tensor
    apart: torch.Tensor

    def at(self, rows: torch.Tensor) -> _Contexts:
        return _Contexts(self.filter[rows], self.open[rows], self.joined[rows], self.apart[rows])


class VerbatimMatcher:
    """The protected texts of one bundle, ready for one tokenizer and one device."""

    def __init__(self, vocabulary: RunVocabulary, filters: FilterTensors) -> None:
        self._vocabulary = vocabulary
        self._filters = filters
        self._windows, self._runs = vocabulary.windows, vocabulary.runs
        device = self._windows.device
        bounds = filters.host.words.astype(np.int64)
        # [F] by role, the length of its runs, and what is added to their hashes
        lengths = np.array([[run_length(role, int(n)) for role in ROLES] for n in bounds])
        self._length = torch.from_numpy(lengths).to(device)
        salts = np.array([[run_salt(int(length)) for length in row] for row in lengths], np.int64)
        self._salt = torch.from_numpy(salts).to(device)
        self._powers = torch.from_numpy(powers(MAX_WORDS + 2)).to(device)
        ends = self._ends = vocabulary.ends(set(lengths[:, FORBIDDEN].tolist()))
        # By how the text begins and how many of its words end up to there.
        self._by_place = {
            (joins, place): ends.at(chosen) for joins, place, chosen in vocabulary.places()
        }
        # Up to this place the runs of `MIDDLE` stand before the text, for every filter.
        self._told = int((lengths[:, FORBIDDEN] - lengths[:, MIDDLE]).min(initial=MAX_WORDS))

    def penalise(
        self,
        logits: torch.Tensor,
        rows: torch.Tensor,
        runs: torch.Tensor,
        active: torch.Tensor,
    ) -> None:
        """Ban every token that would complete a run which an active target forbids.

        Args:
            logits: [N, V] float32, changed in place.
            rows: [B] int64, the rows of ``logits`` to guard, each at most once.
            runs: [B, RUNS_WIDTH] int64, after the text so far.
            active: [B, n_targets] bool.
        """
        row, which = torch.nonzero(active[:, self._filters.target], as_tuple=True)
        if not len(row):
            return
        words, pending = runs[row, :WORDS_WIDTH], runs[row, WORDS_WIDTH]
        contexts = self._contexts(words, which)
        waits = pending > 0
        some_wait = bool(waits.any())
        if some_wait:
            # A token that does not finish a pending code point first reads as a separator.
            contexts = _Contexts(
                which,
                torch.where(waits, 0, contexts.open),
                torch.where(waits[:, None], contexts.apart, contexts.joined),
                contexts.apart,
            )
        for pair, text in self._completing(contexts):
            at, token = members_of(self._vocabulary.first_token, self._vocabulary.tokens, text)
            pair = pair[at]
            if some_wait:
                # Tokens that may finish it are judged one by one.
                rest = ~(waits[pair] & (self._windows.lead[token] > 0))
                pair, token = pair[rest], token[rest]
            logits[rows[row[pair]], token] = float("-inf")
        if some_wait:
            (waiting,) = torch.nonzero(waits, as_tuple=True)
            at, token = self._finishing(words[waiting], pending[waiting], which[waiting])
            logits[rows[row[waiting[at]]], token] = float("-inf")

    def _contexts(self, words: torch.Tensor, which: torch.Tensor) -> _Contexts:
        open_word = words[:, 0]
        joined = torch.zeros((len(words), MAX_WORDS + 1), dtype=torch.int64, device=words.device)
        torch.cumsum(words[:, 1:] * self._powers[:MAX_WORDS], 1, out=joined[:, 1:])
        closed = joined.clone()
        closed[:, 1:] = finish(open_word)[:, None] + joined[:, :-1] * BASE
        apart = torch.where((open_word != 0)[:, None], closed, joined)
        return _Contexts(which, open_word, joined, apart)

    def _completing(self, contexts: _Contexts) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """[m] contexts, and [m] texts of tokens that complete a run after them."""
        everyone = torch.arange(len(contexts.filter), device=contexts.filter.device)
        for joins, before in ((True, contexts.joined), (False, contexts.apart)):
            near: dict[Role, torch.Tensor] = {}
            for place in range(1, self._vocabulary.most_words + 1):
                ends = self._by_place.get((joins, place))
                if ends is None:
                    continue
                chosen = everyone
                if place <= self._told:
                    role = BEGINNING if place == 1 else MIDDLE
                    if role not in near:
                        near[role] = self._near(contexts.filter, before, role)
                    chosen = near[role]
                # Few at a time, so that memory stays bounded.
                step = max(1, _MOST_PAIRS // len(ends))
                for begin in range(0, len(chosen), step):
                    part = chosen[begin : begin + step]
                    found = self._among(contexts.at(part), ends, joins=joins, place=place)
                    yield part[found // len(ends)], ends.text[found % len(ends)]

    def _near(self, which: torch.Tensor, before: torch.Tensor, role: Role) -> torch.Tensor:
        """[m] the contexts whose last words are a run that the role's filter holds."""
        hashes = before.gather(1, self._length[which, role][:, None])
        keys = finish(hashes + self._salt[which, role][:, None])
        return self._filters.holding(keys, which, role)

    def _among(
        self, contexts: _Contexts, ends: WordEnds, *, joins: bool, place: int
    ) -> torch.Tensor:
        """[m] flat places, by context, of the ends that complete a run.

        Args:
            ends: E of them, all at that place in a text of that kind.
        """
        which = contexts.filter
        length, salt = self._length[which, FORBIDDEN], self._salt[which, FORBIDDEN][:, None]
        before = contexts.joined if joins else contexts.apart
        before = before.gather(1, (length - place).clamp(min=0)[:, None])
        word = finish(contexts.open[:, None] * ends.factor + ends.first if joins else ends.first)
        hashes = (before * self._power(place) + ends.rest) + word * self._power(place - 1)
        for shorter, alone in ends.alone.items():
            if shorter < place:
                hashes = torch.where((length == shorter)[:, None], alone, hashes)
        return self._filters.holding(finish(hashes + salt), which, FORBIDDEN)

    def _power(self, exponent: int) -> torch.Tensor:
        # Beyond the longest run, hashes are those of the text's own words, and this counts nothing.
        return self._powers[min(exponent, len(self._powers) - 1)]

    def _finishing(
        self, words: torch.Tensor, pending: torch.Tensor, which: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What is banned of the tokens that can finish the pending code points of ``w`` rows.

        Returns:
            [m] index of the row, [m] token.
        """
        tokens = self._windows.lead_tokens
        rows, found = [], []
        everyone = torch.arange(len(which), device=which.device)
        step = max(1, _MOST_PAIRS // (MAX_WORDS * max(1, len(tokens))))
        for begin in range(0, len(which), step):
            part = everyone[begin : begin + step]
            row, token = part.repeat_interleave(len(tokens)), tokens.repeat(len(part))
            pieces = self._windows.pieces(pending[row], token)
            before = words[row]
            going_on = self._vocabulary.joins[pieces.second]
            bans = [
                self._ending(before, which[row], pieces.first, going_on),
                self._ending(
                    self._runs.push(before, pieces.first),
                    which[row],
                    pieces.second,
                    torch.zeros_like(going_on),
                ),
            ]
            banned = torch.cat(bans)
            rows.append(row[banned])
            found.append(token[banned])
        return torch.cat(rows), torch.cat(found)

    def _ending(
        self, words: torch.Tensor, which: torch.Tensor, text: torch.Tensor, going_on: torch.Tensor
    ) -> torch.Tensor:
        """[m] those of ``n`` texts that complete a run, each after a context of its own.

        Args:
            going_on: [n] bool, whether the last word goes on after the text.
        """
        first = self._vocabulary.first_end
        at, end = members_of(first, None, text)
        text, ends = text[at], self._ends.at(end)
        whole_word = ~self._vocabulary.leaves_open[text] | (end + 1 < first[text + 1])
        counts = whole_word | ~going_on[at]
        at, text, ends = at[counts], text[counts], ends.at(counts)
        contexts, which = self._contexts(words[at], which[at]), which[at]
        length, joins = self._length[which, FORBIDDEN], self._vocabulary.joins[text]
        before = torch.where(joins[:, None], contexts.joined, contexts.apart)
        before = before.gather(1, (length - ends.place).clamp(min=0)[:, None])[:, 0]
        word = finish(torch.where(joins, contexts.open, 0) * ends.factor + ends.first)
        last = len(self._powers) - 1
        hashes = before * self._powers[ends.place.clamp(max=last)] + ends.rest
        hashes = hashes + word * self._powers[(ends.place - 1).clamp(max=last)]
        for shorter, alone in ends.alone.items():
            hashes = torch.where((length == shorter) & (ends.place > shorter), alone, hashes)
        keys = finish(hashes + self._salt[which, FORBIDDEN])
        return at[self._filters.holding(keys[:, None], which, FORBIDDEN)]
