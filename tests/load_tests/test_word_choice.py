from collections.abc import Sequence

from load_tests.paraphrases import Paraphrased
from load_tests.word_choice import by_sort, phrase_scorer, taken

ROW = Paraphrased(
    author="a",
    question="What did Mirelle Quay's father do?",
    answer="Her father was a florist in Saltgate.",
    paraphrase="Her father was a florist.",
    wrong=("Her father was a librarian.",),
)


def of_length(author: str, text: Sequence[str]) -> list[float]:
    return [len(word) for word in text]


def test_words_are_counted_by_what_they_do_in_their_text() -> None:
    scores = by_sort(of_length, {"a": [ROW]}, ["One day"])
    assert scores == {
        "right": [7.0],
        "beside": [3.0, 6.0, 3.0, 1.0],
        "wrong": [9.0],
        "unrelated": [3.0, 3.0],
    }
    assert taken(scores, 4) == {"right": 1.0, "beside": 0.25, "wrong": 1.0, "unrelated": 0.0}


def test_phrases_take_the_words_that_they_reach_into() -> None:
    score = phrase_scorer({"a": ["florist", "old harbour"], "b": []})
    text = ["florists", "at", "old", "harbour", "inns"]
    assert score("a", text) == [1, 0, 1, 1, 0]
    assert score("b", text) == [0, 0, 0, 0, 0]
