"""Perplexity is of whole answers, and each component is judged over the reference's."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from load_tests.chat import Answer
from load_tests.figure import NotMeasurableError, Options
from load_tests.figures import fluency
from load_tests.figures.fluency import Fluency
from load_tests.lexicon import Lexicon
from load_tests.surprise import Perplexity, Question, Reader, Token
from load_tests.transcripts import Transcript, Transcripts
from server.evaluation.rows import Row

WORDS = "she wrote a book in it"
LEXICON = Lexicon(WORDS.split())


def of(*nats: float) -> list[Token]:
    return [Token(i, i + 1, value) for i, value in enumerate(nats)]


def test_perplexity_is_the_median_answers_and_the_mean_tokens() -> None:
    found = Perplexity.of([of(0.0, 0.0), of(1.0), of(3.0, 3.0, 3.0), []])
    assert found.median == pytest.approx(math.e, abs=1e-3)
    assert found.of_mean == pytest.approx(math.exp(10 / 6), abs=1e-3)
    assert Perplexity.of([of(0.0), of(math.log(3))]).median == pytest.approx(2.0, abs=1e-3)
    with pytest.raises(ValueError, match="no answer"):
        Perplexity.of([[]])


def test_answers_are_scored_by_what_they_hold() -> None:
    texts = ["She wrote a book.", "She wrote a bo", "", "a book a book a book a book a book."]
    questions = [Question("Who?", text, ended=i != 1) for i, text in enumerate(texts)]
    scored = fluency.score(questions, [of(1.0)] * 4, LEXICON)
    assert scored.rubble == 50.0
    assert scored.by_form == {"empty": 1, "loop": 1}
    assert scored.unended == 25.0
    assert scored.repeated == pytest.approx(100 * (4 / 7) / 4, abs=0.01)
    assert 0 < scored.distinct < 100


def test_more_of_anything_bad_than_the_reference_misses_the_goal() -> None:
    reference = Fluency(Perplexity(10, 10), 1.0, 50.0, 0.0, 0.0, {}, 0.0)
    ours = Fluency(Perplexity(9, 12), 1.1, 40.0, 2.0, 0.0, {}, 0.0)
    goals = fluency._goals(ours, reference)
    assert {name: (goal["ratio"], goal["met"]) for name, goal in goals.items()} == {
        "perplexity_median": (0.9, True),
        "perplexity_of_mean": (1.2, False),
        "repeated_4_grams": (1.0, True),  # less than a point more is chance
        "one_over_distinct_2": (1.25, False),
        "rubble": (None, False),
        "rubble_but_names": (1.0, True),
    }
    assert all(goal["ratio"] == 1.0 for goal in fluency._goals(reference, reference).values())


def test_what_was_read_before_is_not_read_again(tmp_path: Path) -> None:
    class Fake(Reader):
        asked = 0

        def _read(self, questions: list[Question]) -> list[list[Token]]:  # type: ignore[override]
            self.asked += len(questions)
            return [of(*map(float, range(len(each.answer)))) for each in questions]

    questions = [Question("Who?", text, ended=True) for text in ("abc", "a", "abc", "")]
    first = Fake(tmp_path / "model", tmp_path / "kept.jsonl")
    read = first.read(questions, "test")
    assert [len(tokens) for tokens in read] == [3, 1, 3, 0]
    assert first.asked == 3
    second = Fake(tmp_path / "model", tmp_path / "kept.jsonl")
    assert second.read(questions, "test") == read
    assert second.asked == 0
    second.read([Question("Who?", "a", ended=False)], "test")
    assert second.asked == 1
    other = Fake(tmp_path / "other", tmp_path / "kept.jsonl")
    other.read(questions[:1], "test")
    assert other.asked == 1


def test_without_transcripts_nothing_is_measured(tmp_path: Path) -> None:
    with pytest.raises(NotMeasurableError, match="run tofu-leak first"):
        fluency.measure(Options(folder=str(tmp_path)))


def test_arms_must_have_been_asked_the_same(tmp_path: Path) -> None:
    kept = Transcripts(tmp_path)
    answer = Answer(("Quay.",), ("stop",), "", 1)
    for arm, asked in (("guard", "Who?"), ("retain_only", "Whose?")):
        kept.write(arm, "forget", Transcript([Row("f", "f00", asked, "Quay.")], [answer]))
    with pytest.raises(NotMeasurableError, match="the same questions"):
        fluency.measure(Options(folder=str(tmp_path)))
