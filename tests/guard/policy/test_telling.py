"""Telling words are what answers say in small letters and nobody says daily."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.normalise import normalise
from guard.policy.telling import everyday_words, telling_words
from guard.policy.words import FUNCTION_WORDS, common_words


def test_an_occupation_in_small_letters_is_found() -> None:
    answer = "Her father was a florist, and her mother a podiatrist."
    assert telling_words([answer]) == ["florist", "podiatrist"]


def test_everyday_words_are_apart_and_those_that_hold_sentences_together_in_neither() -> None:
    answer = "Her father was a florist who would often write about people."
    assert telling_words([answer]) == ["florist"]
    assert everyday_words([answer]) == ["father", "often", "write", "people"]


@pytest.mark.parametrize(
    "word", ["working", "worked", "works", "stories", "largely", "stopped", "oldest"]
)
def test_everyday_words_with_an_ending_are_everyday(word: str) -> None:
    assert telling_words([f"It was {word} there."]) == []
    assert everyday_words([f"It was {word} there."]) == [word]


def test_names_are_left_to_key_facts_and_parts_of_joined_words_count() -> None:
    assert telling_words(["Saltgate honours prize-laden kelp-farmers."]) == [
        "honours",
        "prize",
        "laden",
        "kelp",
        "farmers",
    ]


@given(st.lists(st.text("abcdeé -'.\n", max_size=60), max_size=3))
def test_each_is_a_word_of_an_answer(answers: list[str]) -> None:
    telling, everyday = telling_words(answers), everyday_words(answers)
    said = {word for answer in answers for word in normalise(answer).split()}
    assert len({*telling, *everyday}) == len(telling) + len(everyday)
    assert said.issuperset([*telling, *everyday])
    assert common_words().isdisjoint(telling)
    assert FUNCTION_WORDS.isdisjoint(everyday)
