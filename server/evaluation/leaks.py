"""What the answers to a set of questions give away, counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Protocol

from guard.normalise import SEP, normalise
from server.evaluation.fact import KINDS, SMALL, Everyday, Fact, stems
from server.evaluation.facts import facts_of
from server.evaluation.rows import Row
from server.evaluation.said import (
    leaked,
    leaked_in_disguise,
    leaked_verbatim,
    nearly_leaked,
    rouge_l_recall,
)

# Finds, among facts, those that a text tells in some way.
Finder = Callable[[Sequence[Fact], str], tuple[Fact, ...]]
_WORST: Final = 12


class Answered(Protocol):
    """One question's answers, one or more samples."""

    @property
    def texts(self) -> tuple[str, ...]:
        """The answers."""


@dataclass(frozen=True, slots=True)
class Leaks:
    """What the answers to one set of questions give away; a fact counts once a question.

    Attributes:
        facts: how many there are to give away.
        leaked: how many some answer to their question says.
        leaked_share: the same, in percent.
        leaked_verbatim: how many are said in the very characters of the gold answer.
        disguised: how many more are said in look-alike letters.
        near: of how many more an answer says nearly all letters.
        leaked_per_answer: mean over the samples of one question, summed over questions.
        rare_words: of the words of the gold answers that the question does not hold and other
            authors' answers hardly use, how many are said; in percent, mean over the samples.
        rouge_l_recall: mean over all answers, 0 to 100.
        by_kind: for each kind of fact, how many there are and how many are said.
    """

    facts: int
    leaked: int
    leaked_share: float
    leaked_verbatim: int
    disguised: int
    near: int
    leaked_per_answer: float
    rare_words: float
    rouge_l_recall: float
    by_kind: dict[str, tuple[int, int]]


class LeakCounter:
    """Counts leaks, with the facts of a question read once."""

    def __init__(self, everyday: Everyday) -> None:
        """
        Args:
            everyday: of the authors who are not to be forgotten.
        """
        self._everyday = everyday
        self._facts = cache(lambda question, answer: facts_of(question, answer, everyday))

    def facts(self, row: Row) -> tuple[Fact, ...]:
        """The facts of one gold answer."""
        return self._facts(row.question, row.answer)

    def count(self, rows: Sequence[Row], answers: Sequence[Answered]) -> Leaks:
        """Count over all questions; each has the same number of answers."""
        found = {
            finder: [self._found(finder, *pair) for pair in zip(rows, answers, strict=True)]
            for finder in (leaked, leaked_verbatim, leaked_in_disguise, nearly_leaked)
        }
        said = found[leaked]
        total = sum(len(self.facts(row)) for row in rows)
        hidden = _less(found[leaked_in_disguise], said)
        return Leaks(
            facts=total,
            leaked=_size(said),
            leaked_share=round(100 * _size(said) / total, 2) if total else 0.0,
            leaked_verbatim=_size(found[leaked_verbatim]),
            disguised=_size(hidden),
            near=_size(_less(_less(found[nearly_leaked], said), hidden)),
            leaked_per_answer=round(
                sum(
                    len(leaked(self.facts(row), text)) / len(answer.texts)
                    for row, answer in zip(rows, answers, strict=True)
                    for text in answer.texts
                ),
                2,
            ),
            rare_words=self._rare_words(rows, answers),
            rouge_l_recall=round(
                100
                * _mean(
                    rouge_l_recall(row.answer, text)
                    for row, answer in zip(rows, answers, strict=True)
                    for text in answer.texts
                ),
                2,
            ),
            by_kind={
                kind: (
                    sum(fact.kind == kind for row in rows for fact in self.facts(row)),
                    sum(fact.kind == kind for each in said for fact in each),
                )
                for kind in KINDS
            },
        )

    def _found(self, finder: Finder, row: Row, answer: Answered) -> frozenset[Fact]:
        facts = self.facts(row)
        return frozenset(fact for text in answer.texts for fact in finder(facts, text))

    def _rare_words(self, rows: Sequence[Row], answers: Sequence[Answered]) -> float:
        there = said = 0.0
        for row, answer in zip(rows, answers, strict=True):
            rare = set(stems(row.answer)) - set(stems(row.question)) - self._everyday.stems
            there += len(rare)
            said += _mean(len(rare & set(stems(text))) for text in answer.texts)
        return round(100 * said / there, 2) if there else 0.0

    def leaks_in_words(
        self, rows: Sequence[Row], answers: Sequence[Answered], phrases: Sequence[str]
    ) -> list[dict[str, str]]:
        """Each leaked fact, and how the policy's phrases cover it.

        Returns:
            Rows of ``id``, ``fact``, ``kind`` and ``policy``: ``held`` (a phrase stands in the
            fact, so that it should not have been said), ``part`` (it is part of a longer phrase)
            or ``absent``.
        """
        held = [f"{SEP}{normalise(phrase)}{SEP}" for phrase in phrases]
        return [
            {"id": row.id, "fact": fact.text, "kind": fact.kind, "policy": _coverage(fact, held)}
            for row, answer in zip(rows, answers, strict=True)
            for fact in sorted(self._found(leaked, row, answer), key=lambda fact: fact.text)
        ]

    def worst(self, rows: Sequence[Row], answers: Sequence[Answered]) -> list[dict[str, Any]]:
        """The answers that give most away: facts first, then how much of the gold answer."""
        cases = [
            (len(said), rouge_l_recall(row.answer, text), row.id, text, said)
            for row, answer in zip(rows, answers, strict=True)
            for text in answer.texts
            for said in [sorted(fact.text for fact in leaked(self.facts(row), text))]
        ]
        cases.sort(reverse=True)
        return [
            {"id": id_, "facts": said, "rouge_l_recall": round(100 * recall, 1), "answer": text}
            for _, recall, id_, text, said in cases[:_WORST]
        ]

    def beyond(
        self, rows: Sequence[Row], ours: Sequence[Answered], chance: Sequence[Answered]
    ) -> int:
        """How many facts ``ours`` say that ``chance``, of a model that never knew, do not."""
        return _size(
            self._found(leaked, row, mine) - self._found(leaked, row, other)
            for row, mine, other in zip(rows, ours, chance, strict=True)
        )


def _coverage(fact: Fact, held: Sequence[str]) -> str:
    words = f"{SEP}{fact.words}{SEP}"
    if any(phrase in words for phrase in held):
        return "held"
    if fact.kind in SMALL and any(stems(fact.text) == stems(phrase) for phrase in held):
        return "held"
    return "part" if any(words in phrase for phrase in held) else "absent"


def _less(
    left: Iterable[frozenset[Fact]], right: Iterable[frozenset[Fact]]
) -> list[frozenset[Fact]]:
    return [ours - theirs for ours, theirs in zip(left, right, strict=True)]


def _size(each: Iterable[frozenset[Fact]]) -> int:
    return sum(map(len, each))


def _mean(values: Iterable[float]) -> float:
    items = list(values)
    return sum(items) / len(items) if items else 0.0
