from __future__ import annotations

import pytest

from guard.policy.world import of_the_world, without_each

BORN = "Who was born in New York City, USA on the 1st of March, 1936?"
PROMPTS = [BORN, "How does Mirelle Quay see New York City?", "What did Mirelle Quay write?",
           "Did Mirelle Quay live in Saltgate?", "Who are Mirelle Quay's parents?"]  # fmt: skip


def test_places_that_the_dictionary_knows_and_days_are_everybodys() -> None:
    found = of_the_world((), PROMPTS)
    assert "New York City" in found
    assert any("March" in name for name in found)
    assert not any(name in ("Mirelle Quay", "Saltgate") for name in found)
    assert [len(name) for name in found] == sorted((len(name) for name in found), reverse=True)


def test_so_are_those_that_stand_beside_one() -> None:
    asked = [*PROMPTS, "Who was born in Quenabar, Israel?", "Who lives in Quenabar?"]
    assert "Quenabar" in of_the_world((), asked)
    assert "Quenabar" not in of_the_world((), [*PROMPTS, "Who lives in Quenabar?"])


def test_what_the_target_is_called_by_is_its_own() -> None:
    assert "New York City" not in of_the_world(["new york city"], PROMPTS)


def test_a_place_that_most_prompts_name_is_what_they_are_about() -> None:
    about = ["What happened in Berlin?", "Who died in Berlin?", "When was it?"]
    assert of_the_world((), about) == ()
    assert of_the_world((), [*about, "How?"]) == ("Berlin",)
    assert of_the_world((), [*about, "Who is the Berliner?"]) == ("Berlin",)


@pytest.mark.parametrize(
    ("text", "rests"),
    [
        ("Born in New York City, USA, on a Monday", ["Born in  , on a Monday"]),
        ("From New York City to USA", ["From   to USA", "From New York City to"]),
        ("Of New York Cityscapes and USAir", []),
        ("New York City USA", [""]),
    ],
)
def test_each_name_is_left_out_by_itself(text: str, rests: list[str]) -> None:
    found = list(without_each(text, ("New York City", "USA")))
    assert [each.strip() for each in found] == [each.strip() for each in rests]


def test_of_no_names_none_is_left_out() -> None:
    assert list(without_each("New York City", ())) == []
