"""A compiled step leaves the same logits as the readable forms one after another, to the bit."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from guard.engine.cpu import phrases, step
from guard.engine.cpu.step import HostStep, compile_all
from guard.engine.matcher import BoundSegment, PhraseMatcher, SegmentTensors, Tokens
from guard.engine.reader import READER_WIDTH, TextReader, parts
from guard.engine.segment import HARD_PENALTY, SOFT_PENALTY, compile_segment
from guard.engine.symbols import symbol_vocabulary
from guard.engine.verbatim import FilterTensors, VerbatimMatcher
from guard.verbatim import RunFilters
from tests.guard.engine.gpu.cases import random_phrases, random_vocabulary, strided_logits
from tests.guard.words import filter_of

CPU = torch.device("cpu")
INF = float("inf")
TARGETS = 5
SLOTS = 7
# Few, so that runs of them are met often.
WORDS = ["a", "b", "東"]


def machine_codes(loop: Any) -> int:
    """For how many kinds of arguments a loop is compiled."""
    return len(loop.signatures)


@dataclass
class Case:
    """The same phrases and protected texts, in both forms."""

    tokens: Tokens
    matcher: PhraseMatcher
    verbatim: VerbatimMatcher | None

    def __post_init__(self) -> None:
        self.size = self.tokens.windows.vocab_size
        self.reader = TextReader(self.tokens)
        self.step = HostStep(self.tokens, self.matcher, self.verbatim)

    def readable(
        self, logits: torch.Tensor, rows: torch.Tensor, state: torch.Tensor, active: torch.Tensor
    ) -> None:
        texts, runs = parts(state)
        best = self.tokens.boundaries.best(logits, rows)
        self.matcher.penalise(logits, rows, texts, active)
        if self.verbatim is not None:
            self.verbatim.penalise(logits, rows, runs, active)
        self.tokens.boundaries.keep(logits, rows, texts, best)

    def changed_by_both(
        self, logits: Sequence[torch.Tensor], rows: torch.Tensor, state: torch.Tensor,
        active: torch.Tensor,
    ) -> int:  # fmt: skip
        """How many logits both change, alike; three copies are asked for."""
        ours, theirs, before = logits
        assert ours.shape[1] == self.size
        self.step.penalise(ours, rows, state, active)
        self.readable(theirs, rows, state, active)
        assert torch.equal(ours, theirs)
        return int((ours != before).sum())


def random_segment(draw: random.Random, tokens: Tokens) -> BoundSegment:
    """Phrases hard and soft, led away from or not, of targets that a bundle has or has not."""
    texts = random_phrases(draw, draw.choice((1, 5, 30)))
    advances = [
        each for at, text in enumerate(texts) for each in tokens.steering.advances(at, text)
    ]
    segment = compile_segment(
        texts,
        np.array([draw.randrange(TARGETS) for _ in texts], np.int32),
        np.array([draw.choice((HARD_PENALTY, SOFT_PENALTY)) for _ in texts], np.float32),
        tokens.letters,
        tokens.words,
        advances if draw.random() < 0.5 else [],
    )
    slots = torch.tensor(draw.sample([-1, *range(SLOTS)], TARGETS))
    return BoundSegment(SegmentTensors(segment, CPU), slots)


def random_filters(draw: random.Random) -> FilterTensors:
    """Three targets' texts, with bounds of their own."""
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(8, 60))) for _ in range(3)]
    filters = [(at, filter_of([text], draw.randint(2, 5))) for at, text in enumerate(texts)]
    return FilterTensors(RunFilters.of(filters), CPU)


def of_phrases(draw: random.Random) -> Case:
    vocabulary = random_vocabulary(draw, draw.choice((20, 80)))
    tokens = Tokens(symbol_vocabulary(vocabulary), CPU)
    bound = [random_segment(draw, tokens) for _ in range(draw.randint(1, 3))]
    return Case(tokens, PhraseMatcher(tokens, bound), None)


def of_protected_texts(draw: random.Random, words_a_token: int) -> Case:
    vocabulary = [f" {word}".encode() for word in WORDS] * 3
    vocabulary += [b"a", b" ", b".", b"\xe6", b"\x9d\xb1"]
    vocabulary += [" ".join(draw.choices(WORDS, k=words_a_token)).encode() for _ in range(4)]
    tokens = Tokens(symbol_vocabulary(vocabulary), CPU)
    bound = [random_segment(draw, tokens)]
    verbatim = VerbatimMatcher(tokens.word_ends(), random_filters(draw))
    return Case(tokens, PhraseMatcher(tokens, bound), verbatim)


def random_steps(draw: random.Random, case: Case, steps: int) -> int:
    """How many logits change over some steps, in which requests join and leave now and then."""
    count = draw.choice((1, 3, 9))
    rows = torch.tensor(draw.sample(range(count + 4), count))
    changed = 0
    for at in range(steps):
        if at % 2 == 0:
            flags = [[draw.random() < 0.6 for _ in range(SLOTS)] for _ in range(count)]
            active = torch.tensor(flags)
        lengths = [draw.randint(0, 12) for _ in range(count)]
        texts = [[draw.randrange(case.size) for _ in range(length)] for length in lengths]
        copies = [strided_logits(count + 4, case.size, at) for _ in range(3)]
        if draw.random() < 0.3:  # something else has taken tokens away, and left some alike
            for copy in copies:
                copy[:, ::3] = -INF
                copy[:, 1::3] = 1.0
        changed += case.changed_by_both(copies, rows, case.reader.read_texts(texts), active)
    return changed


@pytest.mark.parametrize("seed", range(60))
def test_phrases_are_forbidden_as_in_the_readable_form(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(seed)
    # Now and then there is not room enough at first.
    monkeypatch.setattr(step, "_ROOM", draw.choice((1, 1 << 14)))
    assert random_steps(draw, of_phrases(draw), 8) or seed


@pytest.mark.parametrize("words_a_token", [1, 2, 9])
@pytest.mark.parametrize("seed", range(20))
def test_protected_texts_are_kept_as_in_the_readable_form(seed: int, words_a_token: int) -> None:
    draw = random.Random(seed)
    assert random_steps(draw, of_protected_texts(draw, words_a_token), 12)


def test_words_are_kept_apart_as_in_the_readable_form() -> None:
    """With what is penalised on top, now and then, as in a model that knows it."""
    draw = random.Random(3)
    kept = 0
    for seed in range(40):
        case = of_phrases(draw)
        active = torch.ones(2, SLOTS, dtype=torch.bool)
        texts = [[draw.randrange(case.size) for _ in range(6)] for _ in range(2)]
        state = case.reader.read_texts(texts)
        probe = torch.zeros(2, case.size)
        case.matcher.penalise(probe, torch.arange(2), parts(state)[0], active)
        copies = [strided_logits(2, case.size, seed) for _ in range(3)]
        for row in range(2):
            banned = (probe[row] == -INF).nonzero().flatten().tolist()
            if banned:
                for copy in copies:
                    copy[row, banned[seed % len(banned)]] = 9.0
        changed = case.changed_by_both(copies, torch.arange(2), state, active)
        kept += changed > int((probe != 0).sum())
    assert kept > 5


def test_what_is_forbidden_is_so_even_where_the_model_gives_no_number() -> None:
    tokens = Tokens(symbol_vocabulary([b" red", b" wine", b"wine"]), CPU)
    segment = compile_segment(
        ["red", "red wine"], np.zeros(2, np.int32), np.full(2, HARD_PENALTY, np.float32),
        tokens.letters, tokens.words,
    )  # fmt: skip
    bound = BoundSegment(SegmentTensors(segment, CPU), torch.zeros(1, dtype=torch.int64))
    case = Case(tokens, PhraseMatcher(tokens, [bound]), None)
    logits = torch.full((2, 3), float("nan"))
    logits[1] = INF
    state = case.reader.read_texts([[0], [0]])
    case.step.penalise(logits, torch.arange(2), state, torch.ones(2, 1, dtype=torch.bool))
    assert (logits == -INF).all()


def test_no_row_is_no_work() -> None:
    case = of_phrases(random.Random(0))
    logits = torch.zeros(2, case.size)
    state, active = torch.zeros((0, READER_WIDTH)).long(), torch.zeros((0, SLOTS)).bool()
    case.step.penalise(logits, torch.arange(0), state, active)
    assert not logits.any()


def test_a_step_has_machine_code_for_what_it_is_given() -> None:
    """Another kind of array would be compiled for anew, while every request waits."""
    compile_all()
    loops = (phrases.note, phrases.settle, step._lower)
    known = list(map(machine_codes, loops))
    for seed in range(3):
        draw = random.Random(seed)
        random_steps(draw, of_phrases(draw), 2)
        random_steps(draw, of_protected_texts(draw, 1), 2)
    assert list(map(machine_codes, loops)) == known
