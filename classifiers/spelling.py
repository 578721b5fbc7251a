"""Words that a text misspells, read as those of the policy that they are near.

"The auhor Mirele Quay" names nobody, and a sentence encoder makes little of it. So a word that is
none of English is read as the word of an alias or an example prompt that it is near to. Two are
near if they are the same once at most one letter of each is left out, of long ones two: a letter
too few or too many, a wrong one, two turned. Found as Garbe's SymSpell finds them, by comparing
what is left when letters are left out (https://github.com/wolfgarbe/SymSpell), so that it costs the
same however many words the policy has. A word without its last two letters is known as well,
one without its vowels, and one whose inner letters stand in another order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from guard.context import Span, overlapping
from guard.lexicon import is_word
from guard.normalise import SEP, normalise
from guard.policy.words import is_common_word
from guard.views import View
from guard.views.view import Unit, codes_of

KIND: Final = "misspelt"

# Letters of the words that others are read as; shorter ones are near too many.
LEAST: Final = 5
# Letters from which on two may be wrong.
LONG: Final = 9
# Letters of the longest that are looked at.
_MOST: Final = 40
# As far off as a long word with two wrong.
_SCRAMBLED: Final = 2
# Letters of the shortest that is known without its vowels.
_CONSONANTS: Final = 3
_VOWELS: Final = re.compile("[aeiou]")
# By place; the last ones only stand for places before the first, which no letter takes.
_FACTORS: Final = np.random.default_rng(0).integers(1, 1 << 63, _MOST + 2, np.uint64)
_WORD: Final = re.compile(r"[^\W\d_]+")
_TOGETHER: Final = re.compile(r"[ \t\-'’]{1,3}")


class Spelling:
    """The words of a policy.

    Args:
        words: normalised, distinct; and each two that follow each other somewhere.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._known = frozenset(words)  # pairs among them
        self._words = [word for word in words if LEAST <= len(word) <= _MOST and SEP not in word]
        hashes, owners, _ = _shortened(self._words, LONG)
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._owners = hashes[order], owners[order]
        self._abbreviated: dict[str, list[str]] = {}
        self._scrambled: dict[str, list[str]] = {}
        for word in self._words:
            self._scrambled.setdefault(_unordered(word), []).append(word)
            for short in {_consonants(word), word[:-2] if len(word) > LEAST else word} - {word}:
                self._abbreviated.setdefault(short, []).append(word)

    def respelt(self, text: str) -> View | None:
        """The text with such words put right; None if it has none.

        What is worth comparing are the sentences that hold them.
        """
        matches = list(_WORD.finditer(text))
        said = {written: normalise(written) for written in {match[0] for match in matches}}
        words = [_Word(match, said[match[0]]) for match in matches]
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
        return word not in self._known and SEP not in word and not is_word(word)

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
        asked = sorted(word for word in words if LEAST - 1 <= len(word) <= _MOST)
        hashes, owners, lengths = _shortened(asked, LONG - 2)
        firsts = np.searchsorted(self._hashes, hashes, "left")
        lasts = np.searchsorted(self._hashes, hashes, "right")
        found: dict[str, set[tuple[int, bool, str]]] = {}
        for place in np.flatnonzero(firsts < lasts).tolist():
            word, left = asked[owners[place]], int(lengths[place])
            for owner in self._owners[firsts[place] : lasts[place]].tolist():
                near = self._words[owner]
                wrong = max(len(word), len(near)) - left
                if wrong <= (2 if len(near) >= LONG else 1):
                    found.setdefault(word, set()).add((wrong, near[0] != word[0], near))
        for word in words:
            for near in self._scrambled.get(_unordered(word), ()):
                found.setdefault(word, set()).add((_SCRAMBLED, False, near))
            for near in self._of_abbreviation(word):
                found.setdefault(word, set()).add((_MOST, False, near))
        return {
            word: list(dict.fromkeys(near for _, _, near in sorted(own)))
            for word, own in found.items()
        }

    def _of_abbreviation(self, word: str) -> Iterator[str]:
        """The words that this is without its last two letters, or without vowels."""
        if len(word) >= LEAST - 1:
            yield from (near for near in self._abbreviated.get(word, ()) if near[:-2] == word)
        short = _consonants(word)
        if len(short) >= _CONSONANTS:
            for near in self._abbreviated.get(short, ()):
                if len(word) < len(near) and _consonants(near) == short:
                    yield near


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of a text, and its normal form."""

    match: re.Match[str]
    said: str

    @property
    def may_be_name(self) -> bool:
        known = is_word(self.said)
        return not known or (self.match[0][0].isupper() and not is_common_word(self.said))


def _unordered(word: str) -> str:
    """A word with its inner letters by the alphabet."""
    return word[:1] + "".join(sorted(word[1:-1])) + word[-1:]


def _consonants(word: str) -> str:
    """A word without its vowels, but for one at its beginning."""
    return word[:1] + _VOWELS.sub("", word[1:])


_Hashes = npt.NDArray[np.uint64]
_Counts = npt.NDArray[np.int32]


def _shortened(words: Sequence[str], long: int) -> tuple[_Hashes, _Counts, _Counts]:
    """What is left of words without one of their letters, or none; of long ones without two.

    Args:
        words: of at most ``_MOST`` letters.
        long: letters from which on two are left out.

    Returns:
        Three of [n]: a hash of what is left, the place of its word, and how many letters it has.
        The same may stand there twice for a word that has a letter twice.
    """
    by_length: dict[int, list[int]] = {}
    for place, word in enumerate(words):
        by_length.setdefault(len(word), []).append(place)
    hashes, owners, lengths = [], [], []
    for length, places in by_length.items():
        codes = codes_of("".join(words[place] for place in places)).reshape(-1, length)
        # Hashed by the sum of letters times a factor for each place; and of letters moved forward
        # by one place and by two, as they are behind one that is left out. From the front.
        moved = [np.cumsum(codes * np.roll(_FACTORS, by)[:length], axis=1) for by in range(3)]
        none, one, two = (np.pad(each, ((0, 0), (1, 0))) for each in moved)
        first = np.arange(length)
        left = [
            (none[:, -1:], length),
            (none[:, first] + one[:, -1:] - one[:, first + 1], length - 1),
        ]
        if length >= long:
            first, second = np.triu_indices(length, 1)
            between = one[:, second] - one[:, first + 1]
            left.append((none[:, first] + between + two[:, -1:] - two[:, second + 1], length - 2))
        for made, letters in left:
            hashes.append(made.ravel())
            owners.append(np.repeat(np.array(places, np.int32), made.shape[1]))
            lengths.append(np.full(made.size, letters, np.int32))
    if not hashes:
        return np.zeros(0, np.uint64), np.zeros(0, np.int32), np.zeros(0, np.int32)
    return np.concatenate(hashes), np.concatenate(owners), np.concatenate(lengths)
