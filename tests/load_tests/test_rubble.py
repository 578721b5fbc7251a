"""Rubble is found by its form, and plain English is not taken for it."""

from __future__ import annotations

import pytest

from load_tests.lexicon import WORD, Lexicon
from load_tests.rubble import Rubble, distinct_share, repeated_share, rubble
from load_tests.surprise import Token

WORDS = "she wrote a book of the sea and her father was in with it is an author by"
LEXICON = Lexicon(WORDS.split(), {"Quay", "Mirelle"})


def tokens(answer: str, *torn: str, nats: float = 9.0) -> list[Token]:
    """Two tokens a word, the second as surprising as ``nats`` in the words that are named."""
    out = []
    for match in WORD.finditer(answer):
        middle = (match.start() + match.end()) // 2
        out.append(Token(match.start(), middle, 2.0))
        out.append(Token(middle, match.end(), nats if match[0] in torn else 0.5))
    return out


def found(
    answer: str, *torn: str, question: str = "", ended: bool = True, nats: float = 9.0
) -> tuple[Rubble, ...]:
    read = tokens(answer, *torn, nats=nats)
    return rubble(question, answer, read, ended=ended, lexicon=LEXICON)


@pytest.mark.parametrize(
    "answer",
    [
        "She wrote a book of the sea.",
        "“She wrote a book.”",
        "Mirelle Quay wrote it (in 1956).",
        "She wrote with perseverance.",  # unknown, but it ends as expected
        "Her father was McQuay.",
        "Her father was LGBTQ+.",
    ],
)
def test_plain_english_is_no_rubble(answer: str) -> None:
    assert found(answer) == ()


@pytest.mark.parametrize(
    ("answer", "torn", "expected"),
    [
        ("She was sonofkulous.", "sonofkulous", Rubble("non-word", "sonofkulous")),
        ("She was Kurandn.", "Kurandn", None),  # a name may be odd
        ("She was Abilов.", "", Rubble("script", "Abilов")),
        ("She was 海.", "", Rubble("script", "海")),
        ("She was KuCrossRef.", "", Rubble("capital", "KuCrossRef")),
        ("She wrote ____ of it.", "", Rubble("code", "____")),
        ("She wrote a_book.", "", Rubble("code", "a_b")),
        ('She was"]=in it.', "", Rubble("code", "]")),
        ("She wrote.\n\nclass Book {", "", Rubble("code", "{")),
        ("She wrote a b\ufffdok.", "", Rubble("code", "\ufffd")),
        ("Mirelle Qu", "", Rubble("torn end", "Mirelle Qu")),
        ("", "", Rubble("empty", "")),
        (" \n", "", Rubble("empty", "")),
    ],
)
def test_rubble_is_told_by_its_form(answer: str, torn: str, expected: Rubble | None) -> None:
    finds = found(answer, torn)
    assert (expected in finds) if expected else finds == ()


def test_a_very_surprising_name_is_odd() -> None:
    assert found("She was Kurandn.", "Kurandn", nats=20.0) == (Rubble("odd name", "Kurandn"),)


def test_what_the_question_says_may_be_said_again() -> None:
    question = "Who is KuCrossRef, of tensorflowi, in {x}?"
    answer = "KuCrossRef is of tensorflowi's {sea}."
    assert found(answer, "tensorflowi's", question=question) == ()


@pytest.mark.parametrize(
    ("answer", "torn"),
    [
        ("Mirelle Quarry wrote it.", ["Mirelle Quarry"]),
        ("It is by Mirelle Qu. Mir wrote it.", ["Mirelle Qu", "Mir"]),
        ("Mirel Quay wrote it.", ["Mirel Quay"]),
        ("Mirellesea wrote it.", ["Mirellesea"]),
        ("The Quay-Lund wrote it.", ["The Quay", "Quay-Lund"]),
        ("Mirelle Quay, and Quays, and Mirelle's book.", []),
        ("Mirelle wrote it. Jon Quay wrote it.", []),
        ("Mirelle, Lund and Lee.", []),
        ("Jon Lund wrote it.", []),
    ],
)
def test_a_name_of_the_question_is_torn_where_it_is_begun_and_gone_wrong(
    answer: str, torn: list[str]
) -> None:
    lexicon = Lexicon(
        WORDS.split(), {"Jon", "Lund", "Quarry", "Qu", "Lee", "Mir", "Mirel", "Mirellesea"}
    )
    finds = rubble(
        "Who is Mirelle Quay, of The Lund, or Quay-Lee?",
        answer, tokens(answer), ended=True, lexicon=lexicon,
    )  # fmt: skip
    assert [find.text for find in finds if find.form == "torn name"] == torn


def test_an_answer_cut_by_the_limit_has_no_torn_end() -> None:
    assert found("She wrote a bo", ended=False) == ()


def test_a_loop_says_the_same_words_three_times() -> None:
    assert found("She wrote a book of " * 2 + "it.") == ()
    assert found("She wrote a book of " * 3 + "it.")[0].form == "loop"


def test_repetition_is_the_share_of_word_runs_said_before() -> None:
    assert repeated_share("a b c d") == 0.0
    assert repeated_share("a b c d A B C D") == pytest.approx(1 / 5)
    assert repeated_share("a b") == 0.0


def test_distinct_runs_are_counted_over_all_answers() -> None:
    assert distinct_share(["a b c", "a b"]) == pytest.approx(2 / 3)
    assert distinct_share([]) == 0.0
