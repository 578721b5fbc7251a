"""Hashes of parts of a string follow from those of its beginnings, in numpy and in torch."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from guard.engine.lexicon import RaggedSymbols
from guard.hashing import (
    finish,
    finish_one,
    inverse_powers,
    powers,
    salts,
    symbol_value,
    symbol_values,
)

texts = st.lists(st.text("abé ж東", max_size=9), min_size=1, max_size=6)


def hash_of(text: str) -> int:
    value = 0
    for symbol in RaggedSymbols.of([text]).values.tolist():
        value = (value * int(powers(2)[1]) + symbol) % (1 << 64)
    return value - (1 << 64) if value >= 1 << 63 else value


@given(texts)
def test_beginnings_of_ragged_texts(rows: list[str]) -> None:
    width = max(map(len, rows))
    hashes = RaggedSymbols.of(rows).prefix_hashes(np.arange(len(rows)), width)
    expected = [
        [hash_of(text[:length]) if length <= len(text) else 0 for length in range(width + 1)]
        for text in rows
    ]
    assert hashes.tolist() == expected


@given(st.text("abé", min_size=1, max_size=9), st.data())
def test_a_part_follows_from_two_beginnings(text: str, data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, len(text)))
    hashes = RaggedSymbols.of([text]).prefix_hashes(np.arange(1), len(text))[0]
    part = hashes[[end]] - hashes[[begin]] * powers(len(text) + 1)[end - begin]
    assert part.item() == hash_of(text[begin:end])


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), min_size=1))
def test_numpy_and_torch_finish_alike_and_never_below_zero(values: list[int]) -> None:
    ours = finish(np.array(values, np.int64))
    assert ours.tolist() == finish(torch.tensor(values, dtype=torch.int64)).tolist()
    assert (ours >= 0).all()


def test_the_same_hash_at_another_length_is_another_key() -> None:
    keys = finish(np.zeros(65, np.int64) + salts(65, 1))
    assert len(set(keys.tolist())) == 65


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), min_size=1))
def test_one_number_is_finished_as_many_are(values: list[int]) -> None:
    together = finish(np.array(values, np.int64)).tolist()
    assert [finish_one(value) for value in values] == together


@given(st.text(min_size=1))
def test_one_symbol_counts_for_what_many_do(text: str) -> None:
    together = symbol_values(np.array([ord(symbol) for symbol in text], np.int64))
    assert [symbol_value(ord(symbol)) for symbol in text] == together.tolist()


def test_inverse_powers_undo_powers() -> None:
    assert (powers(70) * inverse_powers(70) == 1).all()
