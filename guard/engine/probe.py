"""The canary's script: an answer that only a working guard can give.

For a plan in ``probe`` mode the engine pushes the sampler along the canary phrase of the bundle.
The ordinary ban must then take away the token that would complete it, and the script's second
choice at that point, the nonce of the plan, wins. So an answer that shows the nonce and not the
phrase proves that the plan was read, the key shared, the bundle loaded, and the ban in force in
the sampler that serves everyone else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch

from guard.bundle import CANARY_PHRASE
from guard.errors import EngineUnsupportedError

# Far above any model's logits, and the second clearly below the first.
FIRST_CHOICE: Final = 2.0e6
SECOND_CHOICE: Final = 1.0e6


@dataclass(frozen=True, slots=True)
class ProbeScript:
    """What to push for at each output position, by first and second choice of token."""

    first: tuple[int, ...]
    second: tuple[int, ...]

    def at(self, position: int) -> tuple[int, int]:
        """The two tokens to push for at a position; the last pair holds for all that follow."""
        place = min(position, len(self.first) - 1)
        return self.first[place], self.second[place]


class ProbeScribe:
    """Writes probe scripts for one vocabulary.

    Args:
        vocabulary: bytes of each token id.
        end_token: the token that ends an answer.
    """

    def __init__(self, vocabulary: Sequence[bytes], end_token: int) -> None:
        self._token_of = {data: token for token, data in enumerate(vocabulary) if data}
        self._longest = max(map(len, self._token_of), default=0)
        self._end = end_token

    def write(self, nonce: str) -> ProbeScript:
        """The script that spells the canary phrase, or failing that the nonce, then ends."""
        phrase = self._spell(f" {CANARY_PHRASE}".encode())
        answer = self._spell(f" {nonce}".encode())
        # Until the completing token, both choices are the phrase; there the nonce takes over.
        first = (*phrase, *answer[1:], self._end)
        second = (*phrase[:-1], *answer, self._end)
        return ProbeScript(first, second)

    def _spell(self, data: bytes) -> tuple[int, ...]:
        tokens: list[int] = []
        while data:
            for length in range(min(self._longest, len(data)), 0, -1):
                token = self._token_of.get(data[:length])
                if token is not None:
                    tokens.append(token)
                    data = data[length:]
                    break
            else:
                raise EngineUnsupportedError(
                    "the tokenizer cannot spell the canary phrase, so the guard cannot be proven",
                    fix="report the model's name, so that its tokenizer can be added and tested",
                )
        return tuple(tokens)


def push(logits: torch.Tensor, row: int, script: ProbeScript, position: int) -> None:
    """Raise the script's two tokens for one row of ``logits`` ([N, V] float32), in place."""
    first, second = script.at(position)
    logits[row, second] = SECOND_CHOICE
    logits[row, first] = FIRST_CHOICE
