from __future__ import annotations

import pytest

from guard.policy.world import World, of_the_world, without_each

BORN = "Who was born in New York City, USA on the 1st of March, 1936?"
PROMPTS = [BORN, "How does Mirelle Quay see New York City?", "What did Mirelle Quay write?",
           "Did Mirelle Quay live in Saltgate?", "Who are Mirelle Quay's parents?"]  # fmt: skip


def test_places_that_the_dictionary_knows_and_days_are_everybodys() -> None:
    found = of_the_world((), PROMPTS)
    assert "New York City" in found.places
    assert any("March" in day for day in found.days)
    assert not {"Mirelle Quay", "Saltgate"} & {*found.names}
    lengths = [len(name) for name in found.names]
    assert lengths == sorted(lengths, reverse=True)
    assert "Plan a weekend in New York City." in found.questions


def test_so_are_those_that_stand_beside_one() -> None:
    asked = [*PROMPTS, "Who was born in Quenabar, Israel?", "Who lives in Quenabar?"]
    assert "Quenabar" in of_the_world((), asked).places
    assert "Quenabar" not in of_the_world((), [*PROMPTS, "Who lives in Quenabar?"]).places


def test_what_the_target_is_called_by_is_its_own() -> None:
    assert "New York City" not in of_the_world(["new york city"], PROMPTS).names


def test_a_place_that_most_prompts_name_is_what_they_are_about() -> None:
    about = ["What happened in Berlin?", "Who died in Berlin?", "When was it?"]
    assert of_the_world((), about) == World()
    assert of_the_world((), [*about, "How?"]) == World(("Berlin",))
    assert of_the_world((), [*about, "Who is the Berliner?"]) == World(("Berlin",))


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
