"""Key words: a target described, not named, by words that few others are described with.

"The Karachi-born geologist whose father sold houses" names nobody, and no example asks it. But of
its words a target's examples and answers hold several that everyday prompts and other targets
hardly hold. A text scores by the weight of the words that it shares with a target, over the root of
the weight of all its words: many rare words shared say much, and a long text must share more.

What is said in other words shares few. So where a target has answers, the likeness of the text to
the nearest of their statements (guard/statements.py) is added to what its words say.

A word weighs by how rare it is, in everyday prompts and among the targets themselves (inverse
document frequency, Spärck Jones 1972): "author" is rare in the first and in all of the second.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from guard.normalise import SEP, normalise

# Added to a text's weight: of a text of one or two words the root alone would make too much.
_GROUND: Final = 2.0
_LEAST_LETTERS: Final = 3
# English endings, cut where enough of the word is left; other languages keep their forms.
_ENDINGS: Final = ("ing", "ies", "es", "ed", "s", "ly")
_LEFT: Final = 4
_VOWELS: Final = "eiy"
# What the likeness to a statement, a cosine, weighs beside the words. Chosen on descriptions of
# authors that no figure has as targets; from 1.0 to 2.0 it makes little difference.
LIKENESS: Final = 1.5


def key_words(text: str) -> frozenset[str]:
    """The words of a text that count, normalised, without common English endings."""
    return frozenset(
        _without_ending(word) for word in normalise(text).split(SEP) if len(word) >= _LEAST_LETTERS
    )


def _without_ending(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _LEFT:
            word = word[: -len(ending)]
            break
    # "prize" as "prizes", "city" as "cities".
    return word[:-1] if word[-1] in _VOWELS and len(word) >= _LEFT else word


@dataclass(frozen=True, slots=True, eq=False)
class KeywordTable:
    """Which words are held by which targets, and how common they are besides.

    Attributes:
        words: [n], distinct.
        general: [n] int32, how many of the everyday prompts hold each.
        starts: [n + 1] int32, where in ``owners`` those of each word begin.
        owners: [m] int32, targets that hold the words, as rows of this table.
        n_general: how many everyday prompts there were.
        n_targets: how many targets there are.
    """

    words: tuple[str, ...]
    general: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    owners: npt.NDArray[np.int32]
    n_general: int
    n_targets: int

    @classmethod
    def of(cls, targets: Sequence[frozenset[str]], general: Sequence[str]) -> KeywordTable:
        """The table of some targets' words.

        Args:
            targets: the words that each holds; a target's row is its place.
            general: everyday prompts.
        """
        held: dict[str, list[int]] = {}
        for row, own in enumerate(targets):
            for word in own:
                held.setdefault(word, []).append(row)
        counts = Counter(word for prompt in general for word in key_words(prompt))
        words = sorted({*held, *counts})
        owners = [held.get(word, []) for word in words]
        return cls(
            tuple(words),
            np.array([counts[word] for word in words], np.int32),
            np.cumsum([0, *map(len, owners)], dtype=np.int32),
            np.array([row for rows in owners for row in rows], np.int32),
            len(general),
            len(targets),
        )

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """The table as arrays, for a file."""
        return {
            "words": np.frombuffer("\n".join(self.words).encode(), np.uint8),
            "general": self.general,
            "starts": self.starts,
            "owners": self.owners,
            "counts": np.array([self.n_general, self.n_targets], np.int32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> KeywordTable:
        """The table that was made into these.

        Raises:
            KeyError, ValueError: they are not of a table.
        """
        text = arrays["words"].tobytes().decode()
        words = tuple(text.split("\n")) if text else ()
        n_general, n_targets = (int(count) for count in arrays["counts"])
        table = cls(
            words,
            arrays["general"].astype(np.int32),
            arrays["starts"].astype(np.int32),
            arrays["owners"].astype(np.int32),
            n_general,
            n_targets,
        )
        table.check()
        return table

    def check(self) -> None:
        """Raise ValueError if the parts do not fit each other."""
        n = len(self.words)
        fits = (
            self.general.shape == (n,)
            and self.starts.shape == (n + 1,)
            and not self.starts[:1].any()
            and bool((np.diff(self.starts) >= 0).all())
            and int(self.starts[-1]) == len(self.owners)
            and bool(((self.owners >= 0) & (self.owners < self.n_targets)).all())
        )
        if not fits:
            raise ValueError("the parts of a table of key words do not fit each other")


class KeywordScores:
    """Scores texts by a table."""

    def __init__(self, table: KeywordTable) -> None:
        self._table = table
        self._row = {word: row for row, word in enumerate(table.words)}
        held = np.diff(table.starts)
        rarity = _rarity(table.general, table.n_general)
        # A word's weight for a target that does not hold it, and for one that does: there the
        # others count.
        self._without = rarity * _rarity(held, table.n_targets - 1)
        self._within = rarity * _rarity(np.maximum(held - 1, 0), table.n_targets - 1)
        self._unknown = float(_rarity(np.zeros(1, np.int32), table.n_general)[0])

    def scores(self, text: str) -> dict[int, float]:
        """The score of each target, by row, that shares a word with the text; at least 0."""
        words = key_words(text)
        known = [row for word in words if (row := self._row.get(word)) is not None]
        whole = _GROUND + self._unknown * (len(words) - len(known))
        whole += float(self._without[known].sum())
        if not known:
            return {}
        spans = [slice(self._table.starts[row], self._table.starts[row + 1]) for row in known]
        sizes = [span.stop - span.start for span in spans]
        owners, place = np.unique(
            np.concatenate([self._table.owners[span] for span in spans]), return_inverse=True
        )
        within = np.repeat(self._within[known], sizes)
        without = np.repeat(self._without[known], sizes)
        shared = np.bincount(place, within, len(owners))
        more = np.bincount(place, within - without, len(owners))
        scores = shared / np.sqrt(whole + more)
        return dict(zip(owners.tolist(), scores.tolist(), strict=True))

    def score(self, target: int, text: str, without: frozenset[str] = frozenset()) -> float:
        """The score of one target, as if it did not hold some words."""
        whole, shared = _GROUND, 0.0
        for word in key_words(text):
            row = self._row.get(word)
            if row is None:
                whole += self._unknown
                continue
            owners = self._table.owners[self._table.starts[row] : self._table.starts[row + 1]]
            if target in owners and word not in without:
                shared += float(self._within[row])
                whole += float(self._within[row])
            elif target in owners:
                whole += float(self._within[row])
            else:
                whole += float(self._without[row])
        return shared / math.sqrt(whole)


def _rarity(count: npt.NDArray[np.int32], n: int) -> npt.NDArray[np.float64]:
    """[m] in [0, 1]: 1 of what none of n holds."""
    weight = np.log((n + 1) / (count + 0.5)) / math.log(2 * (n + 1))
    return np.maximum(weight, 0.0)
