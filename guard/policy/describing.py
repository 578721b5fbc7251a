"""How much a text describes a target: by its words, and by what its answers say.

As the detector scores a request (``classifiers/keywords.py``), for many prompts of a training.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from guard.keywords import LIKENESS, KeywordScores
from guard.normalise import normalise
from guard.pieces import pieces_of
from guard.policy.model import PolicyTarget
from guard.policy.statements import statements_of
from guard.policy.vectors import Encode


class Likeness:
    """The likeness of texts to statements, each text encoded once."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._row: dict[str, int] = {}
        self._rows: list[npt.NDArray[np.float32]] = []

    def __call__(self, texts: Sequence[str], statements: Sequence[str]) -> npt.NDArray[np.float32]:
        """[n, m] float32 cosines."""
        new = [text for text in dict.fromkeys([*texts, *statements]) if text not in self._row]
        if new:
            rows = self._encode(new)
            self._row |= {text: len(self._rows) + place for place, text in enumerate(new)}
            self._rows += list(rows)
        found: npt.NDArray[np.float32] = self._of(texts) @ self._of(statements).T
        return found

    def _of(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.stack([self._rows[self._row[text]] for text in texts])


class TargetScore:
    """Scores prompts by one target, each by its best piece, as the detector takes it.

    Args:
        row: the target's row in the table of key words.
        likeness: None to score by words alone.
    """

    def __init__(
        self, scores: KeywordScores, row: int, target: PolicyTarget, likeness: Likeness | None
    ) -> None:
        self._scores = scores
        self._row = row
        self._likeness = likeness
        self._said = [each.masked for each in target.statements]
        self._by_question: dict[str, set[str]] = {}
        detect = target.spec.detect
        for pair in target.answers:
            own = statements_of([pair], detect.aliases, [*target.examples, *_questions(target)])
            said = self._by_question.setdefault(normalise(pair[0]), set())
            said.update(each.masked for each in own)

    def __call__(
        self,
        prompts: Sequence[str],
        without: Sequence[frozenset[str]] | None = None,
        *,
        own: bool = False,
    ) -> list[float]:
        """The score of each prompt.

        Args:
            without: for each prompt, words that it is scored without.
            own: whether they are questions of the target, each scored without its own answer.
        """
        best = [0.0] * len(prompts)
        shares: list[tuple[int, str, float]] = []
        for place, prompt in enumerate(prompts):
            left_out = frozenset() if without is None else without[place]
            for piece in pieces_of(prompt):
                words = self._scores.score(self._row, piece, left_out)
                if words > 0:
                    shares.append((place, piece, words))
        near = self._near([(prompts[place] if own else "", piece) for place, piece, _ in shares])
        for (place, _, words), like in zip(shares, near, strict=True):
            best[place] = max(best[place], words + LIKENESS * like)
        return best

    def _near(self, pieces: Sequence[tuple[str, str]]) -> list[float]:
        """Of each piece of a question the likeness to the nearest statement of other answers."""
        if self._likeness is None or not self._said or not pieces:
            return [0.0] * len(pieces)
        cosines = self._likeness([piece for _, piece in pieces], self._said)
        for row, (question, _) in zip(cosines, pieces, strict=True):
            said = self._by_question.get(normalise(question), ()) if question else ()
            row[[place for place, text in enumerate(self._said) if text in said]] = 0
        nearest: list[float] = cosines.max(axis=1).clip(min=0).tolist()
        return nearest


def _questions(target: PolicyTarget) -> list[str]:
    return [question for question, _ in target.answers]
