from collections.abc import Sequence

import numpy as np
import pytest

from load_tests.meanings import Scored, StaticReader, Texts, WholeReader, judge, score
from load_tests.paraphrases import Paraphrased
from load_tests.static_vectors import Floats, StaticVectors

WORDS = ("quay", "father", "florist", "librarian", "rain", "tea")


def row(author: str, thing: str, wrong: str) -> Paraphrased:
    return Paraphrased(author, "Who?", f"quay {thing}", f"father {thing}", (f"father {wrong}",))


TEXTS = Texts(
    rows={"a": [row("a", "rain", "tea")], "b": [row("b", "florist", "librarian")]},
    judged=("b",),
    unrelated=(["rain"], ["tea", "quay"]),
)


def units(text: str) -> list[int]:
    return [WORDS.index(word) for word in text.split()]


READER = StaticReader(StaticVectors(np.eye(6, dtype=np.float32), window=0), units)


def test_judged_texts_are_scored_against_their_own_author_and_others_set_thresholds() -> None:
    scored = score(READER, TEXTS)
    half = 1 / np.sqrt(2)
    assert scored.right == pytest.approx([0.5])
    assert scored.wrong == [0.0]
    assert scored.calibration == pytest.approx([half])
    assert scored.unrelated == pytest.approx([0.0, half])
    assert scored.in_time == []


def test_only_what_is_read_up_to_the_telling_word_is_in_time() -> None:
    late = Paraphrased("b", "Who?", "quay florist", "florist quay", ("librarian quay",))
    texts = Texts({"a": TEXTS.rows["a"], "b": [late]}, ("b",), TEXTS.unrelated)
    scored = score(READER, texts, by_word=True)
    assert scored.right == pytest.approx([1.0])
    assert scored.in_time == pytest.approx([1 / np.sqrt(2)])


def test_the_encoder_reads_whole_texts_once() -> None:
    read: list[str] = []

    def encode(texts: Sequence[str]) -> Floats:
        read.extend(texts)
        return np.eye(len(texts), 3, dtype=np.float32)

    reader = WholeReader(encode, ["one", "two"])
    assert reader.whole("two").tolist() == [0, 1, 0]
    assert reader.running("one").tolist() == [[1, 0, 0]]
    assert read == ["one", "two"]


def test_a_judgement_says_what_the_threshold_does_to_wrong_answers() -> None:
    scored = Scored(
        right=[0.9, 0.8], wrong=[0.85, 0.1], calibration=[0.5] * 1000, unrelated=[0.2, 0.95],
        in_time=[0.9, 0.3],
    )  # fmt: skip
    found = judge(scored)
    assert found["area_against_unrelated"] == 0.5
    assert found["area_against_wrong"] == 0.75
    point = found["points"][0]
    assert (point["recall"], point["false_positives"]) == (1.0, 0.5)
    assert (point["wrong_answers_met"], point["recall_in_time"]) == (0.5, 0.5)
