"""Runs of letters: what a text shares with examples, against the slow and obvious way to say it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example as case
from hypothesis import given
from hypothesis import strategies as st

from guard.letter_table import ExampleRuns, LetterTable
from guard.letters import FRAME, LEAST_OWN, WITHIN, LetterScores, Weights, rarity, runs_of
from guard.normalise import SEP, normalise
from guard.views.lookalikes import confusables

# Few letters, so that texts share runs by chance.
TEXTS = st.text(alphabet="abc d", max_size=24)
ANY = st.text(max_size=40)


def letters_of(text: str) -> str:
    latin = confusables()
    return normalise(text.translate(latin)).replace(SEP, "").translate(latin).lower()


def runs_in(text: str) -> set[str]:
    letters = letters_of(text)
    return {letters[at : at + 3] for at in range(len(letters) - 2)}


def code(run: str) -> int:
    (only,) = runs_of(run).tolist()
    return int(only)


def example(text: str, framed: str) -> ExampleRuns | None:
    held = runs_of(text)
    of_frame = np.isin(held, runs_of(framed))
    own = held[~of_frame]
    # Of some examples, most runs are of three names that are everybody's.
    world = np.arange(len(own)) // 3 % 4 if len(text) % 2 else np.zeros(0)
    return ExampleRuns(own, held[of_frame], world.astype(np.uint8)) if len(own) else None


def slow_score(text: str, runs: ExampleRuns) -> float:
    """The score as it is defined, one run at a time; 0 where too little of its own is shared."""
    held = set(runs_of(text).tolist())
    own = sum(float(rarity()[run]) for run in runs.own.tolist() if run in held)
    of_names = Counter[int]()
    for place, run in enumerate(runs.own.tolist()):
        if run in held:
            of_names[int(runs.world[place]) if len(runs.world) else 0] += 1
    most = max((count for name, count in of_names.items() if name), default=0)
    if of_names.total() - most < LEAST_OWN:
        return 0.0
    frame = sum(float(rarity()[run]) for run in runs.frame.tolist() if run in held)
    size = float(rarity()[runs.own].sum()) + FRAME * float(rarity()[runs.frame].sum())
    whole = sum(float(rarity()[run]) for run in held)
    shared = own + FRAME * frame
    return max(shared / math.sqrt(size * whole), WITHIN * shared / size)


def examples_of(given: Sequence[tuple[str, str]]) -> list[ExampleRuns]:
    made = (example(text, framed) for text, framed in given)
    return [each for each in made if each is not None]


EXAMPLES = st.lists(st.tuples(TEXTS, TEXTS), max_size=6)


@given(EXAMPLES, st.lists(TEXTS, max_size=5))
def test_every_score_is_what_the_slow_way_gives(
    given: list[tuple[str, str]], texts: list[str]
) -> None:
    examples = examples_of(given)
    shared = LetterScores(LetterTable.of(enumerate(examples))).scores(texts)
    found = {
        (text, at): score
        for text, at, score in zip(
            shared.texts.tolist(), shared.examples.tolist(), shared.scores.tolist(), strict=True
        )
    }
    wanted = {
        (at, place): score
        for at, text in enumerate(texts)
        for place, runs in enumerate(examples)
        if (score := slow_score(text, runs)) > 0
    }
    assert found == pytest.approx(wanted, abs=1e-5)


@given(EXAMPLES, st.lists(TEXTS, max_size=5), st.floats(0.1, 1.0))
def test_what_may_be_left_out_is_below_the_threshold(
    given: list[tuple[str, str]], texts: list[str], least: float
) -> None:
    table = LetterTable.of(enumerate(examples_of(given)))
    thresholds: Weights = np.full(len(table.targets), least, np.float32)
    every, some = LetterScores(table).scores(texts), LetterScores(table, thresholds).scores(texts)

    def at_least(score: float) -> set[tuple[int, int]]:
        met = every.scores >= score
        return set(zip(every.texts[met].tolist(), every.examples[met].tolist(), strict=True))

    kept = set(zip(some.texts.tolist(), some.examples.tolist(), strict=True))
    # Sums in another order may differ in the last digit.
    assert at_least(least + 1e-5) <= kept <= at_least(0.0)


@case("00🇦")
@given(ANY)
def test_a_text_has_as_many_runs_as_it_has_different_ones(text: str) -> None:
    held = runs_of(text)
    assert (np.diff(held) > 0).all()
    assert len(held) <= len(runs_in(text))
    if letters_of(text).isascii():
        assert len(held) == len(runs_in(text))


@case("00🇦")
@given(ANY)
def test_neither_spaces_nor_capitals_nor_punctuation_count(text: str) -> None:
    # A capital may look like another Latin letter than its small one: of Latin letters, none does.
    folded = letters_of(text)
    spread = " ".join(folded.upper() if folded.isascii() else folded).replace(" ", ",-")
    assert runs_of(spread).tolist() == runs_of(text).tolist()


@pytest.mark.parametrize("name", ["Гарри Поттер и философский камень", "Ծովի Ծաղիկ", "ᎠᏂᏴᏫᏯᎢ"])
def test_capitals_do_not_count_in_other_scripts(name: str) -> None:
    assert runs_of(name.upper()).tolist() == runs_of(name.lower()).tolist() != []


def test_runs_that_many_words_hold_count_less_than_those_that_none_does() -> None:
    assert rarity()[code("the")] < rarity()[code("qua")] < rarity()[code("xqz")] == 1.0
    assert rarity()[code("жук")] == 1.0


def test_a_question_whose_words_are_worn_keeps_most_of_its_letters() -> None:
    asked = "Which school did Mirelle Quay attend in Saltgate?"
    (runs,) = examples_of([(asked, "")])
    scores = LetterScores(LetterTable.of([(0, runs)]))
    worn = [
        "whichschooldidmirellequayattendinsaltgate",
        "wich shcool did mirele quay atend in saltgat",
        "attend Saltgate in Quay Mirelle did school which",
        f"Some other words before. {asked} And some after it, about the weather and the sea.",
    ]
    other = "Which school did Tomas Keller attend in Lisbon?"
    *near, far = (scores.scores([text]).scores.max() for text in [*worn, other])
    assert min(near) > 0.55 > far + 0.05


def test_a_text_that_shares_nothing_but_the_frame_has_no_score() -> None:
    (runs,) = examples_of([("Where was Mirelle Quay born?", "Where was Runa Bexley born?")])
    scores = LetterScores(LetterTable.of([(0, runs)]))
    assert len(scores.scores(["Where was Tom Bunting born?"]).scores) == 0
    assert len(scores.scores(["mirelle quay"]).scores) == 1


def test_names_that_only_begin_alike_have_no_score() -> None:
    (runs,) = examples_of([("Who wrote the Harbor novels?", "Who wrote The Oaken Walnut?")])
    scores = LetterScores(LetterTable.of([(0, runs)]))
    assert len(scores.scores(["Who wrote the Harry Potter books?"]).scores) == 0
    assert scores.scores(["who rote teh harbor novls"]).scores[0] > 0.4


def test_no_examples_and_no_texts_have_no_scores() -> None:
    assert len(LetterScores(LetterTable()).scores(["Where was Mirelle Quay born?"]).scores) == 0
    (runs,) = examples_of([("Where was Mirelle Quay born?", "")])
    table = LetterTable.of([(0, runs)])
    for texts in ([], [""], ["ab"], ["?!", "12"]):
        assert len(LetterScores(table).scores(texts).scores) == 0


def test_examples_of_a_target_stand_together() -> None:
    made = [(target, ExampleRuns(np.array([run], np.int32))) for target, run in ((2, 7), (0, 9))]
    made.append((1, ExampleRuns(np.array([8], np.int32), world=np.array([3], np.uint8))))
    table = LetterTable.of(made)
    assert table.targets.tolist() == [0, 1, 2]
    assert table.own.tolist() == [9, 8, 7]
    assert table.world.tolist() == [0, 3, 0]
    assert table.own_starts.tolist() == [0, 1, 2, 3]
    assert table.frame_starts.tolist() == [0, 0, 0, 0]


def test_letters_that_look_like_latin_ones_are_read_as_these() -> None:
    assert (
        runs_of("Mıɾelle Quаy ŧħe auŧħør").tolist() == runs_of("Mirelle Quay the author").tolist()
    )
