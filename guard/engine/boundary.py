"""Keeps words apart: where a model is denied the next word, the last one does not go on instead.

Denied " Love" after "her", a model writes "herLove", or, of whatever else is left to it, "herrade":
its other choices for a new word may all be weak ones, and then a piece from the middle of some word
wins. But a model whose best token would have begun a new word holds the last one for finished. So
where that token is penalised and the text ends within a word, tokens that go on with the word are
lowered too. They are not forbidden: where nothing else is allowed, they can still be had.

The readable form, as the measure of ``guard.engine.gpu.boundary`` and ``guard.engine.cpu.phrases``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from guard.engine.windows import LETTERS_WIDTH, SEP_VALUE, TextWindows, to_tensor
from guard.normalise import SEP

# In logits; more than any finite penalty for leading further into a phrase.
REOPENING: Final = -30.0


@dataclass(frozen=True, slots=True)
class Best:
    """The token that each row would have taken, were none penalised; the first where several tie.

    Attributes:
        token: [B] int64.
        logit: [B] float32.
    """

    token: torch.Tensor
    logit: torch.Tensor


class WordBoundaries:
    """Knows which tokens go on with a word; for one vocabulary and device.

    Attributes:
        goes_on: [V] bool, whether a token begins with a letter. Not one that begins within a code
            point.
        penalty: [V] float32, added where a word is not to go on: ``REOPENING`` or 0.
    """

    def __init__(self, windows: TextWindows) -> None:
        vocabulary = windows.vocabulary
        joins = np.array([text[:1] not in ("", SEP) for text in vocabulary.texts])
        goes_on = joins[vocabulary.plain[:-1]] & (vocabulary.lead[:-1] == 0)
        self.goes_on = to_tensor(goes_on, windows.device)
        self.penalty = self.goes_on * REOPENING

    def best(self, logits: torch.Tensor, rows: torch.Tensor) -> Best:
        """What ``rows`` [B] of ``logits`` [N, V] would say; ask before anything is penalised."""
        token = logits[rows].argmax(dim=1)
        return Best(token, logits[rows, token])

    def keep(
        self, logits: torch.Tensor, rows: torch.Tensor, state: torch.Tensor, best: Best
    ) -> None:
        """Lower what would go on with a finished word.

        Args:
            logits: [N, V] float32, penalised, changed in place.
            rows: [B] int64.
            state: [B, STATE_WIDTH] int64, after the text so far.
            best: of these rows, before they were penalised.
        """
        latest = state[:, LETTERS_WIDTH]
        within_word = (latest != SEP_VALUE) & (latest != 0) & (state[:, -1] == 0)
        taken = logits[rows, best.token] < best.logit
        for row in rows[within_word & taken & ~self.goes_on[best.token]].tolist():
            logits[row] += self.penalty
