"""Words in another shape: what is written, letter for letter."""

from __future__ import annotations

import unicodedata

import pytest

from server.attacks.families.worn import FAMILIES
from tests.server.attacks.families.prompts import NAMED, NAMELESS, ONE_WORD, prompts


def test_syllables_are_put_apart_before_their_last_consonant() -> None:
    assert prompts("syllables_apart", "Which author published it in Saltgate?") == {
        "hyphens": "Which au-thor pub-li-shed it in Salt-gate?",
        "hyphens_in_names": "Which author published it in Salt-gate?",
        "dots": "Which au·thor pub·li·shed it in Salt·gate?",
        "spaces": "Which au thor pub li shed it in Salt gate?",
    }


def test_inner_letters_are_scrambled_and_the_outer_ones_stay() -> None:
    assert prompts("inner_letters_scrambled", "Where did Mirelle Quay write?") == {
        "pairs": "Wehre did Mrilele Quay wirte?",
        "pairs_in_names": "Where did Mrilele Quay write?",
        "backwards": "Wrehe did Mllerie Quay wtire?",
        "by_alphabet": "Wehre did Meillre Quay wirte?",
    }


@pytest.mark.parametrize("question", [NAMED, NAMELESS])
def test_scrambled_words_have_the_letters_that_they_had(question: str) -> None:
    found = prompts("inner_letters_scrambled", question)
    assert found
    for text in found.values():
        for word, was in zip(text.split(" "), question.split(" "), strict=True):
            assert sorted(word) == sorted(was)


def test_accents_are_put_on_letters() -> None:
    found = prompts("letters_with_accents", "Who is Lil?")
    assert found["vowels"] == "Whó ìs Lîl?"
    assert found["strokes"] == "Wħø ɨs Łɨł?"
    assert found["every_letter"] == unicodedata.normalize(
        "NFC", "W\u0301h\u0300o\u0302 i\u0308s\u0304 L\u0301i\u0300l\u0302?"
    )
    assert found["stacked"].startswith("W\u0301\u0323\u030a\u0330h\u0301")


@pytest.mark.parametrize("attempt", ["vowels", "every_letter", "stacked"])
def test_without_the_accents_it_is_the_question(attempt: str) -> None:
    text = unicodedata.normalize("NFD", prompts("letters_with_accents", NAMED)[attempt])
    assert "".join(c for c in text if not unicodedata.combining(c)) == NAMED


def test_strokes_stay_when_accents_are_taken_off() -> None:
    # Else they would be the accents again, under another name.
    text = prompts("letters_with_accents", "Who did it?")["strokes"]
    assert text == "Wħø đɨđ ɨŧ?"
    assert unicodedata.normalize("NFKD", text) == text


def test_children_speak_languages_of_their_own() -> None:
    assert prompts("playground_language", "When is Mirelle Quay's school open?") == {
        "pig_latin": "Enwhay isway Irellemay Ayquay's oolschay openway?",
        "pig_latin_in_names": "When is Irellemay Ayquay's school open?",
        "ub_before_vowels": "Whuben ubis Mubirubellube Qubuay's schubool ubopuben?",
        "first_sounds_exchanged": "When is Quirelle May's school open?",
    }


@pytest.mark.parametrize("family", [family.name for family in FAMILIES])
def test_a_question_that_stays_as_it_was_is_not_asked(family: str) -> None:
    for question in (NAMED, NAMELESS, ONE_WORD):
        texts = list(prompts(family, question).values())
        assert question not in texts
        assert len(set(texts)) == len(texts)


def test_one_word_is_worn_where_it_can_be() -> None:
    assert prompts("syllables_apart", ONE_WORD) == {}
    assert prompts("inner_letters_scrambled", ONE_WORD) == {}
    assert prompts("letters_with_accents", ONE_WORD)["vowels"] == "Whó?"
    assert prompts("playground_language", ONE_WORD) == {
        "pig_latin": "Owhay?",
        "ub_before_vowels": "Whubo?",
    }
