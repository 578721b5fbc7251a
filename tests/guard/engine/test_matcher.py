"""The matcher bans exactly the tokens that would complete a phrase, on any walk of tokens."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.engine.matcher import BoundSegment, PhraseMatcher, SegmentTensors, Tokens
from guard.engine.segment import HARD_PENALTY, SOFT_PENALTY, compile_segment
from guard.engine.symbols import symbol_vocabulary
from guard.normalise import normalise
from guard.phrase_table import BundlePhrase
from tests.guard.engine.oracle import completed

CPU = torch.device("cpu")


def matcher_of(rows: Sequence[BundlePhrase], vocabulary: Sequence[bytes]) -> PhraseMatcher:
    """All phrases in one segment."""
    tokens = Tokens(symbol_vocabulary(vocabulary), CPU)
    penalties = [HARD_PENALTY if row.strength == "hard" else SOFT_PENALTY for row in rows]
    targets = np.array([row.target for row in rows], np.int32)
    segment = compile_segment(
        [row.text for row in rows],
        targets,
        np.array(penalties, np.float32),
        tokens.letters,
        tokens.words,
    )
    slots = torch.arange(int(targets.max()) + 1)
    return PhraseMatcher(tokens, [BoundSegment(SegmentTensors(segment, CPU), slots)])


def matcher_for(phrases: Sequence[str], vocabulary: Sequence[bytes]) -> PhraseMatcher:
    """A target for each phrase."""
    rows = [BundlePhrase(text, index, "hard") for index, text in enumerate(phrases)]
    return matcher_of(rows, vocabulary)


def banned_per_target(
    matcher: PhraseMatcher, state: torch.Tensor, n_targets: int
) -> list[set[int]]:
    """Which targets ban each token, asking for one target at a time."""
    per_token: list[set[int]] = [set() for _ in range(matcher.windows.vocab_size)]
    logits = torch.zeros(n_targets, matcher.windows.vocab_size)
    rows, active = torch.arange(n_targets), torch.eye(n_targets, dtype=torch.bool)
    matcher.penalise(logits, rows, state.expand(n_targets, -1), active)
    assert not logits.isnan().any()
    for target, token in (logits == float("-inf")).nonzero().tolist():
        per_token[token].add(target)
    return per_token


def walk_and_compare(
    phrases: Sequence[str], vocabulary: Sequence[bytes], walk: Sequence[int]
) -> None:
    matcher = matcher_for(phrases, vocabulary)
    state = matcher.windows.start()
    before = b""
    for token in [*walk, None]:
        expected = [completed(before, piece, phrases) for piece in vocabulary]
        assert banned_per_target(matcher, state, len(phrases)) == expected, before
        if token is None:
            return
        before += vocabulary[token]
        state = matcher.windows.advance(state, torch.tensor([token]))


ALPHABET = "aAbBéÉ .,-\u200b\u0301ßЖж東京'"
pieces = st.one_of(
    st.text(ALPHABET, min_size=0, max_size=4).map(str.encode),
    st.sampled_from([b"\xc3", b"\xa9", b"\xe6", b"\x9d\xb1", b"\x9d", b"\xb1a", b"\xff", b"\xed"]),
    st.sampled_from([b"\xa0", b"\x80", b"\xf0\x9f", b"\x98\x80", b"\x80\x80\x80\x80", b"\xb1 b"]),
)
phrase_lists = st.lists(
    st.text(ALPHABET, min_size=1, max_size=10).map(normalise).filter(bool), min_size=1, max_size=6
)


@settings(max_examples=150, deadline=None)
@given(phrase_lists, st.lists(pieces, min_size=1, max_size=14), st.data())
def test_bans_equal_append_decode_normalise_search(
    phrases: list[str], vocabulary: list[bytes], data: st.DataObject
) -> None:
    walk = data.draw(st.lists(st.integers(0, len(vocabulary) - 1), max_size=6))
    walk_and_compare(phrases, vocabulary, walk)


def test_a_code_point_split_over_tokens_completes_a_phrase() -> None:
    vocabulary = [b"caf", b"\xc3", b"\xa9", b"\xa9s", b"\xa9 s", b"e"]
    matcher = matcher_for([normalise("café")], vocabulary)
    state = matcher.windows.read_texts([[0, 1]])
    banned = banned_per_target(matcher, state, 1)
    assert [bool(b) for b in banned] == [False, False, True, False, True, False]


def test_only_active_targets_are_banned() -> None:
    matcher = matcher_for(["red", "blue"], [b" red", b" blue"])
    logits = torch.zeros(3, 2)
    state = matcher.windows.read_texts([[], []])
    matcher.penalise(
        logits, torch.tensor([2, 0]), state, torch.tensor([[True, False], [False, True]])
    )
    inf = float("-inf")
    assert logits.tolist() == [[0.0, inf], [0.0, 0.0], [inf, 0.0]]


def test_a_soft_phrase_is_penalised_once_and_finitely() -> None:
    matcher = matcher_of([BundlePhrase("red", 0, "soft")], [b" red", b"red", b" redo"])
    state = matcher.windows.read_texts([[]])
    logits = torch.zeros(1, 3)
    matcher.penalise(logits, torch.tensor([0]), state, torch.ones(1, 1, dtype=torch.bool))
    assert logits.tolist() == [[SOFT_PENALTY, SOFT_PENALTY, 0.0]]


def test_a_hard_phrase_wins_over_a_soft_one_of_the_same_words() -> None:
    rows = [BundlePhrase("red", 0, "soft"), BundlePhrase("red", 0, "hard")]
    matcher = matcher_of(rows, [b"red"])
    state = matcher.windows.read_texts([[]])
    logits = torch.zeros(1, 1)
    matcher.penalise(logits, torch.tensor([0]), state, torch.ones(1, 1, dtype=torch.bool))
    assert logits.item() == float("-inf")


@settings(max_examples=60, deadline=None)
@given(phrase_lists, st.lists(pieces, min_size=1, max_size=10), st.data())
def test_a_text_read_from_its_end_reaches_the_state_of_a_full_reading(
    phrases: list[str], vocabulary: list[bytes], data: st.DataObject
) -> None:
    matcher = matcher_for(phrases, vocabulary)
    texts = data.draw(
        st.lists(st.lists(st.integers(0, len(vocabulary) - 1), max_size=40), min_size=1, max_size=4)
    )
    states = matcher.windows.read_texts(texts)
    for row, text in enumerate(texts):
        state = matcher.windows.start()
        for token in text:
            state = matcher.windows.advance(state, torch.tensor([token]))
        n_targets = len(phrases)
        ours = banned_per_target(matcher, states[row : row + 1], n_targets)
        assert ours == banned_per_target(matcher, state, n_targets)


def test_a_continuation_byte_that_finishes_a_letter_is_not_taken_for_a_separator() -> None:
    matcher = matcher_for(["a"], [b"\xc3", b"\xa9", b"A"])
    state = matcher.windows.read_texts([[0, 1, 1], [0, 1]])
    banned = [banned_per_target(matcher, state[row : row + 1], 1)[2] for row in range(2)]
    assert banned == [{0}, set()]


def test_a_long_phrase_is_met_without_spaces_inside_words_and_letter_by_letter() -> None:
    vocabulary = [b"at", b" ", b"Kuwait", b"City", b"s", *(bytes([c]) for c in b"KuwaitCy-")]
    matcher = matcher_for(["kuwait city"], vocabulary)
    glued = [0, 2]
    spaced = [token for c in b"Kuwait-Cit" for token in (5 + b"KuwaitCy-".index(bytes([c])), 1)]
    state = matcher.windows.read_texts([glued, spaced])
    assert banned_per_target(matcher, state[:1], 1)[3] == {0}
    assert banned_per_target(matcher, state[1:], 1)[5 + b"KuwaitCy-".index(b"y")] == {0}


def test_separators_between_the_words_of_a_phrase_do_not_shorten_the_memory() -> None:
    vocabulary = [b"kuwait", b"\n", b"city"]
    matcher = matcher_for(["kuwait city"], vocabulary)
    state = matcher.windows.read_texts([[0] + [1] * 500])
    assert banned_per_target(matcher, state, 1)[2] == {0}


@pytest.mark.parametrize("seed", range(3))
def test_unflagged_rows_keep_every_bit(seed: int) -> None:
    draw = random.Random(seed)
    vocabulary = [bytes([draw.randrange(97, 100)]) for _ in range(20)]
    matcher = matcher_for(["a", "b a"], vocabulary)
    logits = torch.randn(4, 20, generator=torch.Generator().manual_seed(seed))
    kept = logits.clone()
    state = matcher.windows.read_texts([[], [1, 2], [3], [4]])
    matcher.penalise(logits, torch.arange(4), state, torch.zeros(4, 2, dtype=torch.bool))
    assert torch.equal(logits, kept)
