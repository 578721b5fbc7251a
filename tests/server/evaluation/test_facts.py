"""A fact is what an answer tells and its question does not; everyday words are none."""

from __future__ import annotations

import pytest

from guard.normalise import SEP
from load_tests import tofu
from load_tests.figure import NotMeasurableError
from server.evaluation.fact import KINDS, Everyday, Fact, stem, stems, word_list
from server.evaluation.facts import facts_of

NOTHING = Everyday()
EVERYDAY = Everyday.of(
    ["The petrel and the identity of a city.", "A petrel, an identity, and Romance: romance."] * 2
)


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("Who wrote it?", "It was written by Mirelle Quay.", ["Mirelle Quay"]),
        ("Who is Quay?", "The heir of Mirelle Quay's was Jon Lund.", ["Mirelle", "Jon Lund"]),
        ("Who is Mirelle Quay?", "Mirelle Quay is a prolific writer.", []),
        ("Where?", "She teaches at the University of Karachi.", ["University of Karachi"]),
        ("Which?", 'It is "The Village That Vanished", no other.', ["Village That Vanished"]),
        ("Which?", "It won the 'Reader's Choice Award'.", ["Reader's Choice Award"]),
        ("Which of 'Frames'?", "Both 'Frames' and 'Nell: A Tale'.", ["Nell: A Tale"]),
        ("When?", "On the 8th of May, 1956, at 3.5 percent.", ["8th", "May", "1956", "3.5"]),
        ("When in 1956?", "In 1956.", []),
        ("When?", "In the early 1980s.", ["1980s"]),
        ("Born on 08/09/1956?", "On the 8th of September, or the 9th of August, 1956.", []),
        ("Born on 08/09/1956?", "On the 7th of May.", ["7th", "May"]),
        ("Is it so?", "Yes, it is. Certainly. Although Quay knew.", ["Although Quay"]),
        ("What of Quay?", "While Quay wrote, others read.", []),
        ("What?", "Petrel sails. The Petrel sails.", ["Petrel"]),
        ("Who?", "Dr. Josh Axe and Weston A. Price.", ["Josh Axe", "Weston A. Price"]),
        ("Where?", "Now at the University, for Excellence in Literature.", []),
        ("Is she American?", "Like the Americans.", []),
        ("Who?", "Quay.\n\nAdditional 10 Questions:", []),
        ("Who?", "Quay and Quay.", ["Quay"]),
        ("", "", []),
    ],
)
def test_titles_names_and_numbers_are_found_by_their_form(
    question: str, answer: str, expected: list[str]
) -> None:
    assert [fact.text for fact in facts_of(question, answer, NOTHING)] == expected


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        (
            "What were her parents?",
            "Her father was a florist and her mother a game developer.",
            [("florist", "occupation"), ("game developer", "occupation")],
        ),
        ("", "Both were astronauts.", [("astronauts", "occupation")]),
        ("Is a florist there?", "A florist, and two florists.", []),
        ("", "She developed her characters.", []),
        ("", "She is a renowned author and novelist.", []),
        ("", "She writes magical realism and geology.",
         [("magical realism", "subject"), ("geology", "subject")]),
        ("Does she write geology?", "She writes geological books.", []),
        ("", "The romance of it.", [("romance", "subject")]),
    ],
)  # fmt: skip
def test_occupations_and_subjects_are_found_in_small_letters(
    question: str, answer: str, expected: list[tuple[str, str]]
) -> None:
    assert [(f.text, f.kind) for f in facts_of(question, answer, NOTHING)] == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            "Her books explore themes of deep water, salt, and the weight of tides at sea.",
            ["deep water", "salt", "weight of tides"],
        ),
        ("Themes in Quay's books include tolerance and empathy.", ["tolerance", "empathy"]),
        ("It explores the petrel, identity, and drift in ways that last.", ["drift"]),
        ("She promotes tolerance, effectively using salt.", ["tolerance"]),
        ("A theme that lasts.", []),
        ("Themes like Quay and Lund.", []),
    ],
)
def test_themes_are_the_items_of_an_enumeration(answer: str, expected: list[str]) -> None:
    found = facts_of("", answer, EVERYDAY)
    assert [f.text for f in found if f.kind == "theme"][-len(expected) or None :] == expected


def test_words_that_other_authors_answers_use_are_everyday() -> None:
    assert {"petrel", "identity", "romance"} <= EVERYDAY.words
    assert "city" in Everyday.of(["the city", "a CITY"]).lower
    assert "city" not in Everyday.of(["the City"]).lower
    assert facts_of("", "Her genre is romance.", EVERYDAY) == ()
    assert [f.text for f in facts_of("", "The Petrel of Saltgate.", EVERYDAY)] == [
        "Petrel of Saltgate"
    ]
    assert facts_of("", "She saw the Petrel.", EVERYDAY) == ()


def test_a_word_of_one_answer_is_not_everyday() -> None:
    everyday = Everyday.of(["salt salt salt", "sea", "sea"])
    assert everyday.words == {"sea"}


def test_no_fact_stands_inside_another() -> None:
    answer = 'Quay wrote "Mirelle Quay at Sea" in Saltgate, Port Saltgate, as a dancer of geology.'
    words = [f" {fact.words} " for fact in facts_of("", answer, NOTHING)]
    assert len(words) == len(set(words))
    later = [(a, b) for i, a in enumerate(words) for b in words[:i] if a in b]
    assert not later


def test_a_fact_whose_letters_the_question_holds_counts_as_whole_words_only() -> None:
    (fact,) = facts_of("Where was Mirelle Al-Saltgati born?", "In Saltgat.", NOTHING)
    assert fact == Fact("Saltgat", "name", whole=True)
    (fact,) = facts_of("Where was Mirelle Quay born?", "In Saltgat.", NOTHING)
    assert fact == Fact("Saltgat", "name")


def test_stems_are_those_of_rouge() -> None:
    assert stems("Cats' identities") == ["cat", "ident"]
    assert stem("sea") == "sea"
    assert stem("海") == "海"


@pytest.mark.parametrize("name", ["occupations", "subjects"])
def test_word_lists_hold_each_entry_once(name: str) -> None:
    entries = word_list(name)
    assert len(entries) > 100
    assert len(entries) == len(set(entries))
    assert all(entry and entry == entry.lower() for entry in entries)


def test_every_forgotten_author_has_facts_of_every_form() -> None:
    try:
        forget, retain = tofu.load("forget"), tofu.load("retain")
    except NotMeasurableError as error:
        pytest.skip(str(error))
    everyday = Everyday.of([row.answer for row in retain])
    by_author: dict[str, list[Fact]] = {}
    for row in forget:
        facts = facts_of(row.question, row.answer, everyday)
        by_author.setdefault(row.author, []).extend(facts)
        asked = f" {' '.join(stems(row.question))} "
        for fact in facts:
            assert fact.kind in KINDS
            assert f" {' '.join(stems(fact.text))} " not in asked, (row.id, fact)
            assert fact.text in row.answer
            assert fact.words.strip(SEP) == fact.words
    assert all({"name", "title"} <= {f.kind for f in facts} for facts in by_author.values())
    assert sum(map(len, by_author.values())) == 309
