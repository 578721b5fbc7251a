"""Which runs of letters of a target's examples are its own, and which the same about others has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt

from guard.letter_table import Codes, ExampleRuns, LetterTable
from guard.letters import LetterScores, runs_of
from guard.policy.about_others import AboutOthers, looked_at
from guard.policy.scoring import Scores
from guard.policy.world import without_each
from guard.windows import windows

# Of the examples about others, how many must hold a run for it to be of the frame everywhere.
_COMMON = 2
# As many as a byte can tell apart; a window is hardly that long.
_MOST_NAMES = 255


class OwnLetters:
    """The letters of a target's examples, as the detector compares them.

    Args:
        prompts: the target's examples.
        others: those of them that name something, about others; none of them where hardly any
            does. Then every run is its own.
        world: names in them that are everybody's (``guard/policy/world.py``).
    """

    def __init__(
        self, prompts: Sequence[str], others: Sequence[AboutOthers], world: Sequence[str] = ()
    ) -> None:
        swapped = {each.place: runs_of(each.learnt) for each in others}
        counted = Counter(run for runs in swapped.values() for run in runs.tolist())
        common = np.array(sorted(r for r, n in counted.items() if n >= _COMMON), np.int32)
        # An example that was looked at and names nothing, where others do, asks about anybody.
        nameless = set(looked_at(len(prompts))) - swapped.keys() if swapped else set()
        rows = [
            (place, _parted(window, swapped.get(place), common, world))
            for place, prompt in enumerate(prompts)
            if place not in nameless
            for window in windows(prompt)
        ]
        rows = [(place, runs) for place, runs in rows if len(runs.own)]
        self.rows = tuple(runs for _, runs in rows)
        self._places = np.array([place for place, _ in rows], np.int64)
        self._prompts = prompts
        self._scores = LetterScores(LetterTable.of(enumerate(self.rows)))

    def __call__(self, pieces: Sequence[str]) -> Scores:
        """[n] float32, the best score of each piece by any example; 0 if it shares nothing."""
        shared = self._scores.scores(pieces)
        best = np.zeros(len(pieces), np.float32)
        np.maximum.at(best, shared.texts, shared.scores)
        return best

    def of_each_by_the_others(self) -> Scores:
        """[n] float32 of each example by the others; empty if there is only one."""
        if len(self._prompts) < 2:
            return np.zeros(0, np.float32)
        cut = [(place, own) for place, text in enumerate(self._prompts) for own in windows(text)]
        shared = self._scores.scores([own for _, own in cut])
        of = np.array([place for place, _ in cut], np.int64)[shared.texts]
        other = of != self._places[shared.examples]
        best = np.zeros(len(self._prompts), np.float32)
        np.maximum.at(best, of[other], shared.scores[other])
        return best


def _parted(
    text: str, about_others: Codes | None, common: Codes, world: Sequence[str]
) -> ExampleRuns:
    runs = runs_of(text)
    framed: npt.NDArray[np.bool_] = np.isin(runs, common)
    if about_others is not None:
        framed |= np.isin(runs, about_others)
    own = runs[~framed]
    of = np.zeros(len(own), np.uint8)
    for number, rest in enumerate(islice(without_each(text, world), _MOST_NAMES), 1):
        of[np.isin(own, runs_of(rest), invert=True)] = number
    return ExampleRuns(own, runs[framed], of)
