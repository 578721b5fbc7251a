"""Protected texts as a policy names them: read once, told apart, and refused with the fix."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from guard.policy.corpus import read_corpus
from guard.policy.load import load_policy
from guard.policy.trained import trained_path
from guard.verbatim import run_key
from tests.guard.policy.writing import only, target, verbatim, write
from tests.guard.words import runs_of, word_hash

BOOK = "The lanterns of Saltgate burn low\u2014and the bells, the NINTH bell, ring."


def book(folder: Path, text: str = BOOK, name: str = "one.txt") -> Path:
    (folder / "book").mkdir(exist_ok=True)
    path = folder / "book" / name
    path.write_text(text)
    return path


def test_a_protected_text_is_read_as_the_runs_that_it_forbids(tmp_path: Path) -> None:
    files = [book(tmp_path), book(tmp_path, "Another text of some more words.", "two.txt")]
    path = write(tmp_path, target(forbid={"verbatim": verbatim(words=5)}))
    policy = load_policy(path)
    made = policy.targets[0].verbatim
    assert made is not None
    assert (made.words, made.corpus_words) == (5, 19)
    assert policy.files == (path, trained_path(path), *files, files[0].parent)
    assert policy.warnings == ()
    for run in runs_of([file.read_text() for file in files], 6):
        assert made.holds_one(run_key([word_hash(word) for word in run]))
    over_two = "bell ring another text of some"
    assert not made.holds_one(run_key([word_hash(word) for word in over_two.split()]))


def test_a_protected_text_shorter_than_its_bound_is_refused(tmp_path: Path) -> None:
    book(tmp_path, "one two three four five")
    error = only(write(tmp_path, target(forbid={"verbatim": verbatim(words=5)})))
    assert error.field == "targets[0].forbid.verbatim.corpus"
    assert "no file holds a run of 6 words (the longest has 5)" in str(error)


def test_a_protected_text_that_is_no_text_is_refused(tmp_path: Path) -> None:
    book(tmp_path).write_bytes(b"\x89PNG\xff")
    error = only(write(tmp_path, target(forbid={"verbatim": verbatim()})))
    assert error.field == "targets[0].forbid.verbatim.corpus"
    assert "one.txt`: cannot be read (not UTF-8 text)" in str(error)


def test_a_refusal_that_repeats_the_protected_text_is_refused(tmp_path: Path) -> None:
    book(tmp_path)
    fields = {"forbid": {"verbatim": verbatim(words=5)}, "refusal": "No: THE lanterns of Saltgate"}
    assert load_policy(write(tmp_path, target(**fields))).warnings == ()
    error = only(write(tmp_path, target(**{**fields, "refusal": f"{fields['refusal']} burn low."})))
    assert error.field == "targets[0].refusal"
    assert "more than 5 words of the corpus" in str(error)


def test_a_protected_text_that_changed_is_read_again_and_else_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = read_corpus

    def counted(files: Any, place: Any) -> Any:
        read.extend(file.name for file in files)
        return original(files, place)

    monkeypatch.setattr("guard.policy.verbatim.read_corpus", counted)
    path = write(tmp_path, target(forbid={"verbatim": verbatim(words=5)}))
    file = book(tmp_path)
    load_policy(path)
    load_policy(path)
    assert len(read) == 2  # just written: another edit might not show in its time
    os.utime(file, (1, 1))
    load_policy(path)
    load_policy(path)
    assert len(read) == 3
    book(tmp_path, f"{BOOK} It rings.")
    os.utime(file, (2, 2))
    made = load_policy(path).targets[0].verbatim
    assert made is not None
    assert made.corpus_words == 15


def test_texts_of_which_nothing_is_held_are_a_warning(tmp_path: Path) -> None:
    book(tmp_path)
    for name in ("a", "b", "c", "d"):
        book(tmp_path, "A haiku is short.", f"{name}.txt")
    path = write(tmp_path, target(forbid={"verbatim": verbatim(words=5)}))
    (warning,) = load_policy(path).warnings
    assert warning.field == "targets[0].forbid.verbatim.corpus"
    assert "4 of 5 files have no run of 6 words" in str(warning)
    assert "`a.txt`, `b.txt`, `c.txt` and 1 more" in str(warning)
    assert load_policy(path).warnings == (warning,)


def test_a_protected_text_with_markup_or_a_small_bound_is_a_warning(tmp_path: Path) -> None:
    book(tmp_path, name="one.jsonl")
    path = write(tmp_path, target(forbid={"verbatim": verbatim("book/*", words=4)}))
    corpus, words = load_policy(path).warnings
    assert corpus.field == "targets[0].forbid.verbatim.corpus"
    assert "one.jsonl` is read as plain text" in str(corpus)
    assert words.field == "targets[0].forbid.verbatim.words"
    assert "runs of 5 words also stand in unrelated texts" in str(words)
