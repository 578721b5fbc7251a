"""Misspelt words are read as the words of the policy that they are near, and no others are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.spelling import KIND, LEAST, LONG, Spelling
from guard.views import said_within

WORDS = (
    "author", "born", "full", "mirelle", "quay", "mirelle quay", "saltgate", "ferry", "constantine",
    "basil", "brandel", "basil brandel",
)  # fmt: skip
SPELLING = Spelling(WORDS)


def shortened(word: str, most: int) -> set[str]:
    """The slow and obvious way: leave out every letter, ``most`` times."""
    found = {word}
    for _ in range(most):
        found |= {left[:at] + left[at + 1 :] for left in found for at in range(len(left))}
    return found


def consonants(word: str) -> str:
    return word[:1] + "".join(letter for letter in word[1:] if letter not in "aeiou")


def near(word: str, other: str) -> bool:
    most = 2 if len(other) >= LONG else 1
    if shortened(word, most) & shortened(other, most):
        return True
    if len(other) > LEAST and len(word) >= LEAST - 1 and word == other[:-2]:
        return True
    if sorted(word[1:-1]) == sorted(other[1:-1]) and word[:1] + word[-1:] == other[:1] + other[-1:]:
        return True
    short = consonants(word)
    return len(word) < len(other) and len(short) > 2 and short == consonants(other)


@pytest.mark.parametrize(
    "word", ["Mirele", "Mirrelle", "Mirella", "Mierlle", "Irelle", "MIRELE", "Miŕele"]
)
def test_a_letter_too_few_too_many_wrong_or_turned_is_put_right(word: str) -> None:
    made = SPELLING.respelt(f"The ferry of {word} Quay.")
    assert made is not None
    assert made.text == "The ferry of Mirelle Quay."
    assert made.name == KIND


@pytest.mark.parametrize("word", ["Mirel", "Mrll", "Mirll"])
def test_a_word_without_its_end_or_its_vowels_is_known(word: str) -> None:
    made = SPELLING.respelt(f"Who is {word} Quay?")
    assert made is not None
    assert made.text == "Who is Mirelle Quay?"


@pytest.mark.parametrize("word", ["Mllerie", "Meillre", "Meillrs"])
def test_a_word_whose_inner_letters_stand_in_another_order_is_known(word: str) -> None:
    made = SPELLING.respelt(f"Who is {word} Quay?")
    assert (made.text if made is not None else "") == (
        "Who is Mirelle Quay?" if sorted(word.lower()) == sorted("mirelle") else ""
    )


def test_a_long_word_may_have_two_wrong_and_a_short_one_none() -> None:
    made = SPELLING.respelt("constntinn of quey")
    assert made is not None
    assert made.text == "constantine of quey"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The ferry of Mirelle Quay",
        "Her merry father",  # words of English stay what they are, near to one of the policy or not
        "Marcella Quai",  # too far
        "漢字 и 12345",
    ],
)
def test_what_is_right_or_near_nothing_stays(text: str) -> None:
    assert SPELLING.respelt(text) is None


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Who is Mirele Quay?", "Who is Mirelle Quay?"),
        ("Who is Mirele Brownlow?", None),  # another name
        ("Who is Mirele, Brownlow?", "Who is Mirelle, Brownlow?"),
        ("Who is the Mirele of today?", "Who is the Mirelle of today?"),
        ("Who is Bail Brandell?", "Who is Basil Brandel?"),  # a word by chance, beside a slip
        ("Who is Bail Brandel?", None),
    ],
)
def test_a_name_beside_another_must_stand_so_in_the_policy(text: str, read: str | None) -> None:
    made = SPELLING.respelt(text)
    assert (made.text if made is not None else None) == read


def test_words_of_no_policy_put_nothing_right() -> None:
    assert Spelling(()).respelt("The auhor Mirele") is None


def test_only_the_sentences_with_such_words_are_worth_comparing() -> None:
    text = "Hello there. Who is Mirele Quay? I ask for a friend. The auhor is dead."
    made = SPELLING.respelt(text)
    assert made is not None
    assert [made.text[part.start : part.end] for part in made.readable] == [
        "Who is Mirelle Quay?",
        "The author is dead.",
    ]


def test_what_is_put_right_stands_where_it_was_written() -> None:
    text = "Hello. Who is Mirele Quay? Bye."
    made = SPELLING.respelt(text)
    assert made is not None
    (part,) = made.readable
    span = made.source(part.start, part.end)
    assert text[span.start : span.end] == "Who is Mirele Quay?"


@given(st.lists(st.text(alphabet="abect", min_size=1, max_size=11), max_size=6, unique=True),
       st.text(alphabet="abect", min_size=1, max_size=12))  # fmt: skip
def test_a_word_is_put_right_exactly_if_one_of_the_policy_is_near(
    words: list[str], asked: str
) -> None:
    word = f"zq{asked}"  # no word of English
    words = [f"zq{each}" for each in words]
    made = Spelling(words).respelt(word)
    found = [each for each in words if len(each) >= LEAST and near(word, each)]
    if word in words or not found:
        assert made is None
    else:
        assert made is not None
        assert made.text in found


@given(st.text(max_size=200))
def test_any_text_is_read_without_error_and_its_parts_are_sentences(text: str) -> None:
    made = SPELLING.respelt(text)
    if made is not None:
        sentences = {(s.start, s.end) for s in said_within(made.text)}
        assert {(s.start, s.end) for s in made.readable} <= sentences
        assert made.text != text
