"""Random vocabularies, phrases and steps, and what the torch version makes of them."""

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from guard.engine.matcher import BoundSegment, PhraseMatcher, SegmentTensors, Tokens
from guard.engine.rows import StepRows
from guard.engine.segment import compile_segment
from guard.engine.symbols import symbol_vocabulary
from guard.normalise import normalise

# Interpreted on the CPU, or compiled for the GPU that is there.
DEVICE = torch.device("cpu" if os.environ.get("TRITON_INTERPRET") else "cuda")
CPU = torch.device("cpu")

ALPHABET = "aabbcéé ,ß東Ж"
PIECES = [
    *(b"\xc3", b"\xa9", b"\xe6", b"\x9d\xb1", b"\x9d", b"\xb1a", b"\xb1 b", b"\xff", b"\xf0\x9f"),
    *(b"\x98\x80", b"\x80\x80\x80\x80", b"\xa9 a", b"\xa9b c", b"\xad"),
]
# What every vocabulary begins with; one of them is the first half of a letter.
BEGINNING = (b"", b"a", b"b", b"c", b" ", b"\xc3", b"\xa9", b"\xa9b", b"\xa9 a")
HALF = BEGINNING.index(b"\xc3")


def random_vocabulary(draw: random.Random, size: int) -> list[bytes]:
    """Tokens of few letters, so that phrases are met often; some empty, some parts of letters."""
    tokens = [*BEGINNING]
    while len(tokens) < size:
        text = "".join(draw.choice(ALPHABET) for _ in range(draw.randint(1, 6))).encode()
        cut = draw.randrange(len(text)) if draw.random() < 0.2 else 0
        tokens.append(draw.choice([text[cut:], text, draw.choice(PIECES)]))
    return tokens


def random_phrases(draw: random.Random, count: int) -> list[str]:
    """Normalised phrases, short ones and long ones."""
    found: list[str] = []
    while len(found) < count:
        text = "".join(draw.choice(ALPHABET) for _ in range(draw.choice((1, 2, 4, 7, 9))))
        if phrase := normalise(text):
            found.append(phrase)
    return found


@dataclass(frozen=True)
class Side:
    """The same vocabulary and phrases on one device."""

    tokens: Tokens
    matcher: PhraseMatcher


def sides(
    vocabulary: Sequence[bytes],
    segments: Sequence[Sequence[tuple[str, int, float]]],
    slots: Sequence[Sequence[int]],
) -> tuple[Side, Side]:
    """On the CPU, and on the device of the kernels.

    Args:
        segments: phrases of each, with their targets and penalties.
        slots: of each segment, where the bundle has its targets, -1 where it has not.
    """
    made = []
    for device in (CPU, DEVICE):
        tokens = Tokens(symbol_vocabulary(vocabulary), device)
        bound = []
        for phrases, places in zip(segments, slots, strict=True):
            compiled = compile_segment(
                [text for text, _, _ in phrases],
                np.array([target for _, target, _ in phrases], np.int32),
                np.array([penalty for _, _, penalty in phrases], np.float32),
                tokens.letters,
                tokens.words,
            )
            place = torch.tensor(places, dtype=torch.int64, device=device)
            bound.append(BoundSegment(SegmentTensors(compiled, device), place))
        made.append(Side(tokens, PhraseMatcher(tokens, bound)))
    return made[0], made[1]


def bundle_of(matcher: PhraseMatcher) -> Any:
    """What rows need of a bundle without protected texts."""
    return SimpleNamespace(matcher=matcher, verbatim=None)


def step_rows(
    texts: dict[int, list[int]],
    order: Sequence[int],
    drafts: dict[int, list[int]],
    slots: int,
    length: int,
    device: torch.device,
) -> StepRows:
    """A step as vLLM lays it out: each request's last committed token, then its drafts."""
    committed = torch.zeros((slots, length), dtype=torch.int32)
    for slot, text in texts.items():
        # The last token is not written everywhere yet; it is fed instead.
        committed[slot, : len(text) - 1] = torch.tensor(text[:-1], dtype=torch.int32)
    slot_of, local, token, position = [], [], [], []
    for slot in order:
        for place, fed in enumerate([texts[slot][-1], *drafts.get(slot, [])]):
            slot_of.append(slot)
            local.append(place)
            token.append(fed)
            position.append(len(texts[slot]) - 1 + place)

    def on_device(values: list[int], dtype: torch.dtype) -> torch.Tensor:
        # A view into something larger, as vLLM's are.
        return torch.tensor([7, *values, 7], dtype=dtype).to(device)[1:-1]

    return StepRows(
        on_device(slot_of, torch.int64),
        on_device(local, torch.int32),
        on_device(token, torch.int32),
        on_device(position, torch.int64),
        committed.to(device),
    )


def strided_logits(rows: int, width: int, seed: int) -> torch.Tensor:
    """[rows, width] float32 on the CPU, rows further apart than they are wide."""
    wide = torch.randn(rows, width + 5, generator=torch.Generator().manual_seed(seed))
    return wide[:, 2 : 2 + width]


def like(logits: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A copy with the same strides, on a device."""
    copy = torch.empty_strided(logits.shape, logits.stride(), device=device)
    copy.copy_(logits)
    return copy
