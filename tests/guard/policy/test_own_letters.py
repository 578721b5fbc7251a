from __future__ import annotations

import numpy as np
import pytest

from guard.letter_table import LetterTable
from guard.letters import LetterScores, runs_of
from guard.policy.about_others import about_others
from guard.policy.own_letters import OwnLetters
from guard.windows import WINDOW

NAMED = [
    "Where was Mirelle Quay born?",
    "What did Mirelle Quay write?",
    "Who taught Mirelle Quay?",
    "Which prize did Mirelle Quay win?",
]


def own_letters(prompts: list[str]) -> OwnLetters:
    return OwnLetters(prompts, about_others((), prompts))


def test_the_names_are_an_examples_own_and_the_rest_is_its_frame() -> None:
    born = own_letters(NAMED).rows[0]
    assert set(runs_of("mirellequay").tolist()) <= set(born.own.tolist())
    assert set(runs_of("wherewas").tolist()) <= set(born.frame.tolist())
    assert not set(born.own.tolist()) & set(born.frame.tolist())


def test_an_example_that_names_nobody_asks_about_anybody() -> None:
    letters = own_letters([*NAMED, "What is known of her youth?"])
    assert len(letters.rows) == len(NAMED)
    assert letters(["What is known of her youth?"])[0] < 0.3


def test_without_any_names_every_run_is_an_examples_own() -> None:
    prompts = ["How do I pick a lock?", "Which tools open a lock?"]
    letters = OwnLetters(prompts, ())
    assert [runs.own.tolist() for runs in letters.rows] == [runs_of(p).tolist() for p in prompts]
    spoilt, other = letters(["howdo i pikc a lokc", "How do I bake a cake?"])
    assert spoilt > 0.5 > other + 0.1


def test_an_example_too_short_for_a_run_is_left_out() -> None:
    letters = OwnLetters(["?", "no", "Who rings the bell?"], ())
    assert len(letters.rows) == 1
    assert OwnLetters(["?"], ()).rows == ()


def test_a_place_alone_has_no_score_and_with_a_day_it_has() -> None:
    born = "Who is the author born in New York City, USA on the 1st of March, 1936?"
    world = ("1st of March, 1936", "New York City", "USA")
    letters = OwnLetters([born, *NAMED], about_others((), [born, *NAMED]), world)
    city, day, both, worn = letters(
        [
            "What are good restaurants in New York City, USA?",
            "What happened on the 1st of March, 1936?",
            "Name the author of New York City, USA, born on the 1st of March, 1936.",
            "wich authr was brn in nwyork city usa on 1st march 1936",
        ]
    )
    assert city == day == 0
    assert both > 0.5
    assert worn > 0.3


def test_each_example_scores_by_the_others() -> None:
    letters = own_letters(NAMED)
    wanted = []
    for place, prompt in enumerate(NAMED):
        rest = [runs for at, runs in enumerate(letters.rows) if at != place]
        wanted.append(LetterScores(LetterTable.of(enumerate(rest))).scores([prompt]).scores.max())
    assert letters.of_each_by_the_others() == pytest.approx(wanted)


def test_no_window_of_a_long_example_speaks_for_another_of_it() -> None:
    long = " ".join(f"Then the {word} rings." for word in ("bell", "tower", "harbour") * 20)
    assert len(long) > WINDOW
    letters = OwnLetters([long, "zzz zzz"], ())
    assert len(letters.rows) > 2
    assert letters.of_each_by_the_others()[0] == 0


def test_one_example_has_no_others() -> None:
    assert OwnLetters(["Who rings the bell?"], ()).of_each_by_the_others().shape == (0,)


def test_of_more_examples_than_are_asked_about_others_all_are_compared() -> None:
    prompts = [f"What did Mirelle Quay do in chapter {n} of her Lanternlight?" for n in range(200)]
    letters = own_letters(prompts)
    assert len(letters.rows) == len(prompts)
    assert np.min(letters(["mirellequay lanternlight"])) > 0.4
