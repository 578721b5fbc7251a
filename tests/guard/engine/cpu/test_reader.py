"""The compiled reader reaches the same states as the readable one."""

import random

import pytest
import torch

from guard.engine.cpu import reader as loops_of
from guard.engine.cpu.reader import HostReader, compile_reading
from guard.engine.matcher import Tokens
from guard.engine.reader import TextReader
from guard.engine.symbols import symbol_vocabulary
from tests.guard.engine.cpu.test_step import machine_codes
from tests.guard.engine.gpu.cases import random_vocabulary

CPU = torch.device("cpu")
ROWS = 6


@pytest.mark.parametrize("protects", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_a_walk_leads_to_the_same_states(seed: int, protects: bool) -> None:
    draw = random.Random(seed)
    vocabulary = random_vocabulary(draw, 40)
    # As real vocabularies have them: many words, or many separators, in one token.
    vocabulary += [b" a b c" * 14, b" " * 9, b"  a  ", b"abc" * 30, b".", b"*a*"]
    tokens = Tokens(symbol_vocabulary(vocabulary), CPU)
    if protects:
        tokens.word_ends()
    readable, compiled = TextReader(tokens), HostReader(tokens)
    texts = [[draw.randrange(len(vocabulary)) for _ in range(9)] for _ in range(ROWS)]
    ours, theirs = compiled.read_texts(texts), readable.read_texts(texts)
    for _ in range(25):
        token = torch.tensor([draw.randrange(len(vocabulary) + 1) for _ in range(ROWS)])
        ours, theirs = compiled.advance(ours, token), readable.advance(theirs, token)
        assert torch.equal(ours, theirs)


def test_protected_texts_may_come_later() -> None:
    tokens = Tokens(symbol_vocabulary([b" a", b"b"]), CPU)
    readable, compiled = TextReader(tokens), HostReader(tokens)
    first = torch.tensor([0, 1])
    assert torch.equal(
        compiled.advance(compiled.read_texts([[], [0]]), first),
        readable.advance(readable.read_texts([[], [0]]), first),
    )
    tokens.word_ends()
    assert torch.equal(
        compiled.advance(compiled.read_texts([[], [0]]), first),
        readable.advance(readable.read_texts([[], [0]]), first),
    )


def test_a_step_has_machine_code_for_what_it_is_given() -> None:
    tokens = Tokens(symbol_vocabulary([b" a", b"b"]), CPU)
    tokens.word_ends()
    reader = HostReader(tokens)
    compile_reading()
    known = machine_codes(loops_of.read)
    for rows in (1, 2):
        reader.advance(reader.read_texts([[0]] * rows), torch.tensor([1] * rows))
    assert machine_codes(loops_of.read) == known
