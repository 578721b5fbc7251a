"""Wordings are runs of an answer's words, names not counted."""

from hypothesis import given
from hypothesis import strategies as st

from guard.policy.wordings import wordings

ANSWER = "Mirelle Quay's novels are set in Saltgate, a drowned town."


def test_every_run_of_one_word_more_than_may_be_said_is_found() -> None:
    assert wordings(["She rings a drowned bell."], 2) == [
        "she rings a",
        "rings a drowned",
        "a drowned bell",
    ]


def test_names_do_not_count_and_stand_at_no_end_of_a_run() -> None:
    assert wordings([ANSWER], 2, ["mirelle quay", "saltgate"]) == [
        "novels are set",
        "are set in",
        "set in saltgate a",
        "in saltgate a drowned",
        "a drowned town",
    ]


def test_what_every_answer_says_is_left_out() -> None:
    found = wordings(["The bells were known for what they are."], 1)
    assert found == ["the bells", "bells were", "were known", "known for"]


def test_an_answer_of_few_words_has_no_runs() -> None:
    assert wordings(["Twelve chimes.", ""], 2) == []


Words = st.lists(st.sampled_from(["ann", "lee", "s", "bell", "rings", "tower", "the"]), max_size=9)
Names = st.lists(st.sampled_from(["ann", "lee", "ann lee", "lee ann lee"]), max_size=2)


@given(Words, Names, st.integers(1, 3))
def test_each_run_holds_just_so_many_words_besides_names(
    said: list[str], names: list[str], words: int
) -> None:
    covered: set[int] = set()
    for name in (name.split() for name in names):
        for place in range(len(said) - len(name) + 1):
            if said[place : place + len(name)] == name:
                covered.update(range(place, place + len(name)))
                end = place + len(name)
                if said[end : end + 1] == ["s"]:
                    covered.add(end)
    expected: set[str] = set()
    for first in range(len(said)):
        for last in range(first, len(said)):
            run = [place for place in range(first, last + 1) if place not in covered]
            whole = len(run) == words + 1 and run[0] == first and run[-1] == last
            if whole and not {said[place] for place in run} <= {"the", "s"}:
                expected.add(" ".join(said[first : last + 1]))
    found = wordings([" ".join(said)], words, names)
    assert len(found) == len(set(found))
    assert set(found) == expected
