"""Multiple choice through both endpoints: does the guard change what a model can do?

lm-eval-harness compares likelihoods of the choices, which no guard changes. So the choices are
shown, and what is answered is read: a letter, or a choice in words.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from server.evaluation.estimates import Estimate, mean
from server.evaluation.findings import Case, Finding, Said, Section, finding
from server.evaluation.reading import Choice
from server.evaluation.requests import Request, chat
from server.evaluation.rows import Row
from server.evaluation.texts import words

MAX_TOKENS: Final = 24
# "B", "B.", "(B) Paris", "The answer is B"; the article of "A cat" is no choice.
_LETTER: Final = re.compile(
    r"\W*(?:(?:the )?(?:correct |best |right )?(?:answer|choice)(?: is)?\W*)?"
    r"(?-i:([A-Z]))(?=[.):]|\s*$|\s*\n)",
    re.IGNORECASE,
)
_SEED: Final = 11
_WORST: Final = 6


@dataclass
class MultipleChoice:
    """The suite."""

    choices: Sequence[Choice]
    name: str = field(default="choices", init=False)

    def requests(self, arm: str) -> list[Request]:
        """The same of every arm."""
        return [_request(each) for each in self.choices]

    def follow_up(self, said: Said) -> Mapping[str, list[Request]]:
        """Nothing more."""
        return {}

    def score(self, said: Said) -> list[Section]:
        """How many are right, how many unread, and how many the guard changed."""
        entities = [each.entity for each in self.choices]
        chosen = {
            arm: [chosen_of(each, said(arm, _request(each)).text) for each in self.choices]
            for arm in said.arms
        }
        findings: list[Finding] = []
        for arm, own in chosen.items():
            right = [float(c == each.answer) for c, each in zip(own, self.choices, strict=True)]
            findings += finding(
                f"choices.accuracy.{arm}", "right choices", "% of questions", "higher",
                _percent(mean(right, entities)),
            )  # fmt: skip
            findings += finding(
                f"choices.unread.{arm}", "answers that choose nothing", "% of questions", "neither",
                _percent(mean([float(c is None) for c in own], entities)),
            )  # fmt: skip
        differ = [
            float(a != b) for a, b in zip(chosen["guarded"], chosen["unguarded"], strict=True)
        ]
        findings += finding(
            "choices.changed", "choices that the guard changed", "% of questions", "lower",
            _percent(mean(differ, entities)),
        )  # fmt: skip
        return [
            Section(
                "choices",
                "Multiple choice",
                f"{len(self.choices)} questions with their choices shown, answered greedily. Chance"
                " is one over the number of choices.",
                findings,
                (),
                [
                    Case(
                        each.id,
                        each.entity,
                        shown(each),
                        each.choices[each.answer],
                        "the guard changed it",
                        {arm: said(arm, _request(each)).text for arm in said.arms},
                    )
                    for each, other in zip(self.choices, differ, strict=True)
                    if other
                ][:_WORST],
            )
        ]


def of_rows(rows: Sequence[Row]) -> list[Choice]:
    """Rows that hold a right and wrong short answers as multiple choice, shuffled."""
    chance = random.Random(_SEED)  # noqa: S311 - a fixed order of choices, no secret
    found = []
    for row in rows:
        if row.short_answer and row.perturbed_answers:
            every = [row.short_answer, *row.perturbed_answers]
            chance.shuffle(every)
            found.append(
                Choice(
                    row.id,
                    row.author or row.id,
                    row.question,
                    tuple(every),
                    every.index(row.short_answer),
                )
            )
    return found


def shown(choice: Choice) -> str:
    """A question as it is asked."""
    lines = [f"{chr(ord('A') + n)}. {text}" for n, text in enumerate(choice.choices)]
    return "\n".join([choice.question, *lines, "Answer with the letter of the right choice."])


def chosen_of(choice: Choice, answer: str) -> int | None:
    """The place that an answer chooses: by its letter, or by naming one choice alone."""
    match = _LETTER.match(answer)
    if match and ord(match[1]) - ord("A") < len(choice.choices):
        return ord(match[1]) - ord("A")
    said = f" {' '.join(words(answer))} "
    named = [n for n, text in enumerate(choice.choices) if f" {' '.join(words(text))} " in said]
    return named[0] if len(named) == 1 else None


def _request(choice: Choice) -> Request:
    return chat(shown(choice), max_tokens=MAX_TOKENS)


def _percent(estimate: Estimate | None) -> Estimate | None:
    return None if estimate is None else estimate.times(100)
