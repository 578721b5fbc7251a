"""Reads tokens into all that the bundles in use need to know of a text.

A row's state is one vector of int64: what phrases need (guard/engine/windows.py), then what
protected texts need (guard/engine/runs.py). The second part costs nothing, and means nothing, until
a bundle with a protected text is loaded; requests from before hold none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch

from guard.engine.cpu import is_compiled_for
from guard.engine.matcher import Tokens
from guard.engine.runs import RUNS_WIDTH
from guard.engine.windows import STATE_WIDTH

READER_WIDTH: Final = STATE_WIDTH + RUNS_WIDTH


class TextReader:
    """Reads tokens into states, for one vocabulary and device.

    Attributes:
        device: where the states are.
        empty_token: a token id beyond the vocabulary that leaves its row as it is.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._windows = tokens.windows
        self.device = tokens.windows.device
        self.empty_token = tokens.windows.empty_token

    def advance(self, state: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        """States after one more token each; those handed in may be changed.

        Args:
            state: [B, READER_WIDTH] int64.
            token: [B] int64 token ids; ``empty_token`` leaves its row unchanged.
        """
        phrases, runs = parts(state)
        if self._tokens.runs is not None:
            runs = self._tokens.runs.advance(runs, token)
        return torch.cat([self._windows.advance(phrases, token), runs], dim=1)

    def read_texts(self, texts: Sequence[Sequence[int]]) -> torch.Tensor:
        """[B, READER_WIDTH] states after whole texts.

        Args:
            texts: ``B`` sequences of token ids, ``empty_token`` or negative ids not among them.
        """
        phrases = self._windows.read_texts(texts)
        if self._tokens.runs is not None:
            runs = self._tokens.runs.read_texts(texts)
        else:
            runs = torch.zeros((len(texts), RUNS_WIDTH), dtype=torch.int64, device=self.device)
        return torch.cat([phrases, runs], dim=1)


def reader_of(tokens: Tokens) -> TextReader:
    """The fastest reader for the device that the tokens are on.

    On a CPU, all loops of a step are compiled now, before any request waits for them.
    """
    if not is_compiled_for(tokens.windows.device):
        return TextReader(tokens)
    # Not imported before: numba is not everywhere.
    from guard.engine.cpu.reader import HostReader
    from guard.engine.cpu.step import compile_all

    compile_all()
    return HostReader(tokens)


def parts(state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[B, STATE_WIDTH] what phrases need, and [B, RUNS_WIDTH] what protected texts need."""
    return state[:, :STATE_WIDTH], state[:, STATE_WIDTH:]
