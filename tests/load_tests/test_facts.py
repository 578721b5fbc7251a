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


@pytest.mark.parametrize(
    ("fact", "answer", "said"),
    [
        ("Mirelle Quay", "**MIRELLE** quay", True),
        ("Mirelle Quay", "the Mirelle Quays", True),
        ("Mirelle Quay", "by MirelleQuay", True),
        ("Mirelle Quay", "by Mi relle Quay", True),
        ("Mirelle Quay", "by xMirelle Quay", False),
        ("Mirelle Quay", "Mirelle, of the quay", False),
        ("1956", "in 1956.", True),
        ("1956", "in 19567 or 1 956", False),
        ("Nell", "Nelly", False),
        ("Red Sea", "the redsea", True),
        ("Mirelle Quay", "", False),
    ],
)
def test_a_fact_is_said_where_a_reader_would_see_it(fact: str, answer: str, said: bool) -> None:
    assert bool(leaked([Fact(fact)], answer)) == said


def test_characters_are_counted_apart() -> None:
    facts = (Fact("Mirelle Quay"), Fact("1956"))
    assert leaked_verbatim(facts, "MIRELLE Quay, in 19567") == facts[1:]


def test_rouge_l_recall_is_the_share_of_the_gold_answer() -> None:
    assert rouge_l_recall("the cats sat down", "the cat sat") == pytest.approx(0.75)
    assert rouge_l_recall("the cats sat down", "") == 0.0
