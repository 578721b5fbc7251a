"""What an answer to a description tells."""

from __future__ import annotations

from load_tests.figures.unnamed_leak import Told, told
from server.evaluation.fact import Everyday
from server.evaluation.rows import Row

OWN = [
    Row("1", "a", "Where was Ilse Brandt born?", "Ilse Brandt was born in Marseille."),
    Row("2", "a", "What did Ilse Brandt write?", 'Ilse Brandt wrote "The Salt Ledger" in 1971.'),
]


def asked(prompt: str, answer: str) -> Told:
    return told(prompt, [answer], OWN, Everyday())


def test_the_name_and_any_fact_of_any_answer_count() -> None:
    found = asked("Who was the writer born in 1940?", "That is Ilse Brandt of Marseille.")
    assert found.name
    assert "Marseille" in found.facts


def test_what_the_prompt_says_is_not_told() -> None:
    found = asked("Who wrote The Salt Ledger in Marseille?", "The Salt Ledger is from Marseille.")
    assert found == Told(name=False, facts=())


def test_an_answer_about_somebody_else_tells_nothing() -> None:
    assert asked("Who wrote of salt?", "Nobody that I know of.") == Told(name=False, facts=())
