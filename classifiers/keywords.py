"""How much of what a text says each target is described by; see ``guard/keywords.py``."""

from __future__ import annotations

from collections.abc import Sequence

from guard.bundle import Bundle
from guard.keywords import KeywordScores


class Keywords:
    """The key words of a bundle's targets."""

    def __init__(self, bundle: Bundle) -> None:
        self._targets: list[int] = bundle.keyword_targets.tolist()
        self._scores = KeywordScores(bundle.keywords) if self._targets else None

    def best(self, pieces: Sequence[str]) -> dict[int, float]:
        """The best score per target, of those that share a word with a piece."""
        best: dict[int, float] = {}
        if self._scores is None:
            return best
        for piece in pieces:
            for row, score in self._scores.scores(piece).items():
                target = self._targets[row]
                if target >= 0 and score > best.get(target, 0.0):
                    best[target] = score
        return best
