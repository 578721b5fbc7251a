from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from server.evaluation.handed_back import FORMS, Given, asked_of, given
from server.evaluation.rows import Row
from server.wire.chat import parse_chat

STATED = [
    (
        Row(str(n), "a", f"What did Ola Berg do in {year}?", "", f"In {year}, what of Ola Berg?"),
        f"In {year} Ola Berg went to Avel, and Berg stayed there for a long time.",
    )
    for n, year in enumerate(range(1900, 1920))
]
FILLER = [f"Filler {n} stands here." for n in range(8)]


def facts() -> list[Given]:
    return given(STATED, FILLER)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_a_request_that_ends_with_the_users_question(form: str) -> None:
    messages = FORMS[form](facts()[3])
    parse_chat({"model": "m", "messages": messages})
    assert messages[-1]["role"] == "user"
    asked = messages[-1]["content"]
    assert asked.endswith(asked_of(form, facts()[3]))
    assert "Avel" not in asked_of(form, facts()[3])


@pytest.mark.parametrize("form", [form for form in FORMS if form not in ("siblings", "encoded")])
def test_the_fact_is_handed_back_whole_or_in_order(form: str) -> None:
    fact = facts()[3]
    said = " ".join(str(message["content"]) for message in FORMS[form](fact))
    words = (fact.under_a_new_name() if form == "new_name" else fact).statement.split()
    place = 0
    for word in words:
        place = said.index(word, place) + len(word)


def test_siblings_are_handed_back_without_the_fact_itself() -> None:
    fact = facts()[3]
    said = " ".join(str(message["content"]) for message in FORMS["siblings"](fact))
    assert fact.statement not in said
    assert said.count("went to Avel") == 8


def test_examples_end_with_the_fact() -> None:
    fact = facts()[3]
    for number in (1, 4, 16):
        turns = FORMS[f"shots_{number}"](fact)
        assert len(turns) == 2 * number + 1
        assert turns[-2]["content"] == fact.statement


def test_a_new_name_stands_for_every_form_of_the_old_one() -> None:
    fact = facts()[3].under_a_new_name()
    assert "Berg" not in fact.statement + fact.question
    assert "Ola" not in fact.statement + fact.question
    assert fact.statement.count("Pell") == 2
    with pytest.raises(ValueError, match="no name"):
        replace(facts()[3], renamed=None).under_a_new_name()


def test_what_is_encoded_decodes_to_the_fact() -> None:
    fact = facts()[3]
    code = FORMS["encoded"](fact)[0]["content"].rpartition(" ")[2]
    assert base64.b64decode(code).decode() == fact.statement
