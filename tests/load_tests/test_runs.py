"""The measure of the `verbatim` figure, against an even slower one."""

from __future__ import annotations

from itertools import pairwise

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


@given(st.lists(TEXTS, min_size=1, max_size=3), TEXTS)
def test_without_spaces_the_words_are_those_of_a_longest_run_of_letters(
    texts: list[str], answer: str
) -> None:
    letters = "".join(words_of(answer))
    best, counts = 0, {0}
    for text in texts:
        words = words_of(text)
        glued, edges = "".join(words), [0]
        for word in words:
            edges.append(edges[-1] + len(word))
        for start in range(len(glued)):
            for end in range(start + 1, len(glued) + 1):
                if end - start >= best and glued[start:end] in letters:
                    whole = sum(start <= a and b <= end for a, b in pairwise(edges))
                    counts = counts | {whole} if end - start == best else {whole}
                    best = end - start
    assert Corpus(texts).longest_glued_run(answer) in counts


def test_words_run_together_are_found() -> None:
    corpus = Corpus(["The ninth bell rings at noon.", "So it is said."])
    assert corpus.longest_run("xthe ninthbell ringsat noon") == 1
    assert corpus.longest_glued_run("xthe ninthbell ringsat noon") == 6
    assert corpus.longest_glued_run("inthbell ringsat no") == 3
    assert corpus.longest_glued_run("") == 0
