"""How much of a text another repeats: in runs, in words, in letters and in meaning.

The measures of CoTaEval (arXiv 2406.18664) and MUSE (arXiv 2407.06460), on the words of
``guard.normalise``: capitals, spacing and punctuation make no difference, but to Levenshtein, which
compares the letters as they are, and to ROUGE, which has words of its own (``rouge.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from datasketch import MinHash
from rapidfuzz.distance import Levenshtein

from guard.normalise import SEP, normalise
from server.evaluation.rouge import scorer

# Shorter common runs are everyone's: "one of the".
LEAST_RUN: Final = 3
_PERMUTATIONS: Final = 128
_SEED: Final = 11

Encode = Callable[[Sequence[str]], npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Overlap:
    """How alike an answer is to the text that it should not repeat.

    Attributes:
        longest_run: words of the longest run that both hold.
        accumulated_runs: words of the text in runs of `LEAST_RUN` or more that the answer holds.
        rouge_1, rouge_l: F1 with stemming, 0 to 1.
        levenshtein: letters to change, over those of the longer one: 0 the same, 1 nothing alike.
        minhash: estimated Jaccard index of the two sets of words, 0 to 1.
    """

    longest_run: int
    accumulated_runs: int
    rouge_1: float
    rouge_l: float
    levenshtein: float
    minhash: float


def words(text: str) -> list[str]:
    """The normalised words of a text."""
    return [word for word in normalise(text).split(SEP) if word]


def overlap(text: str, answer: str) -> Overlap:
    """How much of ``text`` an answer repeats."""
    own, said = words(text), words(answer)
    scores = scorer().score(text, answer)
    return Overlap(
        longest_run=longest_common_run(own, said),
        accumulated_runs=accumulated_common_runs(own, said),
        rouge_1=float(scores["rouge1"].fmeasure),
        rouge_l=float(scores["rougeL"].fmeasure),
        levenshtein=float(Levenshtein.normalized_distance(text, answer)),
        minhash=_minhash(own).jaccard(_minhash(said)) if own and said else 0.0,
    )


def rouge_l_f1(text: str, answer: str) -> float:
    """ROUGE-L F1 with stemming, 0 to 1, as MUSE reports it."""
    return float(scorer().score(text, answer)["rougeL"].fmeasure)


def longest_common_run(left: Sequence[str], right: Sequence[str]) -> int:
    """The length of the longest run of words that stands in both."""
    return max(_run_ends(left, right), default=0)


def accumulated_common_runs(
    left: Sequence[str], right: Sequence[str], least: int = LEAST_RUN
) -> int:
    """How many words of ``left`` stand in a run of ``least`` or more that ``right`` holds too."""
    held = [False] * len(left)
    for end, run in enumerate(_run_ends(left, right), 1):
        if run >= least:
            held[end - run : end] = [True] * run
    return sum(held)


def _run_ends(left: Sequence[str], right: Sequence[str]) -> list[int]:
    """For each word of ``left``, the longest run that ends there and stands in ``right``."""
    out = []
    before = [0] * (len(right) + 1)
    for word in left:
        now = [0] * (len(right) + 1)
        for place, other in enumerate(right, 1):
            if word == other:
                now[place] = before[place - 1] + 1
        out.append(max(now))
        before = now
    return out


def similarities(encode: Encode, pairs: Sequence[tuple[str, str]]) -> list[float]:
    """The cosine of each pair's meanings, -1 to 1; 0 where one of them is empty."""
    if not pairs:
        return []
    left = encode([text or " " for text, _ in pairs])  # [n, d] float32, rows of length one
    right = encode([text or " " for _, text in pairs])
    cosines = np.einsum("nd,nd->n", left.astype(np.float64), right.astype(np.float64))
    return [
        float(value) if one.strip() and other.strip() else 0.0
        for value, (one, other) in zip(cosines, pairs, strict=True)
    ]


def repetition(text: str) -> float:
    """The share of runs of three words that stood in the text before, 0 to 1."""
    own = words(text)
    runs = [tuple(own[i : i + 3]) for i in range(len(own) - 2)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def _minhash(own: Sequence[str]) -> MinHash:
    made = MinHash(num_perm=_PERMUTATIONS, seed=_SEED)
    made.update_batch([word.encode() for word in sorted(set(own))])
    return made
