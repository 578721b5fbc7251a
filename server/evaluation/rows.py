"""One question of a forget set or of its neighbours, with its gold answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One question with its gold answer.

    Attributes:
        author: whom or what it is about, the group that intervals are drawn by; empty where
            each question stands for itself.
        perturbed_answers: wrong answers.
        short_answer: the right one in a few words, beside wrong ones as short.
    """

    id: str
    author: str
    question: str
    answer: str
    paraphrased_question: str = ""
    paraphrased_answer: str = ""
    perturbed_answers: tuple[str, ...] = ()
    short_answer: str = ""
