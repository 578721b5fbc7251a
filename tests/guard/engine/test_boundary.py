"""Where the next word is taken from a model, the last one does not go on in its place."""

import pytest
import torch

from guard.engine.boundary import REOPENING
from guard.engine.matcher import Tokens
from guard.engine.symbols import symbol_vocabulary

CPU = torch.device("cpu")
PIECES = [
    b"",
    b"her",
    b" Love",
    b"Love",
    b"rade",
    b".",
    b" new",
    b'"',
    b"\xc3",
    b"\xa9",
    b"1",
    b" ",
]
TOKEN = {piece: token for token, piece in enumerate(PIECES)}
TOKENS = Tokens(symbol_vocabulary(PIECES), CPU)
# Those that go on with a word; one that begins within a letter may do anything.
ON = {b"her", b"Love", b"rade", b"1"}
LOGITS = torch.linspace(-1, 0, len(PIECES))


def lowered(text: list[bytes], best: bytes, taken: bytes | None) -> set[bytes]:
    """What is lowered beyond ``taken``, after a text whose best token is ``best``."""
    boundaries, rows = TOKENS.boundaries, torch.tensor([1])
    logits = torch.stack([LOGITS, LOGITS, LOGITS])
    logits[1, TOKEN[best]] = 5.0
    known = boundaries.best(logits, rows)
    assert known.token.tolist() == [TOKEN[best]]
    if taken is not None:
        logits[1, TOKEN[taken]] = float("-inf")
    before = logits.clone()
    state = TOKENS.windows.read_texts([[TOKEN[piece] for piece in text]])
    boundaries.keep(logits, rows, state, known)
    assert torch.equal(logits[[0, 2]], before[[0, 2]])
    (changed,) = torch.nonzero(logits[1] != before[1], as_tuple=True)
    assert torch.equal(logits[1, changed], before[1, changed] + REOPENING)
    return {PIECES[token] for token in changed.tolist()}


@pytest.mark.parametrize("best", [b" Love", b" new", b".", b'"', b" "])
def test_a_finished_word_does_not_go_on_where_what_follows_it_was_taken(best: bytes) -> None:
    assert lowered([b"her"], best, taken=best) == ON


def test_nothing_changes_where_the_best_token_is_left() -> None:
    assert lowered([b"her"], b" new", taken=None) == set()
    assert lowered([b"her"], b" new", taken=b" Love") == set()


def test_a_word_under_way_may_go_on_otherwise() -> None:
    assert lowered([b"her"], b"rade", taken=b"rade") == set()


@pytest.mark.parametrize("text", [[], [b"her", b" "], [b"her", b'"'], [b"her", b"."]])
def test_a_text_that_ends_with_no_word_has_none_to_keep(text: list[bytes]) -> None:
    assert lowered(text, b" Love", taken=b" Love") == set()


def test_a_letter_under_way_is_left_to_finish() -> None:
    assert lowered([b"her", b"\xc3"], b" Love", taken=b" Love") == set()


def test_of_tokens_that_tie_the_first_is_the_best() -> None:
    best = TOKENS.boundaries.best(torch.zeros(2, len(PIECES)), torch.tensor([1, 0]))
    assert best.token.tolist() == [0, 0]
