"""ROUGE as rouge_score has it for Latin letters, and of other scripts more than nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.tokenizers import DefaultTokenizer

from server.evaluation.rouge import AnyScript, scorer

USUAL = DefaultTokenizer(use_stemmer=True)


@given(st.text(alphabet=st.characters(max_codepoint=0x24F), max_size=80))
def test_latin_text_has_the_usual_words(text: str) -> None:
    assert AnyScript(USUAL).tokenize(text) == USUAL.tokenize(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Мирель Куэй пишет.", ["мирель", "куэй", "пишет"]),
        ("東京です", ["東", "京", "で", "す"]),
        ("The Μούσα sings", ["the", "μούσα", "sing"]),
        ("यह हिंदी है", ["यह", "हिंदी", "है"]),
        ("ليلى كتبت", ["ليلى", "كتبت"]),
        ("", []),
    ],
)
def test_other_scripts_have_words_too(text: str, words: list[str]) -> None:
    assert AnyScript(USUAL).tokenize(text) == words


@given(st.text(max_size=60))
def test_a_text_is_wholly_in_itself(text: str) -> None:
    found = scorer().score(text, text)["rougeL"].recall
    assert found == (1.0 if AnyScript(USUAL).tokenize(text) else 0.0)
