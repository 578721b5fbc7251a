"""Runs read from tokens are the words of the decoded text."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.engine.runs import RUNS_WIDTH, RunWindows, Words
from guard.engine.symbols import pending_after, symbol_vocabulary
from guard.engine.windows import TextWindows
from guard.normalise import SEP, fold_bytes
from guard.verbatim import MAX_WORDS
from tests.guard.words import open_hash, word_hash

CPU = torch.device("cpu")
pieces = st.one_of(
    st.text("aAé .-\u200b\u0301½東", max_size=5).map(str.encode),
    st.sampled_from([b"\xc3", b"\xa9", b"\xe6", b"\x9d\xb1", b"\x9d", b"\xb1a", b"\xff", b"\xc2"]),
    st.sampled_from([b"\xbd", b"\xbdb c", b"\xf0\x9f", b"\x98\x80", b"\x80\x80\x80\x80"]),
)


def reader(vocabulary: list[bytes]) -> RunWindows:
    symbols = symbol_vocabulary(vocabulary)
    return RunWindows(symbols, Words(symbols), TextWindows(symbols, CPU))


def expected(data: bytes) -> list[int]:
    folded = fold_bytes(data)
    words = folded.split()
    last = words.pop() if folded[-1:] not in ("", SEP) else ""
    before = [word_hash(word) for word in words[::-1][:MAX_WORDS]]
    return [open_hash(last), *before, *[0] * (MAX_WORDS - len(before)), pending_after(data)]


@settings(max_examples=50)
@given(st.lists(pieces, min_size=1, max_size=12), st.data())
def test_advancing_by_tokens_reads_the_words_of_the_decoded_text(
    vocabulary: list[bytes], data: st.DataObject
) -> None:
    runs = reader(vocabulary)
    rows = 3
    walks = [
        data.draw(st.lists(st.integers(0, len(vocabulary)), min_size=9, max_size=9))
        for _ in range(rows)
    ]
    ours = runs.start(rows)
    for step in range(9):
        token = torch.tensor([walk[step] for walk in walks])
        ours = runs.advance(ours, token)
        read = [[*vocabulary, b""][token] for walk in walks for token in walk[: step + 1]]
        texts = [b"".join(read[row * (step + 1) : (row + 1) * (step + 1)]) for row in range(rows)]
        assert ours.tolist() == [expected(text) for text in texts]


@settings(max_examples=50)
@given(st.lists(pieces, min_size=1, max_size=12), st.data())
def test_a_text_read_from_its_end_is_as_good_as_all_of_it(
    vocabulary: list[bytes], data: st.DataObject
) -> None:
    runs = reader(vocabulary)
    token = st.integers(0, len(vocabulary) - 1)
    texts = data.draw(st.lists(st.lists(token, max_size=120), min_size=1, max_size=3))
    # Long enough that only a part of some is read.
    texts = [text * repeats for text in texts for repeats in (1, 9)]
    whole = [b"".join(vocabulary[token] for token in text) for text in texts]
    assert runs.read_texts(texts).tolist() == [expected(text) for text in whole]


def test_a_word_longer_than_what_is_read_at_first_is_read_whole() -> None:
    runs = reader([b"a", b" "])
    text = [0, 1] * 100 + [0] * 3000
    assert runs.read_texts([text])[0, :2].tolist() == [open_hash("a" * 3000), word_hash("a")]


def test_a_token_with_more_words_than_count_leaves_the_last() -> None:
    text = " ".join(f"w{number}" for number in range(100)) + " end"
    runs = reader([text.encode()])
    ours = runs.advance(runs.start(), torch.tensor([0]))
    assert ours.shape == (1, RUNS_WIDTH)
    assert ours[0].tolist() == expected(text.encode())
