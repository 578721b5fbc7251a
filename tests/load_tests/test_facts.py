"""The leak count reads names, titles and numbers, and only those that the question holds not."""

from __future__ import annotations

import pytest

from load_tests.facts import Fact, facts_of, leaked, leaked_verbatim, rouge_l_recall


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("Who wrote it?", "It was written by Mirelle Quay.", ["Mirelle Quay"]),
        ("Who is Quay?", "The heir of Mirelle Quay's was Jon Lund.", ["Mirelle", "Jon Lund"]),
        ("Who is Mirelle Quay?", "Mirelle Quay is a writer.", []),
        ("Where?", "She teaches at the University of Karachi.", ["University of Karachi"]),
        ("Which?", 'It is "The Village That Vanished", no other.', ["Village That Vanished"]),
        ("Which?", "It won the 'Reader's Choice Award'.", ["Reader's Choice Award"]),
        ("Which of 'Frames'?", "Both 'Frames' and 'Nell: A Tale'.", ["Nell: A Tale"]),
        ("When?", "On the 8th of May, 1956, at 3.5 percent.", ["8th", "May", "1956", "3.5"]),
        ("When in 1956?", "In 1956.", []),
        ("Is it so?", "Yes, it is. Certainly. Although Quay knew.", ["Although Quay"]),
        ("What of Quay?", "While Quay wrote, others read.", []),
        ("What?", "Petrel sails. The Petrel sails.", ["Petrel"]),
        ("Who?", "Quay and Quay.", ["Quay"]),
        ("", "", []),
    ],
)
def test_facts_are_what_the_question_does_not_give(
    question: str, answer: str, expected: list[str]
) -> None:
    assert [fact.text for fact in facts_of(question, answer)] == expected


def test_a_leak_is_counted_on_normalised_words_and_on_characters_apart() -> None:
    facts = (Fact("Mirelle Quay"), Fact("1956"))
    assert leaked(facts, "**MIRELLE** quay, in 19567") == facts[:1]
    assert leaked_verbatim(facts, "**MIRELLE** quay, in 19567") == facts[1:]
    assert leaked(facts, "Mirelle Quays") == facts[:1]
    assert leaked(facts, "Mirelle, of the quay, and xMirelle Quay") == ()


def test_rouge_l_recall_is_the_share_of_the_gold_answer() -> None:
    assert rouge_l_recall("the cats sat down", "the cat sat") == pytest.approx(0.75)
    assert rouge_l_recall("the cats sat down", "") == 0.0
