"""How much of what a text says each target is described by; see ``guard/keywords.py``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from guard.bundle import Bundle
from guard.keywords import LIKENESS, KeywordScores


class Keywords:
    """The key words of a bundle's targets, and what their answers say."""

    def __init__(self, bundle: Bundle) -> None:
        self._targets: list[int] = bundle.keyword_targets.tolist()
        self._scores = KeywordScores(bundle.keywords) if self._targets else None
        self._statements: dict[int, npt.NDArray[np.float32]] = {}
        self._least: dict[int, float] = {}
        if bundle.keyword_likeness:
            owners = bundle.statements.targets
            for target in set(self._targets) & set(owners.tolist()):
                # Those of a target stand together.
                start, end = np.searchsorted(owners, [target, target + 1])
                self._statements[target] = bundle.statements.vectors[start:end]
                threshold = bundle.targets[target].thresholds["keywords"]
                self._least[target] = threshold - LIKENESS

    @property
    def compare(self) -> bool:
        """Whether ``best`` needs vectors."""
        return bool(self._statements)

    def best(
        self, pieces: Sequence[str], vectors: npt.NDArray[np.float32] | None = None
    ) -> dict[int, float]:
        """The best score per target, of those that share a word with a piece.

        Args:
            vectors: [n_pieces, d] float32, unit rows; needed if ``compare``.
        """
        best: dict[int, float] = {}
        if self._scores is None:
            return best
        for place, piece in enumerate(pieces):
            for row, words in self._scores.scores(piece).items():
                target = self._targets[row]
                if target < 0 or words <= 0:
                    continue
                score = words
                statements = self._statements.get(target)
                # No likeness would make the words of most targets enough.
                if statements is not None and words >= self._least[target]:
                    assert vectors is not None
                    score += LIKENESS * max(0.0, float((statements @ vectors[place]).max()))
                if score > best.get(target, 0.0):
                    best[target] = score
        return best
