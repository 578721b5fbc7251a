"""The measure of the `verbatim` figure, against an even slower one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from load_tests.runs import Corpus, words_of

TEXTS = st.lists(st.sampled_from("aabc "), max_size=20).map(" ".join)


@given(st.lists(TEXTS, max_size=3), TEXTS, st.integers(0, 5))
def test_the_longest_run_is_the_longest_of_all_slices(
    texts: list[str], answer: str, after: int
) -> None:
    words = words_of(answer)
    corpus = [f" {' '.join(words_of(text))} " for text in texts]
    slices = [
        words[start:end]
        for end in range(after + 1, len(words) + 1)
        for start in range(end)
        if any(f" {' '.join(words[start:end])} " in text for text in corpus)
    ]
    assert Corpus(texts).longest_run(answer, after=after) == max(map(len, slices), default=0)


def test_how_words_are_written_does_not_matter() -> None:
    corpus = Corpus(["The ninth bell rings at noon.", "So it is said."])
    assert corpus.longest_run("they say THE\n**ninth**, bell-rings; at NOON so it is") == 6
