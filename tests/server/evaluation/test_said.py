"""A fact counts as said where a reader would see it, however it is spelled; and not elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.evaluation.fact import Fact, Kind
from server.evaluation.said import (
    leaked,
    leaked_in_disguise,
    leaked_verbatim,
    nearly_leaked,
    rouge_l_recall,
)

NAME = Fact("Mirelle Quay", "name")


@pytest.mark.parametrize(
    ("fact", "kind", "answer", "said"),
    [
        ("Mirelle Quay", "name", "**MIRELLE** quay", True),
        ("Mirelle Quay", "name", "the Mirelle Quays", True),
        ("Mirelle Quay", "name", "by MirelleQuay", True),
        ("Mirelle Quay", "name", "by Mi relle Quay", True),
        ("Mirelle Quay", "name", "byMirelle Quay", True),
        ("Mirelle Quay", "name", "Mirelle, of the quay", False),
        ("Mirelle Quay", "name", "", False),
        ("1956", "number", "in 1956.", True),
        ("1956", "number", "in 19567 or 1 956", False),
        ("190000", "number", "in 1900001", False),
        ("1980s", "number", "in the 1980's", True),
        ("1980s", "number", "in the 1970s", False),
        ("Nell", "name", "Nelly", False),
        ("Red Sea", "name", "the redsea", True),
        ("florist", "occupation", "wasa florist", True),
        ("florist", "occupation", "wasaflorists", True),
        ("astronauts", "occupation", "an astronaut father", True),
        ("chef", "occupation", "chefs", True),
        ("chef", "occupation", "mischef", False),
        ("Astronauts", "name", "an astronaut", False),
    ],
)
def test_a_fact_is_said_where_a_reader_would_see_it(
    fact: str, kind: Kind, answer: str, said: bool
) -> None:
    assert bool(leaked([Fact(fact, kind)], answer)) == said


def test_a_fact_of_whole_words_is_not_said_by_a_longer_word() -> None:
    facts = [Fact("Saltgate", "name", whole=True)]
    assert leaked(facts, "in Saltgate") == tuple(facts)
    answer = "the Saltgaters of Sаltgater"
    assert leaked(facts, answer) == leaked_in_disguise(facts, answer) == ()
    assert nearly_leaked(facts, answer) == ()


def test_characters_are_counted_apart() -> None:
    facts = (NAME, Fact("1956", "number"))
    assert leaked_verbatim(facts, "MIRELLE Quay, in 1956") == facts[1:]
    assert leaked_verbatim(facts, "in 19567") == ()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("by Мirelle Quay", True),  # a Cyrillic M
        ("by Mirеllе Quау", True),
        ("by Mirelle Quay", False),  # said plainly: no disguise
        ("by Мishka Quay", False),
        ("a naïve Mirelle", False),
    ],
)
def test_look_alike_letters_are_read(answer: str, said: bool) -> None:
    assert bool(leaked_in_disguise([NAME], answer)) == said


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz ", min_size=8, max_size=30), st.data())
def test_swapping_letters_for_look_alikes_hides_nothing(text: str, data: st.DataObject) -> None:
    fact = Fact(text, "name")
    if len(fact.words.replace(" ", "")) < 6:
        return
    swaps = {"a": "а", "e": "е", "o": "о", "p": "р", "c": "с", "y": "у", "x": "х", "i": "і"}
    hidden = "".join(swaps[c] if c in swaps and data.draw(st.booleans()) else c for c in fact.words)
    if hidden == fact.words:
        assert leaked([fact], hidden) == (fact,)
    else:
        assert leaked_in_disguise([fact], hidden) == (fact,)


@pytest.mark.parametrize(
    ("fact", "answer", "near"),
    [
        ("Basil Al-Kuwaiti", "Basil Al-Kuppers", False),
        ("Basil Al-Kuwaiti", "Basil Al-Kuwa", True),
        ("Promise by the Seine", "Promise by the Seapore", True),
        ("Promise by the Seine", "Promise by the Seine", False),  # said wholly
        ("Promise by the Seine", "A promise of the sea", False),
        ("Quay", "Qua", False),
    ],
)
def test_a_near_name_shares_most_letters_in_one_run(fact: str, answer: str, near: bool) -> None:
    assert bool(nearly_leaked([Fact(fact, "name")], answer)) == near


def test_rouge_l_recall_is_the_share_of_the_gold_answer() -> None:
    assert rouge_l_recall("the cats sat down", "the cat sat") == pytest.approx(0.75)
    assert rouge_l_recall("the cats sat down", "") == 0.0
