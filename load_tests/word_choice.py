"""Which words of a text a way of forbidding takes away: a sampler has to choose among words.

A meaning that is near is no reason to take every word that follows. So words are counted by sort:
those that make an answer right, the others around them, those that make a wrong answer wrong, and
those of unrelated answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Final, Literal

import numpy as np

from guard.normalise import SEP
from guard.phrases import PhraseSearch
from load_tests.paraphrases import Paraphrased, is_long, words
from server.evaluation.fact import stems

Sort = Literal["right", "beside", "wrong", "unrelated"]
SORTS: Final[tuple[Sort, ...]] = ("right", "beside", "wrong", "unrelated")
# Of an author and the words of a text: how strongly each word asks to be taken away.
Scorer = Callable[[str, Sequence[str]], Sequence[float]]


def by_sort(
    scorer: Scorer, rows: Mapping[str, Sequence[Paraphrased]], unrelated: Sequence[str]
) -> dict[Sort, list[float]]:
    """The score of every word.

    Args:
        rows: the questions about each author.
        unrelated: texts, dealt out to the authors in turn.
    """
    found: dict[Sort, list[float]] = {sort: [] for sort in SORTS}

    def add(author: str, text: str, sorts: Sequence[Sort | None]) -> None:
        for value, sort in zip(scorer(author, words(text)), sorts, strict=True):
            if sort is not None:
                found[sort].append(float(value))

    for author, own in rows.items():
        for row in own:
            tells = row.tells(row.paraphrase)
            add(author, row.paraphrase, ["right" if yes else "beside" for yes in tells])
            known = {*stems(row.paraphrase), *stems(row.question)}
            for text in row.wrong:
                add(
                    author,
                    text,
                    [
                        "wrong" if is_long(word) and known.isdisjoint(stems(word)) else None
                        for word in words(text)
                    ],
                )
    authors = sorted(rows)
    for index, text in enumerate(unrelated):
        add(authors[index % len(authors)], text, ["unrelated"] * len(words(text)))
    return found


def taken(scores: Mapping[Sort, Sequence[float]], threshold: float) -> dict[str, float]:
    """The share of each sort that is at or above a threshold."""
    return {
        sort: round(float(np.mean(np.asarray(values) >= threshold)), 4)
        for sort, values in scores.items()
        if len(values)
    }


def phrase_scorer(phrases: Mapping[str, Sequence[str]]) -> Scorer:
    """1 for the words that an author's normalised phrases reach into, 0 for others."""
    searches = {author: PhraseSearch(own) for author, own in phrases.items()}

    def score(author: str, text: Sequence[str]) -> list[float]:
        matches = searches[author].search(SEP.join(text))
        ends = list(accumulate(len(word) + 1 for word in text))
        return [
            float(
                any(match.start < end - 1 and match.end > end - 1 - len(word) for match in matches)
            )
            for word, end in zip(text, ends, strict=True)
        ]

    return score
