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
    LOW_32,
    MAX_WORDS,
    MIDDLE,
    PROBE_SALTS,
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
# Keys whose probes are all made at once.
_FEW_KEYS: Final = 4096


class FilterTensors:
    """The filters of a bundle on a device; see ``guard.verbatim.RunFilters``.

    Attributes:
        host: the same on the host.
        target: [F] int64, index of the target of each.
        bits: [bytes] uint8 of all filters.
        first, size: [F * roles] int64 first byte, and number of bits, of each part.
    """

    def __init__(self, filters: RunFilters, device: torch.device) -> None:
        self.host = filters
        self.target = torch.from_numpy(filters.target.astype(np.int64)).to(device)
        self.bits = torch.from_numpy(filters.bits).to(device)
        # [F * roles] of each part, by filter, then by role
        self.first = torch.from_numpy(filters.first.reshape(-1)).to(device)
        self.size = torch.from_numpy(8 * filters.size.reshape(-1)).to(device)
        self._probe_salts = torch.tensor(PROBE_SALTS, dtype=torch.int64, device=device)

    def holding(self, keys: torch.Tensor, parts: torch.Tensor, probes: int) -> torch.Tensor:
        """[m] flat places in ``keys`` of those that their part of a filter holds.

        Args:
            keys: [n, k] int64.
            parts: [n, k] or [n, 1] int64, filter times the number of roles, plus role.
            probes: of that role.
        """
        first, size = self.first[parts], self.size[parts]
        (left,) = torch.nonzero(
            self._bit(place_of(keys, 0, size), first).reshape(-1), as_tuple=True
        )
        if not len(left):
            return left
        per_part = keys.shape[1] // parts.shape[1]
        flat, first, size = keys.reshape(-1), first.reshape(-1), size.reshape(-1)
        probe = 1
        while probe < probes and len(left) > _FEW_KEYS:
            part = left // per_part
            left = left[self._bit(place_of(flat[left], probe, size[part]), first[part])]
            probe += 1
        if probe < probes:
            # Of few keys all bits at once: what takes time then is the number of operations.
            part = left // per_part
            own = finish(flat[left][:, None] + self._probe_salts[probe:probes])
            place = own.bitwise_and_(LOW_32).mul_(size[part][:, None]).bitwise_right_shift_(32)
            left = left[self._bit(place, first[part][:, None]).all(dim=1)]
        return left

    def _bit(self, place: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
        byte = self.bits[first + (place >> 3)]
        return (byte >> (place & 7) & 1).bool()


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
        open: [n] unfinished hash of the word that the text ends with, 0 for none.
        word: [n] its hash, were it to end there.
        shut: [n] bool, whether it has ended, even for texts that begin with a letter.
        before: [n, MAX_WORDS + 1] hashes of the last 0, 1, 2, … words before it.
    """

    filter: torch.Tensor
    open: torch.Tensor
    word: torch.Tensor
    shut: torch.Tensor
    before: torch.Tensor

    @classmethod
    def of(
        cls, words: torch.Tensor, which: torch.Tensor, shut: torch.Tensor, scale: torch.Tensor
    ) -> _Contexts:
        """After texts.

        Args:
            words: [n, WORDS_WIDTH] as ``guard.engine.runs`` has them.
            which: [n] the filters.
            shut: [n] bool.
            scale: [MAX_WORDS] powers of the base.
        """
        before = words.new_zeros((len(words), MAX_WORDS + 1))
        torch.cumsum(words[:, 1:] * scale, 1, out=before[:, 1:])
        return cls(which, words[:, 0], finish(words[:, 0]), shut, before)

    def at(self, rows: torch.Tensor) -> _Contexts:
        """Some of them."""
        return _Contexts(
            self.filter[rows], self.open[rows], self.word[rows], self.shut[rows], self.before[rows]
        )

    def last(self, count: torch.Tensor, joins: torch.Tensor | bool) -> torch.Tensor:
        """[n, k] hashes of the last words before a text.

        Args:
            count: [n, k] int64, how many; negative ones mean nothing.
            joins: [n] bool, whether the text continues the word that stands open.
        """
        apart = (self.open != 0) & (self.shut | (not joins if isinstance(joins, bool) else ~joins))
        ended = self.word[:, None] + self.before.gather(1, (count - 1).clamp(min=0)) * BASE
        whole = self.before.gather(1, count.clamp(min=0))
        return torch.where(apart[:, None] & (count > 0), ended, whole)

    def joined(self) -> torch.Tensor:
        """[n] unfinished hash of what a joining text continues."""
        return torch.where(self.shut, 0, self.open)


class VerbatimMatcher:
    """The protected texts of one bundle, ready for one tokenizer and one device.

    Args:
        vocabulary: of the served tokenizer.
        filters: on its device.

    Attributes:
        vocabulary, filters: the same.
        length, salt: [F, roles] int64 the length of each role's runs, and what is added to their
            hashes.
        by_place: ends of words, by whether their text goes on with a word, and how many of its
            words end up to there.
        told: up to this place the runs of ``MIDDLE`` stand before the text, for every filter.
    """

    def __init__(self, vocabulary: RunVocabulary, filters: FilterTensors) -> None:
        self.vocabulary = vocabulary
        self.filters = filters
        self._windows, self._runs = vocabulary.windows, vocabulary.runs
        device = self._windows.device
        bounds = filters.host.words.astype(np.int64)
        lengths = np.array([[run_length(role, int(n)) for role in ROLES] for n in bounds])
        salts = np.array([[run_salt(int(length)) for length in row] for row in lengths], np.int64)
        self.length = torch.from_numpy(lengths).to(device)
        self.salt = torch.from_numpy(salts).to(device)
        self._shorter = torch.tensor([BEGINNING, MIDDLE] * 2, device=device)
        self._powers = torch.from_numpy(powers(MAX_WORDS + 2)).to(device)
        ends = self._ends = vocabulary.ends(set(lengths[:, FORBIDDEN].tolist()))
        self.by_place = {
            (joins, place): ends.at(chosen) for joins, place, chosen in vocabulary.places()
        }
        self.told = int((lengths[:, FORBIDDEN] - lengths[:, MIDDLE]).min(initial=MAX_WORDS))

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
        row, which = torch.nonzero(active[:, self.filters.target], as_tuple=True)
        if not len(row):
            return
        words, pending = runs[row, :WORDS_WIDTH], runs[row, WORDS_WIDTH]
        # A token that does not finish a pending code point first reads as a separator.
        waits = pending > 0
        some_wait = bool(waits.any())
        contexts = _Contexts.of(words, which, waits, self._powers[:MAX_WORDS])
        for pair, text in self._completing(contexts):
            at, token = members_of(self.vocabulary.first_token, self.vocabulary.tokens, text)
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

    def _completing(self, contexts: _Contexts) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """[m] contexts, and [m] texts of tokens that complete a run after them."""
        near = self._near(contexts)
        everyone = torch.arange(len(contexts.filter), device=contexts.filter.device)
        for (joins, place), ends in self.by_place.items():
            chosen = everyone
            if place <= self.told:
                chosen = near[joins, BEGINNING if place == 1 else MIDDLE]
            # Few at a time, so that memory stays bounded.
            step = max(1, _MOST_PAIRS // len(ends))
            for begin in range(0, len(chosen), step):
                part = chosen[begin : begin + step]
                found = self._among(contexts.at(part), ends, joins=joins, place=place)
                yield part[found // len(ends)], ends.text[found % len(ends)]

    def _near(self, contexts: _Contexts) -> dict[tuple[bool, Role], torch.Tensor]:
        """The contexts whose last words are a run that a role's filter holds.

        Returns:
            [m] for texts that join or not, and for each of the roles of shorter runs.
        """
        which = contexts.filter
        asked = [(joins, role) for joins in (True, False) for role in (BEGINNING, MIDDLE)]
        length = self.length[which, BEGINNING:]
        hashes = torch.cat([contexts.last(length, joins) for joins in (True, False)], dim=1)
        salts, parts = self.salt[which, BEGINNING:], which[:, None] * len(ROLES) + self._shorter
        # Both roles have as many probes.
        found = self.filters.holding(finish(hashes + salts.repeat(1, 2)), parts, PROBES[BEGINNING])
        if not len(found):
            return dict.fromkeys(asked, found)
        context, of = found // len(asked), found % len(asked)
        return {each: context[of == place] for place, each in enumerate(asked)}

    def _among(
        self, contexts: _Contexts, ends: WordEnds, *, joins: bool, place: int
    ) -> torch.Tensor:
        """[m] flat places, by context, of the ends that complete a run.

        Args:
            ends: E of them, all at that place in a text of that kind.
        """
        which = contexts.filter
        length = self.length[which, FORBIDDEN]
        hashes = contexts.last((length - place)[:, None], joins) * self._power(place)
        hashes = hashes + self.salt[which, FORBIDDEN][:, None]
        word = ends.whole
        if joins:
            word = finish(contexts.joined()[:, None] * ends.factor + ends.first)
        if place > 1:
            word = word * self._power(place - 1) + ends.rest
        hashes = hashes + word
        for shorter, alone in ends.alone.items():
            if shorter < place:
                salt = self.salt[which, FORBIDDEN][:, None]
                hashes = torch.where((length == shorter)[:, None], alone + salt, hashes)
        parts = (which * len(ROLES) + FORBIDDEN)[:, None]
        return self.filters.holding(finish(hashes), parts, PROBES[FORBIDDEN])

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
            going_on = self.vocabulary.joins[pieces.second]
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
        first = self.vocabulary.first_end
        at, end = members_of(first, None, text)
        text, ends = text[at], self._ends.at(end)
        whole_word = ~self.vocabulary.leaves_open[text] | (end + 1 < first[text + 1])
        counts = whole_word | ~going_on[at]
        at, text, ends = at[counts], text[counts], ends.at(counts)
        which = which[at]
        shut = torch.zeros_like(counts[counts])
        contexts = _Contexts.of(words[at], which, shut, self._powers[:MAX_WORDS])
        length, joins = self.length[which, FORBIDDEN], self.vocabulary.joins[text]
        before = contexts.last((length - ends.place)[:, None], joins)[:, 0]
        word = finish(torch.where(joins, contexts.open, 0) * ends.factor + ends.first)
        last = len(self._powers) - 1
        hashes = before * self._powers[ends.place.clamp(max=last)] + ends.rest
        hashes = hashes + word * self._powers[(ends.place - 1).clamp(max=last)]
        for shorter, alone in ends.alone.items():
            hashes = torch.where((length == shorter) & (ends.place > shorter), alone, hashes)
        keys = finish(hashes + self.salt[which, FORBIDDEN])[:, None]
        parts = (which * len(ROLES) + FORBIDDEN)[:, None]
        return at[self.filters.holding(keys, parts, PROBES[FORBIDDEN])]
