from __future__ import annotations

from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.bundle import NameKind, StandIn
from guard.normalise import normalise
from guard.stand_ins.choice import Name, choose, pairs

NAMES = [
    Name("Hina Ameen", "person"), Name("Hina", "given"), Name("Ameen", "family"),
    Name("Tariq Ameen", "person"), Name("Ludwig van Beethoven", "person"),
    Name("J.K. Rowling", "person"), Name("Moshe Ben-David", "person"), Name("Ben-David", "family"),
    Name("Karachi", "place"), Name("Tel Aviv", "place"), Name("New York City", "place"),
    Name("Shale Stories", "title"), Name("The Town That Drowned", "title"), Name("Emma", "title"),
    Name("Irwin Literary Prize", "institution"), Name("University of Karachi", "institution"),
    Name("June 30, 1975", "day"), Name("1975", "number"), Name("4,200", "number"),
]  # fmt: skip


def never(text: str) -> bool:
    return False


def chosen(*names: Name) -> dict[str, str]:
    return {made.text: made.instead for made in choose(names or NAMES, never)}


def test_every_name_gets_a_stand_in_of_its_own() -> None:
    made = choose(NAMES, never)
    assert [each.text for each in made] == [name.text for name in NAMES]
    assert len({each.instead for each in made}) == len(made)


def test_a_stand_in_has_as_many_words_as_the_name() -> None:
    for made in choose(NAMES, never):
        assert normalise(made.instead).count(" ") == normalise(made.text).count(" "), made


def test_the_words_of_a_persons_name_go_together() -> None:
    made = chosen()
    assert made["Hina Ameen"] == f"{made['Hina']} {made['Ameen']}"
    assert made["Tariq Ameen"].endswith(f" {made['Ameen']}")
    assert made["Moshe Ben-David"].endswith(f" {made['Ben-David']}")
    assert " van " in made["Ludwig van Beethoven"]
    assert made["J.K. Rowling"].startswith("J.K. ")


def test_what_a_name_is_of_stays_visible() -> None:
    made = chosen()
    assert made["The Town That Drowned"].startswith("The ")
    assert made["Irwin Literary Prize"].endswith(" Literary Prize")
    assert made["1975"] in made["June 30, 1975"]
    assert 1900 < int(made["1975"]) < 2000
    assert len(made["4,200"]) == 5


def test_a_name_has_the_same_stand_in_beside_whatever_others() -> None:
    alone = chosen(Name("Karachi", "place"))
    assert chosen()["Karachi"] == alone["Karachi"]
    assert chosen(*reversed(NAMES))["Hina Ameen"] == chosen()["Hina Ameen"]


@given(st.sets(st.sampled_from(NAMES), min_size=1))
def test_what_is_to_be_avoided_is_not_chosen_and_the_rest_is_kept(names: set[Name]) -> None:
    first = choose(sorted(names, key=str), never)
    taken = {normalise(made.instead) for made in first[::2]}

    def avoid(text: str) -> bool:
        return normalise(text) in taken

    again = choose(sorted(names, key=str), avoid, kept=first)
    assert len(again) == len(first)
    words = {"person", "given", "family"}
    for before, after in zip(first, again, strict=True):
        if before.kind not in words:
            assert normalise(after.instead) not in taken
        if before.kind == "place" and normalise(before.instead) not in taken:
            assert after == before


def test_an_earlier_choice_is_kept_where_it_can_be() -> None:
    kept = (StandIn("Hina Ameen", "person", "Kerry Upton"), StandIn("Karachi", "place", "Redbrook"))
    made = choose([Name("Hina", "given"), Name("Karachi", "place")], never, kept)
    assert [each.instead for each in made] == ["Kerry", "Redbrook"]
    avoiding = choose([Name("Karachi", "place")], lambda text: text == "Redbrook", kept)
    assert avoiding[0].instead != "Redbrook"


def test_a_name_without_a_stand_in_left_is_left_out() -> None:
    assert choose(NAMES, lambda text: True) == ()


def test_a_day_is_swapped_in_every_way_to_write_it() -> None:
    table = {name: instead for _, name, instead in pairs(choose(NAMES, never))}
    assert table["06/30/1975"].endswith(f"/{table['1975']}")
    month, day, year = table["June 30, 1975"].replace(",", "").split()
    assert table["30th of June 1975"].endswith(f" of {month} {year}")
    assert table["30 June 1975"] == f"{day} {month} {year}"


def test_a_title_is_swapped_without_its_article_too() -> None:
    table = {name: instead for _, name, instead in pairs(choose(NAMES, never))}
    assert table["The Town That Drowned"] == f"The {table['Town That Drowned']}"


@pytest.mark.parametrize("pool", ["given", "family", "places", "titles", "adjectives"])
def test_a_pool_holds_plain_single_words_each_once(pool: str) -> None:
    text = resources.files("guard.stand_ins").joinpath(f"{pool}.txt").read_text("utf-8")
    words = [line for line in text.splitlines() if line[0] != "#"]
    assert len(words) == len(set(map(normalise, words))) >= 30
    assert all(word.isascii() and word.isalpha() and word.istitle() for word in words)


def test_the_pools_of_persons_and_places_share_no_word() -> None:
    kinds: tuple[NameKind, ...] = ("given", "family", "place")
    many = [Name(f"{kind}{chr(97 + i)}", kind) for kind in kinds for i in range(26)]
    made = choose(many, never)
    assert len({each.instead for each in made}) == len(many)
