"""Words that a text misspells, read as those of the policy that they are near.

"The auhor Mirele Quay" names nobody, and a sentence encoder makes little of it. So a word that is
no common one is read as the word of an alias or an example prompt that it is near to. Two words are
near if they are the same once at most one letter of each is left out, of long ones two: a letter
too few or too many, a wrong one, two turned. Found as Garbe's SymSpell finds them, by comparing
what is left when letters are left out (https://github.com/wolfgarbe/SymSpell), so that it costs the
same however many words the policy has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise
from typing import Final

import numpy as np
from spellchecker import SpellChecker, WordFrequency

from guard.context import Span, overlapping
from guard.normalise import SEP, normalise
from guard.policy.words import is_common_word
from guard.views import View
from guard.views.view import Unit

KIND: Final = "misspelt"

# Letters of the words that others are read as; shorter ones are near too many.
LEAST: Final = 5
# Letters from which on two may be wrong.
LONG: Final = 9
_WORD: Final = re.compile(r"[^\W\d_]+")
_TOGETHER: Final = re.compile(r"[ \t\-'’]{1,3}")


class Spelling:
    """The words of a policy.

    Args:
        words: normalised, distinct; and each two that follow each other somewhere.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._known = frozenset(words)  # pairs among them
        self._words = [word for word in words if len(word) >= LEAST and SEP not in word]
        self._longest = max(map(len, self._words), default=0)
        shortened = [
            (hash(left), owner)
            for owner, word in enumerate(self._words)
            for left in _shortened(word, _most_wrong(word))
        ]
        shortened.sort()
        self._hashes = np.array([found for found, _ in shortened], np.int64)
        self._owners = np.array([owner for _, owner in shortened], np.int32)

    def respelt(self, text: str) -> View | None:
        """The text with such words put right; None if it has none.

        What is worth comparing are the sentences that hold them.
        """
        words = [_Word(match, normalise(match[0])) for match in _WORD.finditer(text)]
        near = self._near({word.said for word in words if self._is_doubtful(word.said)})
        if not near:
            return None
        chosen = self._fitting(text, words, near)
        if not chosen:
            return None
        units: list[Unit] = []
        stretches: list[Span] = []
        added = 0
        for place in sorted(chosen):
            written = words[place].match
            cased = chosen[place].capitalize() if written[0][0].isupper() else chosen[place]
            units.append(Unit(written.start(), written.end(), cased))
            start = written.start() + added
            stretches.append(Span(start, start + len(cased)))
            added += len(cased) - len(written[0])
        made, _ = View.of(text).replaced(units, KIND)
        sentences = made.sentences()
        told = (said for each in stretches for said in overlapping(sentences, each))
        return made.reading(list(dict.fromkeys(told)))

    def _is_doubtful(self, word: str) -> bool:
        return word not in self._known and SEP not in word and not _is_known(word)

    def _fitting(
        self, text: str, words: Sequence[_Word], near: Mapping[str, Sequence[str]]
    ) -> dict[int, str]:
        """By place, what a word is read as: the nearest that stands so beside what is there.

        "Aisha Hamat" is not read as "Aisha Ahmad": that other names are near is no slip. What is
        beside it may be misspelt as well, and be a word by chance: "Bail Mafouz" is "Basil
        Mahfouz". A common word says nothing, nor does what a comma or a full stop parts from it.
        """
        joined = [
            _TOGETHER.fullmatch(text, left.match.end(), right.match.start()) is not None
            for left, right in pairwise(words)
        ]
        doubtful = [place for place, word in enumerate(words) if word.said in near]
        beside = {
            place: [
                other
                for other, edge in ((place - 1, place - 1), (place + 1, place))
                if 0 <= edge < len(joined) and joined[edge] and words[other].may_be_name
            ]
            for place in doubtful
        }
        others = {words[other].said for own in beside.values() for other in own}
        all_near = {**near, **self._near({w for w in others if w not in near} - self._known)}
        chosen: dict[int, str] = {}
        for place in doubtful:
            fitting = self._fit(place, words, beside[place], all_near)
            if fitting is not None:
                own, around = fitting
                chosen.setdefault(place, own)
                for other, said in around.items():
                    chosen.setdefault(other, said)
        return chosen

    def _fit(
        self,
        place: int,
        words: Sequence[_Word],
        beside: Sequence[int],
        near: Mapping[str, Sequence[str]],
    ) -> tuple[str, dict[int, str]] | None:
        """What the word at a place is read as, and what is beside it; None if nothing fits."""
        for own in near[words[place].said]:
            if not beside:
                return own, {}
            for other in beside:
                said = words[other].said
                for each in (said, *near.get(said, ())):
                    pair = (each, own) if other < place else (own, each)
                    if SEP.join(pair) in self._known:
                        return own, {} if each == said else {other: each}
        return None

    def _near(self, words: set[str]) -> dict[str, list[str]]:
        """The words of the policy that each is near to, the nearest first; only of some."""
        tried = [
            (word, left)
            for word in sorted(words)
            if LEAST - 1 <= len(word) <= self._longest + 2
            for left in _shortened(word, 2 if len(word) >= LONG - 2 else 1)
        ]
        hashes = np.array([hash(left) for _, left in tried], np.int64)
        firsts = np.searchsorted(self._hashes, hashes, "left")
        lasts = np.searchsorted(self._hashes, hashes, "right")
        found: dict[str, set[tuple[int, bool, str]]] = {}
        for place in np.flatnonzero(firsts < lasts).tolist():
            word, left = tried[place]
            for owner in self._owners[firsts[place] : lasts[place]].tolist():
                near = self._words[owner]
                wrong = max(len(word), len(near)) - len(left)
                if wrong <= _most_wrong(near):
                    found.setdefault(word, set()).add((wrong, near[0] != word[0], near))
        return {
            word: list(dict.fromkeys(near for _, _, near in sorted(own)))
            for word, own in found.items()
        }


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of a text, and its normal form."""

    match: re.Match[str]
    said: str

    @property
    def may_be_name(self) -> bool:
        known = _is_known(self.said)
        return not known or (self.match[0][0].isupper() and not is_common_word(self.said))


def _most_wrong(word: str) -> int:
    return 2 if len(word) >= LONG else 1


def _shortened(word: str, most: int) -> Iterator[str]:
    """A word, and what is left of it without up to ``most`` letters; each once."""
    found = {word}
    for count in range(1, most + 1):
        for kept in combinations(word, len(word) - count):
            found.add("".join(kept))
    yield from found


@cache
def _lexicon() -> WordFrequency:
    """Words of English, with names that are common in it: what is none of them may be a slip."""
    return SpellChecker(language="en").word_frequency


def _is_known(word: str) -> bool:
    return word in _lexicon()
