"""How many letters texts share with each target's examples; see ``guard/letters.py``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from guard.bundle import Bundle
from guard.letters import LetterScores

# No score: for targets that have no threshold.
_NEVER: Final = 2.0
# Examples from which on a query is run beside an event loop.
_LARGE: Final = 10_000


class Letters:
    """The letters of a bundle's examples, grouped by target.

    Attributes:
        large: a query takes long enough to be run beside an event loop.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._targets = bundle.letters.targets
        self.large = len(self._targets) >= _LARGE
        thresholds = [target.thresholds.get("letters", _NEVER) for target in bundle.targets]
        self._least = np.array(thresholds, np.float32)[self._targets]
        self._scores = LetterScores(bundle.letters, self._least)

    def __bool__(self) -> bool:
        return len(self._targets) > 0

    def best_of_each(self, texts: Sequence[Sequence[str]]) -> list[dict[int, float]]:
        """For each group of texts the best score by target, of those whose threshold it reaches."""
        found: list[dict[int, float]] = [{} for _ in texts]
        if not self:
            return found
        shared = self._scores.scores([text for group in texts for text in group])
        groups = np.repeat(np.arange(len(texts)), [len(group) for group in texts])[shared.texts]
        met = shared.scores >= self._least[shared.examples]
        targets = self._targets[shared.examples]
        for group, target, score in zip(
            groups[met].tolist(), targets[met].tolist(), shared.scores[met].tolist(), strict=True
        ):
            found[group][target] = max(found[group].get(target, 0.0), score)
        return found
