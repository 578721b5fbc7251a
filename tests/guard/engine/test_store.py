"""Compiled segments come back as they were, or not at all."""

from pathlib import Path

import numpy as np
import pytest
import torch

from guard.engine.matcher import Tokens
from guard.engine.segment import Segment, compile_segment
from guard.engine.store import FOLDER, SegmentStore
from guard.engine.symbols import SymbolVocabulary, symbol_vocabulary

KEY = b"k" * 32
TEXTS = ["red", "blue moon", "abcdef"]
TARGETS = np.array([0, 1, 1], np.int32)
PENALTIES = np.array([-np.inf, -8, -np.inf], np.float32)
NONE = np.full(3, -1, np.int16)
FIELDS = ("offset", "low", "high", "target", "penalty")


@pytest.fixture
def symbols() -> SymbolVocabulary:
    return symbol_vocabulary([b" red", b"blue", b" moon", b"abc", b"def", b"d"])


@pytest.fixture
def segment(symbols: SymbolVocabulary) -> Segment:
    tokens = Tokens(symbols, torch.device("cpu"))
    return compile_segment(TEXTS, TARGETS, PENALTIES, tokens.letters, tokens.words)


def digest_of(store: SegmentStore) -> str:
    return store.digest_of(TEXTS, TARGETS, PENALTIES, NONE)


def test_what_was_kept_comes_back(
    tmp_path: Path, symbols: SymbolVocabulary, segment: Segment
) -> None:
    store = SegmentStore(tmp_path, KEY, symbols)
    digest = digest_of(store)
    assert store.load(digest) is None
    store.save(digest, segment)
    found = SegmentStore(tmp_path, KEY, symbols).load(digest)
    assert found is not None
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(found, name), getattr(segment, name))
    np.testing.assert_array_equal(found.table.keys, segment.table.keys)
    np.testing.assert_array_equal(found.table.directory, segment.table.directory)
    assert found.table.find(segment.table.keys).tolist() == list(range(len(segment.table.keys)))


def test_other_phrases_or_another_vocabulary_have_another_name(
    tmp_path: Path, symbols: SymbolVocabulary
) -> None:
    store = SegmentStore(tmp_path, KEY, symbols)
    other = SegmentStore(tmp_path, KEY, symbol_vocabulary([b" re", b"d"]))
    names = {
        digest_of(store),
        digest_of(other),
        store.digest_of([*TEXTS[:2], "abcdeg"], TARGETS, PENALTIES, NONE),
        store.digest_of(TEXTS, TARGETS[::-1].copy(), PENALTIES, NONE),
        store.digest_of(TEXTS, TARGETS, np.zeros(3, np.float32), NONE),
        store.digest_of(TEXTS, TARGETS, PENALTIES, NONE + np.int16(1)),
    }
    assert len(names) == 6


@pytest.mark.parametrize("file", ["keys.npy", "penalty.npy", "manifest.json"])
def test_what_was_altered_is_not_used(
    tmp_path: Path, symbols: SymbolVocabulary, segment: Segment, file: str
) -> None:
    store = SegmentStore(tmp_path, KEY, symbols)
    digest = digest_of(store)
    store.save(digest, segment)
    path = tmp_path / FOLDER / digest / file
    data = path.read_bytes()
    path.write_bytes(data[:-2] + b"}0"[:2])
    assert store.load(digest) is None


def test_what_another_key_sealed_is_not_used(
    tmp_path: Path, symbols: SymbolVocabulary, segment: Segment
) -> None:
    store = SegmentStore(tmp_path, KEY, symbols)
    digest = digest_of(store)
    SegmentStore(tmp_path, b"x" * 32, symbols).save(digest, segment)
    assert store.load(digest) is None


def test_where_nothing_can_be_written_nothing_is_kept(
    tmp_path: Path, symbols: SymbolVocabulary, segment: Segment
) -> None:
    (tmp_path / FOLDER).write_text("in the way")
    store = SegmentStore(tmp_path, KEY, symbols)
    store.save(digest_of(store), segment)
    assert store.load(digest_of(store)) is None


def test_the_oldest_go(tmp_path: Path, symbols: SymbolVocabulary, segment: Segment) -> None:
    store = SegmentStore(tmp_path, KEY, symbols)
    for place in range(7):
        store.save(f"{place:064x}", segment)
    assert len(list((tmp_path / FOLDER).iterdir())) == 4
    assert store.load(f"{6:064x}") is not None
