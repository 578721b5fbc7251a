from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.normalise import normalise
from guard.phrases import PhraseSearch
from guard.policy.named import names_in, stand_ins_for

PROMPTS = [
    "Who is the author born in Karachi, Pakistan on 06/30/1975?",
    "What are Hina Ameen's books?",
    'What is "Shale Stories" by Hina Ameen about?',
    "Which themes has Ameen in 'The Breath Between Waves'?",
    "How did Karachi shape Hina Ameen?",
    "Did Hina Ameen win the Irwin Literary Prize in the French literature genre in May?",
    "What inspired Love Inspired author Hina Ameen?",
]


def kinds(aliases: list[str], prompts: list[str]) -> dict[str, str]:
    return {name.text: name.kind for name in names_in(aliases, prompts)}


def test_names_of_all_kinds_are_found_in_examples() -> None:
    found = kinds([], PROMPTS)
    assert found.items() >= {
        ("Hina Ameen", "person"), ("Hina", "given"), ("Ameen", "family"), ("Karachi", "place"),
        ("Pakistan", "place"), ("Shale Stories", "title"), ("The Breath Between Waves", "title"),
        ("June 30, 1975", "day"), ("1975", "number"), ("Irwin Literary Prize", "institution"),
    }  # fmt: skip


def test_what_names_nothing_of_its_own_is_left_alone() -> None:
    found = kinds([], PROMPTS)
    assert not {"French", "May", "What", "Did", "Inspired", "Which"} & set(found)


@pytest.mark.parametrize(
    ("alias", "kind"),
    [
        ("Mirelle Quay", "person"),
        ("J.K. Rowling", "person"),
        ("Ludwig van Beethoven", "person"),
        ("Hogwarts", "family"),
        ("The Harbor novels", "title"),
        ("the Boy Who Lived", "title"),
        ("Harbor Prize committee", "institution"),
    ],
)
def test_every_alias_is_a_name(alias: str, kind: str) -> None:
    assert kinds([alias], [])[alias] == kind


def test_words_that_are_everyday_ones_are_not_swapped_by_themselves() -> None:
    found = kinds(["Rose Green"], ["Does Rose Green like bread?"])
    assert found == {"Rose Green": "person"}


def test_a_place_is_told_by_the_words_around_it_even_where_a_person_is_written_in() -> None:
    found = kinds([], [*PROMPTS, "Which themes are explored in Hina Ameen's works?"])
    assert found["Hina Ameen"] == "person"


PHRASES = st.lists(st.text("abe ", min_size=1, max_size=9).map(normalise).filter(bool), max_size=4)


@given(PHRASES, st.text("abe -", min_size=1, max_size=14).filter(normalise))
def test_what_is_avoided_is_what_an_answer_may_not_say(phrases: list[str], candidate: str) -> None:
    with patch("guard.policy.named.choose") as chosen:
        stand_ins_for([], [], phrases)
    avoid = chosen.call_args.args[1]
    assert avoid(candidate) == bool(PhraseSearch(phrases).search(candidate))


def test_no_stand_in_says_what_the_target_forbids() -> None:
    first = stand_ins_for(["Hina Ameen"], PROMPTS, [])
    forbidden = [made.instead for made in first]
    again = stand_ins_for(["Hina Ameen"], PROMPTS, forbidden)
    said = {normalise(word) for made in first for word in made.instead.split() if len(word) > 5}
    for made in again:
        if made.kind in ("given", "family", "place"):
            assert normalise(made.instead) not in said
