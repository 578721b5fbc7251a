"""Telling words are what answers say in small letters and nobody says daily."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.normalise import normalise
from guard.policy.telling import everyday_words, telling_words
from guard.policy.words import FUNCTION_WORDS, common_words


def test_an_occupation_in_small_letters_is_found() -> None:
    answer = "Her father was a florist, and her mother a podiatrist."
    assert telling_words([answer]) == [
        "florist", "florists", "podiatrist", "podiatrists",
    ]  # fmt: skip


def test_everyday_words_are_apart_and_those_that_hold_sentences_together_in_neither() -> None:
    answer = "Her father was a florist who would often write about people."
    assert telling_words([answer]) == ["florist", "florists"]
    assert set(everyday_words([answer])) >= {"father", "fathers", "often", "write", "people"}


@pytest.mark.parametrize(
    "word", ["working", "worked", "works", "stories", "largely", "stopped", "oldest"]
)
def test_everyday_words_with_an_ending_are_everyday(word: str) -> None:
    assert telling_words([f"It was {word} there."]) == []
    assert everyday_words([f"It was {word} there."])[0] == word


@pytest.mark.parametrize(
    ("said", "other"),
    [
        ("loss", "losses"), ("losses", "loss"), ("themes", "theme"), ("theme", "themes"),
        ("city", "cities"), ("cities", "city"), ("churches", "church"), ("monkey", "monkeys"),
        ("horses", "horse"), ("movies", "movie"), ("branch", "branches"),
    ],
)  # fmt: skip
def test_a_word_stands_for_its_other_number(said: str, other: str) -> None:
    found = [*telling_words([f"It was {said}."]), *everyday_words([f"It was {said}."])]
    assert {said, other} <= set(found)


@pytest.mark.parametrize("said", ["famous", "crisis", "oftentimes"])
def test_what_is_no_word_without_its_s_is_left_alone(said: str) -> None:
    found = [*telling_words([f"It was {said}."]), *everyday_words([f"It was {said}."])]
    assert said[:-1] not in found


def test_names_are_left_to_key_facts_and_parts_of_joined_words_count() -> None:
    found = telling_words(["Saltgate honours prize-laden kelp-farmers."])
    assert [word for word in found if word != "prizes"] == [
        "honours", "prize", "laden", "kelp", "farmers", "farmer",
    ]  # fmt: skip


@given(st.lists(st.text("abcdeé -'.\n", max_size=60), max_size=3))
def test_each_is_a_word_of_an_answer_or_its_other_number(answers: list[str]) -> None:
    telling, everyday = telling_words(answers), everyday_words(answers)
    said = {word for answer in answers for word in normalise(answer).split()}
    assert len({*telling, *everyday}) == len(telling) + len(everyday)
    letters = {word[:3] for word in said}
    assert all(word in said or word[:3] in letters for word in (*telling, *everyday))
    assert common_words().isdisjoint(telling)
    assert FUNCTION_WORDS.isdisjoint(everyday)
