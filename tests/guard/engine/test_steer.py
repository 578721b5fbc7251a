"""What leads further into a phrase costs the more, the less is left to guess."""

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.engine.matcher import BoundSegment, PhraseMatcher, SegmentTensors, Tokens
from guard.engine.segment import HARD_PENALTY, Advance, Segment, compile_segment
from guard.engine.steer import Schedule, Steering, WordBits
from guard.engine.symbols import symbol_vocabulary
from guard.normalise import SEP, fold_bytes, normalise
from guard.phrases import letters_of
from tests.guard.engine.oracle import completed

CPU = torch.device("cpu")
# Common words first, as tokenizers number them; rare ones after many others.
VOCABULARY = [
    *(f" {word}".encode() for word in ("the", "of", "city")),
    *(f" {number}".encode() for number in range(1000, 1300)),
    *(f" {word}".encode() for word in ("kurt", "kuwait", "seine")),
    *(b" ku", b"ku", b"wait", b" ci", b"ty", b" s", b"!", b" kuw", b" by"),
    *(bytes([letter]) for letter in b"abcdefghijklmnopqrstuvwxyz -"),
]
SCHEDULE = Schedule(free_bits=6.0, per_bit=1.0, most=2.5)


@cache
def served() -> tuple[Tokens, Steering]:
    vocabulary = symbol_vocabulary(VOCABULARY)
    tokens = Tokens(vocabulary, CPU)
    return tokens, Steering(vocabulary, tokens.letters, tokens.words, SCHEDULE)


def penalties_after(text: bytes, phrases: list[str]) -> dict[bytes, float]:
    """What each token loses after a text; tokens that lose nothing are left out."""
    tokens, steering = served()
    segment = compile_segment(
        phrases,
        np.zeros(len(phrases), np.int32),
        np.full(len(phrases), HARD_PENALTY, np.float32),
        tokens.letters,
        tokens.words,
        [advance for i, phrase in enumerate(phrases) for advance in steering.advances(i, phrase)],
    )
    bound = BoundSegment(SegmentTensors(segment, CPU), torch.zeros(1, dtype=torch.int64))
    state = tokens.windows.read_texts([[VOCABULARY.index(bytes([byte])) for byte in text]])
    logits = torch.zeros(1, len(VOCABULARY))
    active = torch.ones(1, 1, dtype=torch.bool)
    matcher = PhraseMatcher(tokens, [bound])
    matcher.penalise(logits, torch.arange(1), state, active)
    return {VOCABULARY[token]: logits[0, token].item() for token in logits[0].nonzero().flatten()}


def test_bits_grow_along_a_phrase_and_most_where_a_word_is_rare() -> None:
    bits = WordBits(symbol_vocabulary(VOCABULARY))
    along = bits.along("the kuwait")
    assert along == sorted(along)
    assert bits.along("the")[-1] < bits.along("kuwait")[-1] < bits.along("zebra")[-1]
    assert bits.along("ku")[-1] < bits.along("kuw")[-1]
    assert along[4] == along[3]  # a separator tells nothing
    assert bits.along("") == [0.0]


def test_a_rare_beginning_costs_and_a_common_word_does_not() -> None:
    lost = penalties_after(b"", ["the kuwait"])
    assert not lost
    after = penalties_after(b"so the", ["the kuwait"])
    assert after[b" kuwait"] == HARD_PENALTY
    assert HARD_PENALTY < after[b" kuw"] <= after[b" ku"] < 0
    assert b"ku" not in after  # it would make another word, "theku"
    assert b"!" not in after


def test_after_a_space_a_token_counts_with_and_without_one_of_its_own() -> None:
    lost = penalties_after(b"in ", ["kuwait city"])
    assert lost[b" kuwait"] == lost[b" kuw"] == -SCHEDULE.most
    assert lost[b"ku"] == lost[b" ku"] < 0


def test_the_penalty_goes_on_within_the_phrase_and_beyond_the_window_for_words() -> None:
    phrase = "kuwait city by the seine"
    assert penalties_after(b"kuwait", [phrase])[b" city"] == -SCHEDULE.most
    late = penalties_after(b"kuwait city by the", [phrase])
    assert late[b" seine"] == HARD_PENALTY
    assert late[b" s"] == -SCHEDULE.most


def test_no_token_is_banned_for_beginning_a_phrase() -> None:
    lost = penalties_after(b"", ["kuwait city", "the seine", "city of kurt"])
    assert lost
    assert all(value > HARD_PENALTY for value in lost.values())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(["the", "ku", "kuwait", "city", "by", "seine", "s", "of"]),
        min_size=1,
        max_size=4,
    ).map(" ".join),
    st.lists(st.sampled_from(["the ", "kuwait ", "ci", "ku", "s", " ", "by-", "of "]), max_size=4),
)
def test_bans_stay_exact_and_only_what_goes_along_the_phrase_is_lowered(
    phrase: str, written: list[str]
) -> None:
    text = "".join(written).encode()
    lost = penalties_after(text, [normalise(phrase)])
    before, pattern = SEP + fold_bytes(text).lstrip(SEP), SEP + phrase
    for token in VOCABULARY:
        banned = bool(completed(text, token, [phrase]))
        assert (lost.get(token) == HARD_PENALTY) == banned, token
        if token in lost and not banned:
            after = (
                SEP + fold_bytes(text + token).lstrip(SEP),
                letters_of(fold_bytes(text + token)),
            )
            begun = [
                after[0].endswith(pattern[:end]) or after[1].endswith(letters_of(pattern[:end]))
                for end in range(2, len(pattern))
            ]
            assert any(begun), (before, token)
            assert -SCHEDULE.most <= lost[token] < 0


@pytest.mark.parametrize(("bits", "expected"), [(0, 0), (6, 0), (7, -1), (8.25, -2.25), (60, -2.5)])
def test_the_schedule(bits: float, expected: float) -> None:
    assert SCHEDULE.penalty(bits) == expected


def test_what_people_ask_by_gives_nothing_away() -> None:
    _, steering = served()

    def begun(phrase: str, turn: int) -> set[str]:
        every = steering.advances(0, phrase, turn)
        return {each.begun for each in every if not each.letters_alone}

    assert {"", " ", " ku"} < begun("kuwait seine kurt", 0)
    assert begun("kuwait seine kurt", len("kuwait")) == {" kuwait", " kuwait "}
    # "City" is too common a word to tell anything.
    assert begun("kuwait city", len("kuwait")) == set()


@pytest.mark.parametrize("targets", [[0, 0, 0], [0, 1, 0], [0, 1, 2]])
def test_phrases_that_begin_alike_share_what_leads_into_them(targets: list[int]) -> None:
    tokens, steering = served()
    phrases = ["kuwait city", "kuwait seine", "kuwait by"]
    advances = [each for at, text in enumerate(phrases) for each in steering.advances(at, text)]

    def compiled(chosen: list[Advance]) -> Segment:
        owner, penalty = np.array(targets, np.int32), np.full(3, HARD_PENALTY, np.float32)
        return compile_segment(phrases, owner, penalty, tokens.letters, tokens.words, chosen)

    distinct = {(targets[a.phrase], a.begun, a.letters_alone, a.low, a.high) for a in advances}
    assert len(compiled(advances).low) - len(compiled([]).low) == len(distinct)
    assert (len(distinct) < len(advances)) == (len(set(targets)) < 3)


def test_of_penalties_that_differ_the_strongest_is_kept() -> None:
    tokens, _ = served()
    low, high = tokens.words.exact(" seine") or (0, 0)
    advances = [
        Advance(place, " by ", False, low, high, penalty)
        for place, penalty in enumerate((-1.0, -2.5, -0.5))
    ]
    segment = compile_segment(
        ["by kurt", "by ku", "by the"], np.zeros(3, np.int32),
        np.full(3, HARD_PENALTY, np.float32), tokens.letters, tokens.words, advances,
    )  # fmt: skip
    finite = segment.penalty[np.isfinite(segment.penalty)]
    assert finite.tolist() == [-2.5]
