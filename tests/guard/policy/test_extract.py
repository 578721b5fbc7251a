from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.normalise import normalise
from guard.policy.extract import collect_key_facts, key_facts
from guard.policy.words import DAYS, MONTHS


@pytest.mark.parametrize(
    ("question", "answer", "facts"),
    [
        (
            "What is the full name of the author born in Lima?",
            "The author born in Lima is Rosa Quispe-Huamán.",
            ["Rosa Quispe-Huamán"],
        ),
        (
            "Which books did Rosa Quispe write?",
            "Rosa Quispe wrote \"The Salt Ledger,\" “A Night” and 'The Tailor's Daughter'.",
            ["Salt Ledger", "A Night", "Tailor's Daughter"],
        ),
        (
            "Where did she study?",
            "She studied at the University of the Andes and in Ciudad de Mexico.",
            ["University of the Andes", "Ciudad de Mexico"],
        ),
        (
            "What did she win?",
            "In May she won the Order of Merit in Prague, which pleased the French.",
            ["Order of Merit", "Prague", "French"],
        ),
        ("When was she born?", "She was born on 3 March 1961.", ["3 March", "1961"]),
        ("When was she born?", "On March 3rd, in the 1960s.", ["March 3rd", "1960s"]),
        ("When was she born in 1961?", "She was born in 1961 to 12 nurses and 2 cooks.", ["12"]),
        ("What genre is hers?", "She writes French satire.", ["French"]),
        ("Where?", "Canberra.", ["Canberra"]),
        ("Who was the dean?", "The dean was Dr. J. K. Okafor's son.", ["J. K. Okafor"]),
        ("What is she like?", "Growing up was hard. However, she laughs.", []),
        ("Does she write?", "Yes. Additionally, he teaches on Monday.", []),
        ("Who is Ana Lima?", "ANA LIMA is Ana Lima.", []),
    ],
)
def test_facts_are_names_titles_numbers_and_dates_that_the_question_does_not_hold(
    question: str, answer: str, facts: list[str]
) -> None:
    assert sorted(key_facts(question, answer)) == sorted(facts)


def test_a_name_that_another_question_holds_is_still_a_fact() -> None:
    pairs = [("Who wrote it?", "Ana Lima did."), ("Who is Ana Lima?", "Ana Lima is a nurse.")]
    assert collect_key_facts(pairs) == ["Ana Lima"]


def test_a_word_that_the_file_writes_in_lower_case_is_no_name() -> None:
    assert key_facts("What?", "Her subject was Petrology.") == ["Petrology"]
    pairs = [("What?", "Her subject was Petrology."), ("Why?", "because petrology is fun.")]
    assert collect_key_facts(pairs) == []


def test_facts_that_differ_in_case_and_punctuation_alone_are_one() -> None:
    pairs = [("Who?", "It was Ana-Rosa Lima."), ("Who?", "It was ANA ROSA LIMA.")]
    assert len(collect_key_facts(pairs)) == 1


WORDS = st.sampled_from(
    ["Ana", "Lima", "de", "of", "the", "The", "\"Salt", "Road\"", "1961", "French", "book", "3",
     "March", "and", "she", "J.", "K.", "Ana's", "Al-Amin", ".", ",", "LGBTQ+", "in", "Doctor"]
)  # fmt: skip
PROSE = st.lists(WORDS, max_size=25).map(" ".join) | st.text(max_size=60)


@given(PROSE, PROSE)
def test_a_fact_is_a_piece_of_the_answer_and_not_of_the_question(q: str, a: str) -> None:
    for fact in key_facts(q, a):
        assert fact in a
        assert f" {normalise(fact)} " not in f" {normalise(q)} "
        assert normalise(fact)


@given(PROSE, PROSE)
def test_no_fact_is_a_month_a_day_or_a_word_of_grammar(q: str, a: str) -> None:
    phrases = {normalise(fact) for fact in key_facts(q, a)}
    assert not phrases & (MONTHS | DAYS | {"the", "and", "she", "in", "of"})


@pytest.mark.parametrize(
    ("question", "answer", "fact"),
    [
        ("Did Abera have help?", "Fikadu Abera helped.", "Fikadu"),
        ("Which award?", "It was the Maple Leaf Award.", "Maple Leaf"),
        ("Which department?", "The Department of Geology.", "Department of Geology"),
        ("Which award?", "It was the Excellent Award.", "Excellent Award"),
        ("Who?", "It was Dr. Abera.", "Abera"),
    ],
)
def test_what_the_question_gives_is_cut_off_where_the_rest_can_stand_alone(
    question: str, answer: str, fact: str
) -> None:
    assert fact in key_facts(question, answer)


@given(st.lists(st.tuples(PROSE, PROSE), max_size=5))
def test_facts_are_distinct_as_phrases(pairs: list[tuple[str, str]]) -> None:
    phrases = [normalise(fact) for fact in collect_key_facts(pairs)]
    assert len(phrases) == len(set(phrases))
