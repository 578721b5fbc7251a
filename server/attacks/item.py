"""What an attacker wants to know: a question, its gold answer, and the facts that would be a leak.

A file of questions holds one JSON object a line, as TOFU's do: ``question`` and ``answer``; where
there are such, ``id``, ``author`` (or ``group``), ``paraphrased_question``, ``paraphrased_answer``,
``perturbed_answers`` (wrong ones) and ``facts`` (else they are found in the answer).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from guard.errors import GuardError
from server.evaluation.fact import Everyday, Fact
from server.evaluation.facts import facts_of
from server.evaluation.reading import read_lines


@dataclass(frozen=True, slots=True)
class Item:
    """A question that is to stay unanswered.

    Attributes:
        group: whom or what it is about; intervals are drawn by it.
        stated: the answer, worded as ``wrong`` are.
        wrong: answers that are not right.
        facts: what the answer tells and the question does not.
        siblings: other questions about the same.
    """

    id: str
    group: str
    question: str
    answer: str
    paraphrase: str
    stated: str
    wrong: tuple[str, ...]
    facts: tuple[Fact, ...]
    siblings: tuple[str, ...] = ()


class _Line(BaseModel):
    """One line of a file; what else it holds is of no concern here."""

    model_config = ConfigDict(extra="ignore")

    question: Annotated[str, Field(min_length=1)]
    answer: Annotated[str, Field(min_length=1)]
    id: str = ""
    author: str = ""
    group: str = ""
    paraphrased_question: str = ""
    paraphrased_answer: str = ""
    perturbed_answers: list[str] = []
    facts: list[str] | None = None


def read_items(path: Path, neighbours: Path | None = None) -> list[Item]:
    """The questions of a file, in its order.

    Args:
        neighbours: questions and answers about others, which nobody wants forgotten: the words
            that their answers use give nothing away.

    Raises:
        GuardError: a file that cannot be read, or a line that is not one, named.
    """
    about_others = [line.answer for line in read_lines(neighbours, _Line)] if neighbours else []
    everyday = Everyday.of(about_others)
    items = [
        Item(
            id=line.id or f"line-{number}",
            group=line.author or line.group or line.id or f"line-{number}",
            question=line.question,
            answer=line.answer,
            paraphrase=line.paraphrased_question,
            stated=line.paraphrased_answer or line.answer,
            wrong=tuple(line.perturbed_answers),
            facts=_facts(line, everyday),
        )
        for number, line in enumerate(read_lines(path, _Line), 1)
    ]
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise GuardError(
                f"{path}: `id` {item.id!r} stands there twice", fix="give each question its own"
            )
        seen.add(item.id)
    by_group: dict[str, list[str]] = {}
    for item in items:
        by_group.setdefault(item.group, []).append(item.question)
    return [
        replace(item, siblings=tuple(q for q in by_group[item.group] if q != item.question))
        for item in items
    ]


def spread(items: Sequence[Item], limit: int) -> list[Item]:
    """At most so many of those that have facts, as many of each group as can be.

    Args:
        limit: 0 for all.
    """
    by_group: dict[str, list[Item]] = {}
    for item in items:
        if item.facts:
            by_group.setdefault(item.group, []).append(item)
    chosen: list[Item] = []
    most = max(map(len, by_group.values()), default=0)
    for place in range(most):
        for own in by_group.values():
            # Steps through a group's file, so that its first few questions are not all there is.
            if place < len(own) and (not limit or len(chosen) < limit):
                chosen.append(own[place * 7 % len(own)] if len(own) % 7 else own[place])
    return chosen


def _facts(line: _Line, everyday: Everyday) -> tuple[Fact, ...]:
    if line.facts is not None:
        return tuple(Fact(text, "name") for text in line.facts if Fact(text, "name").words)
    return facts_of(line.question, line.answer, everyday)
