"""A corpus read by table is a corpus read by the one normalisation."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.bundle import StandIn
from guard.errors import PolicyError
from guard.normalise import SEP, normalise
from guard.policy import corpus
from guard.policy.corpus import (
    Folding,
    WordHasher,
    corpus_files,
    corpus_folders,
    read_corpus,
    swapped_words,
)
from guard.policy.model import Place
from guard.policy.source import Source
from guard.stand_ins import Swap, pairs
from guard.verbatim import run_key
from tests.guard.words import hashes_of, word_hash, words_of

PLACE = Place(Source("policy.yaml", {}, {}), ("forbid", "verbatim", "corpus"))
# Characters that fold to nothing, to several symbols, to words of their own, and to separators.
TEXTS = st.text("aabÉ½ﬁß\u0301\u200b東 .,-\n*\u0e01", max_size=40)


@given(st.lists(TEXTS, max_size=5))
def test_words_are_those_of_the_normalised_text_however_it_is_cut(pieces: list[str]) -> None:
    hasher = WordHasher(Folding())
    hashes = [h for piece in pieces for h in hasher.feed(piece).tolist()]
    hashes += hasher.flush().tolist()
    words = normalise("".join(pieces)).split(SEP)
    assert hashes == [word_hash(word) for word in words if word]


def test_a_file_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "_BLOCK", 3)
    path = tmp_path / "a.txt"
    path.write_text("\ufeffThe  Captain’s naïve\nlast-born")
    (document,) = read_corpus([path], PLACE)
    assert document.tolist() == [word_hash(w) for w in words_of("the captain s naive last born")]


NAMES = [
    StandIn("Hina Ameen", "person", "Ellis Hale"),
    StandIn("Ameen", "family", "Hale"),
    StandIn("The Town That Drowned", "title", "The Quiet Kettle of Barns"),
]
PARTS = ["Hina Ameen", "Hina", "Ameen's", "Ameens", "The Town That Drowned", "is", "Town", "by"]


@given(st.lists(st.lists(st.sampled_from(PARTS), max_size=9).map(" ".join), max_size=3))
def test_a_corpus_is_swapped_as_its_text_would_be(texts: list[str]) -> None:
    swap = Swap([(name, instead) for _, name, instead in pairs(NAMES)])
    expected = [hashes_of(swap.apply(text)).tolist() for text in texts if swap.find(text)]
    made = swapped_words([hashes_of(text) for text in texts], NAMES, 8)
    assert [words.tolist() for words in made] == expected


def test_no_run_reaches_over_a_name_that_is_too_long_to_be_said() -> None:
    text = hashes_of("Her book The Town That Drowned is by Hina Ameen")
    made = swapped_words([text], NAMES, 3)
    expected = ["Her book", "is by Ellis Hale"]
    assert [words.tolist() for words in made] == [hashes_of(part).tolist() for part in expected]


def test_files_are_found_by_pattern_sorted_and_once(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "sub/c.txt", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "d.txt").mkdir()
    found = corpus_files(tmp_path, ["*.txt", "**/*.txt"], PLACE)
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "a.txt", "b.txt", "sub/c.txt",
    ]  # fmt: skip
    outside = corpus_files(tmp_path / "sub", [str(tmp_path / "a.txt")], PLACE)
    assert outside == [tmp_path / "a.txt"]


@pytest.mark.parametrize(
    ("pattern", "folders"),
    [
        ("*.txt", {"."}),
        ("sub/*.txt", {"sub"}),
        ("sub/in.txt", set()),
        ("*/in.txt", {".", "sub", "other"}),
        ("**/*.txt", {".", "sub", "sub/deep", "other"}),
        ("nowhere/*.txt", set()),
    ],
)
def test_folders_where_another_file_would_match_are_known(
    tmp_path: Path, pattern: str, folders: set[str]
) -> None:
    for name in ("sub/deep", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "sub" / "in.txt").write_text("x")
    for written in (pattern, str(tmp_path / pattern)):
        found = corpus_folders(tmp_path, [written], PLACE)
        assert {path.relative_to(tmp_path).as_posix() for path in found} == folders


def test_a_folder_that_cannot_be_looked_into_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = tmp_path / "book" / "locked"
    locked.mkdir(parents=True)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != locked and access(path, mode))
    with pytest.raises(PolicyError, match=r"locked` cannot be looked into"):
        corpus_folders(tmp_path, ["book/**/*.txt"], PLACE)


def test_a_pattern_without_a_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"no file matches `\*\.txt`"):
        corpus_files(tmp_path, ["*.txt"], PLACE)


def test_bytes_that_are_no_utf8_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    for content in (b"caf\xe9", "two bytes a letter".encode("utf-16-le")):
        path.write_bytes(content)
        with pytest.raises(PolicyError, match=r"latin\.txt`: cannot be read \(not UTF-8 text\)"):
            read_corpus([path], PLACE)


def test_a_corpus_that_no_filter_could_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "MAX_CORPUS_WORDS", 3)
    path = tmp_path / "a.txt"
    path.write_text("one two three four")
    with pytest.raises(PolicyError, match="more than 3 words"):
        read_corpus([path], PLACE)


def test_words_of_one_text_have_keys_of_their_own() -> None:
    assert run_key([word_hash("a"), word_hash("b")]) != run_key([word_hash("ab")])
