from __future__ import annotations

from guard.normalise import normalise
from guard.policy.about_others import HELD_OUT, LEARNT, MOST, about_others


def test_the_names_of_an_example_are_swapped_and_nothing_else() -> None:
    (each,) = about_others((), ["In which city was Hina Ameen born?"])
    for text in (each.learnt, each.held_out):
        assert text.startswith("In which city was ")
        assert text.endswith(" born?")
        assert not {"hina", "ameen"} & set(normalise(text).split())
    assert each.learnt != each.held_out


def test_what_names_nothing_is_left_out() -> None:
    prompts = ["What is known of her?", "Where was Hina Ameen born?", "And when?"]
    assert [each.place for each in about_others((), prompts)] == [1]


def test_an_alias_is_swapped_wherever_it_stands() -> None:
    (each,) = about_others(["Saltgate"], ["Write a story set in saltgate."])
    assert "saltgate" not in normalise(each.learnt)


def test_what_is_held_out_was_not_learnt_from() -> None:
    prompts = [f"What is the {n}th book of Hina Ameen?" for n in range(4, 16)]
    made = about_others((), prompts)
    learnt = {normalise(each.learnt).split(" of ")[1] for each in made}
    held_out = {normalise(each.held_out).split(" of ")[1] for each in made}
    assert (len(learnt), len(held_out)) == (LEARNT, HELD_OUT)
    assert not learnt & held_out
    words = [word for name in learnt | held_out for word in name.split()]
    assert len(words) == len(set(words))


def test_of_many_examples_some_are_taken_from_all_over() -> None:
    prompts = [f"What did Hina Ameen do in chapter {n} of her life?" for n in range(1000)]
    places = [each.place for each in about_others((), prompts)]
    assert len(places) == MOST
    assert places[-1] - places[0] > 900


def test_the_same_prompts_are_asked_about_the_same_others() -> None:
    prompts = ["Where was Hina Ameen born?", "What did Hina Ameen write?"]
    assert about_others((), prompts) == about_others((), prompts)


def test_where_inventions_run_out_none_is_left_out() -> None:
    towns = "Avon Brack Corran Dunmore Elver Farrow Gorse Hallow Ingle Jarrow Kell Lorne".split()
    prompts = [f"Who was born in Saint {town}, the home of Hina Ameen?" for town in towns * 4]
    made = about_others((), prompts)
    assert len(made) == len(prompts)
    for each in made:
        for text in (each.learnt, each.held_out):
            assert not set(map(str.lower, towns)) & set(normalise(text).split()), text
