"""A key table finds just what a dictionary of the same keys would."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from guard.engine.keytable import KeyTable, KeyTensors, Sieve

# Few high bits, so that many keys share a bucket, and ordinary keys.
keys = st.one_of(st.integers(0, 40), st.integers(0, (1 << 63) - 1))


@given(st.sets(keys, max_size=60), st.lists(keys, max_size=60))
def test_numpy_and_torch_find_the_same_places(known: set[int], asked: list[int]) -> None:
    table = KeyTable.of(np.array(sorted(known), np.int64))
    place_of = {key: place for place, key in enumerate(sorted(known))}
    sought = [*asked, *known]

    places = table.find(np.array(sought, np.int64))
    assert places.tolist() == [place_of.get(key, -1) for key in sought]

    # Keys of no string are -1.
    tensor = torch.tensor([*sought, -1], dtype=torch.int64)
    at, found = KeyTensors(table, torch.device("cpu")).find(tensor)
    assert dict(zip(at.tolist(), found.tolist(), strict=True)) == {
        at: place_of[key] for at, key in enumerate(sought) if key in place_of
    }


@given(st.sets(keys, max_size=60), st.lists(keys, max_size=200))
def test_a_sieve_passes_what_begins_like_a_key_and_nothing_else(
    known: set[int], asked: list[int]
) -> None:
    sieve = Sieve.of(np.array(sorted(known), np.int64))
    assert 8 * len(known) <= 8 * len(sieve.bits) <= max(8, 16 * len(known))
    begun = {key >> sieve.shift for key in known}
    for key in [*asked, *known]:
        bit = key >> sieve.shift
        assert bool(sieve.bits[bit >> 3] >> (bit & 7) & 1) == (bit in begun)
