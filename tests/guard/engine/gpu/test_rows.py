"""The kernels against the torch version, bit by bit."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from guard.engine.gpu.rows import KernelRows
from guard.engine.rows import SILENCED, UNGUARDED, TorchRows
from tests.guard.engine.gpu.cases import (
    CPU,
    DEVICE,
    HALF,
    Side,
    bundle_of,
    like,
    random_phrases,
    random_vocabulary,
    sides,
    step_rows,
    strided_logits,
)

HARD = float("-inf")
SLOTS, LENGTH, TARGETS = 4, 400, 6


class Pair:
    """The same slots, kept by torch and by the kernels."""

    def __init__(self, vocabulary: Sequence[bytes], bundles: Sequence[tuple[Side, Side]]) -> None:
        self.width = len(vocabulary)
        self.torch = TorchRows(bundles[0][0].tokens, SLOTS)
        self.kernels = KernelRows(
            bundles[0][1].tokens, SLOTS, rows=2, programs=6, finishing_programs=3
        )
        self._bundles = [
            (bundle_of(cpu.matcher), bundle_of(device.matcher)) for cpu, device in bundles
        ]
        self.lead = bundles[0][0].tokens.windows.lead[:-1] > 0
        self.texts: dict[int, list[int]] = {}
        self.steps = 0

    def join(self, slot: int, text: list[int], active: Sequence[bool], bundle: int = 0) -> None:
        self.texts[slot] = text
        for rows, of_side in zip((self.torch, self.kernels), self._bundles[bundle], strict=True):
            rows.join(slot, of_side, torch.tensor(active))

    def leave(self, slot: int, text: list[int]) -> None:
        self.texts[slot] = text
        self.torch.leave(slot)
        self.kernels.leave(slot)

    def step(
        self,
        order: Sequence[int],
        drafts: dict[int, list[int]],
        raised: Sequence[tuple[int, int]] = (),
    ) -> tuple[int, int, int]:
        """Compare one step.

        Args:
            raised: rows, and the token that each would say.

        Returns:
            How many logits were forbidden, how many lowered, and how many of both are of tokens
            that finish a pending code point.
        """
        self.steps += 1
        slots = np.array(order, np.int32)
        shape = (self.texts, order, drafts, SLOTS, LENGTH)
        rows = step_rows(*shape, CPU)
        before = strided_logits(len(rows.slot), self.width, self.steps)
        for row, token in raised:
            before[row, token] = 9.0
        by_torch, by_kernels = like(before, CPU), like(before, DEVICE)
        self.torch.flush()
        self.kernels.flush()
        self.torch.penalise(by_torch, rows, slots)
        self.kernels.penalise(by_kernels, step_rows(*shape, DEVICE), slots)
        guarded = self.torch.owner >= 0
        assert torch.equal(self.kernels.owner.cpu(), self.torch.owner)
        assert torch.equal(self.kernels.read.cpu()[guarded], self.torch.read[guarded])
        assert torch.equal(self.kernels.state.cpu()[guarded], self.torch.state[guarded])
        assert torch.equal(by_kernels.cpu(), by_torch)
        assert not self.kernels._noted.any()
        forbidden = by_torch == HARD
        lowered = (by_torch != before) & ~forbidden
        pends = self.kernels.row_pending[: len(rows.slot)].cpu() > 0
        finishing = (forbidden | lowered) & pends[:, None] & self.lead
        return int(forbidden.sum()), int(lowered.sum()), int(finishing.sum())


def any_segments(
    draw: random.Random, count: int
) -> tuple[list[list[tuple[str, int, float]]], list[list[int]]]:
    """Segments of hard and soft phrases, and where a bundle of six targets has theirs."""
    penalties = (HARD, -8.0, -2.5, -0.7)
    segments, slots = [], []
    for _ in range(count):
        targets = draw.randint(1, 4)
        phrases = random_phrases(draw, draw.choice((1, 12, 40)))
        segments.append(
            [(text, draw.randrange(targets), draw.choice(penalties)) for text in phrases]
        )
        slots.append([draw.randrange(-1, TARGETS) for _ in range(targets)])
    return segments, slots


def test_any_steps_of_any_phrases_do_what_torch_does() -> None:
    forbidden = lowered = finishing = 0
    for seed in range(6):
        draw = random.Random(seed)
        vocabulary = random_vocabulary(draw, draw.choice((20, 50)))
        bundles = [sides(vocabulary, *any_segments(draw, draw.randint(1, 3))) for _ in range(2)]
        pair = Pair(vocabulary, bundles)

        def some(count: int, draw: random.Random = draw, width: int = len(vocabulary)) -> list[int]:
            return [draw.randrange(width) for _ in range(count)]

        for _ in range(3):
            for slot in range(SLOTS):
                if slot in pair.texts and draw.random() < 0.8:
                    continue
                # Some end inside a code point.
                text = some(draw.choice((1, 3, 12, 100))) + [HALF] * (draw.random() < 0.4)
                if draw.random() < 0.2:
                    pair.leave(slot, text)
                else:
                    active = [draw.random() < 0.7 for _ in range(TARGETS)]
                    pair.join(slot, text, active, draw.randrange(2))
            order = draw.sample(range(SLOTS), draw.randint(1, 3))
            drafts = {slot: some(draw.randrange(3)) for slot in order}
            found = pair.step(order, drafts)
            forbidden, lowered, finishing = (
                sum(each) for each in zip((forbidden, lowered, finishing), found, strict=True)
            )
            for slot in order:
                accepted = drafts[slot][: draw.randrange(len(drafts[slot]) + 1)]
                pair.texts[slot] = [*pair.texts[slot], *accepted, *some(1)]
    assert min(forbidden, lowered) > 20
    assert finishing > 0


def test_long_ranges_and_long_lists_are_worked_off_by_all_programs_together() -> None:
    vocabulary = [b"x", b"a", *(b"a%d" % number for number in range(2500)), b"b"]
    last = 139
    segment = [
        ("xxxxxa", target, HARD if target == last else -1.0 - target) for target in range(140)
    ]
    segment += [("xxxxxb", 0, HARD), ("xxxxxa7", 1, -0.5)]
    pair = Pair(vocabulary, [sides(vocabulary, [segment], [list(range(140))])])
    pair.join(0, [0] * 5, [target != last for target in range(140)])
    pair.join(1, [0] * 5, [target in (2, last) for target in range(140)])
    assert pair.step([0, 1], {}) == (1 + 2501, 2501, 0)


def test_a_soft_phrase_that_several_ends_complete_counts_once() -> None:
    vocabulary = [b"ba", b"ab", b"ababab", b"\xc3", b"\xa9ab", b" "]
    segment = [("bababa", 0, -2.0), ("ababab", 0, -2.0), ("ababab", 1, -3.0), ("eab", 0, -2.0)]
    pair = Pair(vocabulary, [sides(vocabulary, [segment, segment], [[0, 1], [0, 1]])])
    pair.join(0, [1, 1, 1], [True, False])
    pair.join(1, [0, 0, 0], [True, True])
    pair.join(2, [0, 5, 3], [True, False])
    forbidden, lowered, finishing = pair.step([2, 0, 1], {})
    assert (forbidden, finishing) == (0, 1)
    assert lowered > 3


def test_words_are_kept_apart_where_the_best_token_is_taken() -> None:
    # More tokens than a program looks at in one go.
    many = [b"x%d" % number for number in range(3000)]
    vocabulary = [b"her", b" love", b" new", b" ", b"\xc3", *many, b"rade"]
    pair = Pair(vocabulary, [sides(vocabulary, [[("love", 0, HARD)]], [[0]])])
    for slot, text in enumerate(([0], [0, 3], [0], [0, 4])):
        pair.join(slot, text, [slot != 2])
    best = [(row, 1) for row in range(4)]
    # In the first row alone a word is finished and its successor forbidden; then it was another's.
    assert pair.step([0, 1, 2, 3], {}, best) == (3, 2 + len(many), 0)
    assert pair.step([0, 1, 2, 3], {}, [(row, 2) for row in range(4)]) == (3, 0, 0)
    # After a draft the text ends with no word.
    assert pair.step([0], {0: [3, 0]}, [(0, 1), (1, 1), (2, 1)]) == (3, 2 * (2 + len(many)), 0)


@pytest.mark.parametrize("length", [15, 40, 250])
def test_a_prompt_in_chunks_and_one_read_at_once_leave_the_same_state(length: int) -> None:
    draw = random.Random(length)
    vocabulary = random_vocabulary(draw, 30)
    pair = Pair(vocabulary, [sides(vocabulary, [[("ab", 0, HARD)]], [[0]])])
    text = [draw.randrange(len(vocabulary)) for _ in range(length)]
    pair.join(0, text, [True])
    pair.join(1, text[:9], [True])
    pair.step([0, 1], {})
    pair.texts[1] = text[: length // 2]
    pair.step([1], {})
    pair.texts[1] = text
    pair.step([0, 1], {})
    assert torch.equal(pair.kernels.state[0], pair.kernels.state[1])


@pytest.mark.parametrize("length", [4, 15, 40, 250])
def test_tokens_beyond_the_vocabulary_part_words(length: int) -> None:
    # As an image's in a prompt. What lies behind the tables must not be read.
    draw = random.Random(length)
    vocabulary = [b"a", b"b", b" ", b"\xc3", b"\xa9"]
    beyond = (len(vocabulary), len(vocabulary) + 1, 1 << 30)
    pair = Pair(vocabulary, [sides(vocabulary, [[("ab", 0, HARD), ("b", 0, -1.0)]], [[0]])])
    text = [draw.randrange(len(vocabulary)) for _ in range(length)]
    for place in draw.sample(range(length), length // 4):
        text[place] = draw.choice(beyond)
    pair.join(0, [*text, 3, beyond[2]], [True])
    pair.join(1, [*text, beyond[0], 0], [True])
    pair.join(2, [*text, beyond[1], 0], [True])
    assert pair.step([0, 1, 2], {}) != (0, 0, 0)
    assert torch.equal(pair.kernels.state[1], pair.kernels.state[2])
    # It stands among the few that are read one by one, too.
    pair.texts[1] = [*pair.texts[1], beyond[2], 1]
    pair.step([1], {})


def test_a_slot_tells_who_has_it_and_a_bundle_goes_with_its_last_request() -> None:
    vocabulary = [b"a", b" "]
    pair = Pair(vocabulary, [sides(vocabulary, [[("a", 0, HARD)]], [[0]]) for _ in range(2)])
    pair.join(0, [1], [True], bundle=0)
    pair.join(1, [1], [True], bundle=1)
    assert pair.step([0, 1], {}) == (2, 0, 0)
    pair.leave(0, [1])
    assert pair.step([0, 1], {}) == (1, 0, 0)
    pair.torch.silence(1)
    pair.kernels.silence(1)
    assert pair.step([0, 1], {}) == (0, 0, 0)
    assert pair.kernels.owner.tolist() == [UNGUARDED, SILENCED, UNGUARDED, UNGUARDED]
    assert pair.kernels._held == {}
