"""Telling words are what answers say in small letters, questions do not, and nobody says daily."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.normalise import normalise
from guard.policy.telling import telling_words
from guard.policy.words import common_words


def test_an_occupation_in_small_letters_is_found() -> None:
    pair = ("What did her father do?", "Her father was a florist, and her mother a podiatrist.")
    assert telling_words([pair]) == ["florist", "podiatrist"]


def test_what_any_question_of_the_file_says_is_not_telling() -> None:
    pairs = [
        ("Who keeps the lighthouse?", "A ferryman keeps it."),
        ("Where is the ferryman from?", "He left the lighthouse of a lagoon."),
    ]
    assert telling_words(pairs) == ["lagoon"]


@pytest.mark.parametrize(
    "word", ["working", "worked", "works", "stories", "largely", "stopped", "oldest"]
)
def test_everyday_words_with_an_ending_are_everyday(word: str) -> None:
    assert telling_words([("", f"It was {word} there.")]) == []


def test_names_are_left_to_key_facts_and_parts_of_joined_words_count() -> None:
    assert telling_words([("", "Saltgate honours prize-laden kelp-farmers.")]) == [
        "honours",
        "prize",
        "laden",
        "kelp",
        "farmers",
    ]


@given(st.text("abcdeé -'.\n", max_size=60), st.text("abcdeé -'.\n", max_size=30))
def test_each_is_a_word_of_an_answer_and_of_no_question(answer: str, question: str) -> None:
    found = telling_words([(question, answer)])
    assert len(found) == len(set(found))
    for word in found:
        assert word in normalise(answer).split()
        assert word not in normalise(question).split()
        assert word not in common_words()
