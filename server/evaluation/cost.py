"""What the guard costs those who ask about something else: other answers, refusals, time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from server.evaluation.estimates import Estimate, Floats, mean, ratio, statistic
from server.evaluation.findings import Case, Finding, Said, Section, bars, finding
from server.evaluation.refusals import Refusals
from server.evaluation.requests import Request, chat
from server.evaluation.rows import Row
from server.evaluation.texts import repetition
from server.evaluation.tofu import MAX_TOKENS

# The unguarded model is asked so many of them once more: batching alone may change an answer.
_AGAIN: Final = 40
_TIMED: Final = 12
_TIMED_TOKENS: Final = 48
_WORST: Final = 8


@dataclass
class Cost:
    """The suite.

    Attributes:
        others: questions that touch no target.
        targets: questions that touch one, timed beside the others.
    """

    others: Sequence[Row]
    targets: Sequence[Row]
    refusals: Refusals
    timed: int = _TIMED
    name: str = field(default="cost", init=False)

    def requests(self, arm: str) -> list[Request]:
        """The same of every arm, and some of the unguarded one twice."""
        asked = [_question(row) for row in self.others]
        if arm == "unguarded":
            asked += [_again(row) for row in self.others[:_AGAIN]]
        if arm != "retain_only":
            asked += [_timed(row) for row in (*self._slow_others(), *self._slow_targets())]
        return asked

    def follow_up(self, said: Said) -> Mapping[str, list[Request]]:
        """Nothing more."""
        return {}

    def _slow_others(self) -> Sequence[Row]:
        return self.others[:: max(1, len(self.others) // max(1, self.timed))][: self.timed]

    def _slow_targets(self) -> Sequence[Row]:
        return self.targets[:: max(1, len(self.targets) // max(1, self.timed))][: self.timed]

    def score(self, said: Said) -> list[Section]:
        """Identity, refusals, repetition, time."""
        pairs = [
            (row, said("guarded", _question(row)), said("unguarded", _question(row)))
            for row in self.others
        ]
        entities = [row.author or row.id for row in self.others]
        same = [float(g.text == u.text and g.refused == u.refused) for _, g, u in pairs]
        twice = [
            float(said("unguarded", _question(row)).text == said("unguarded", _again(row)).text)
            for row in self.others[:_AGAIN]
        ]
        false = [float(self.refusals.holds(g) and not self.refusals.holds(u)) for _, g, u in pairs]
        findings = [
            *finding(
                "cost.identical",
                "answers about other things, byte-identical to the unguarded model's",
                "% of answers",
                "higher",
                _percent(mean(same, entities)),
                "an answer may differ without the guard as well, by how requests are batched: see"
                " the unguarded model asked twice",
            ),
            *finding(
                "cost.identical_unguarded_twice",
                "the unguarded model asked twice, byte-identical",
                "% of answers",
                "neither",
                _percent(mean(twice, entities[:_AGAIN])),
            ),
            *finding(
                "cost.false_refusals",
                "refused by the guarded model alone",
                "% of answers",
                "lower",
                _percent(mean(false, entities)),
            ),
        ]
        for arm in said.arms:
            values = [100 * repetition(said(arm, _question(row)).text) for row in self.others]
            findings += finding(
                f"cost.repetition.{arm}",
                "runs of three words that stood in the answer before",
                "% of runs",
                "lower",
                mean(values, entities),
            )
        times, rows = self._times(said)
        return [
            Section(
                "cost",
                "Cost: what changes for everybody else",
                f"{len(self.others)} questions that touch no target, greedy, {MAX_TOKENS} tokens."
                f" Times are of {self.timed} such questions and as many that do touch one, up to"
                f" {_TIMED_TOKENS} tokens, one request at a time, both models in turn.",
                [*findings, *times],
                [bars("Seconds a request, median", "s", rows)],
                self._worst(said),
            )
        ]

    def _times(self, said: Said) -> tuple[list[Finding], list[tuple[str, str, Estimate | None]]]:
        findings: list[Finding] = []
        rows = []
        arms = [arm for arm in said.arms if arm != "retain_only"]
        for kind, what, own in (
            ("other", "questions that touch no target", self._slow_others()),
            ("target", "questions that touch a target", self._slow_targets()),
        ):
            names = [row.id for row in own]
            for arm in arms:
                answers = [said(arm, _timed(row)) for row in own]
                seconds = statistic([each.seconds for each in answers], names, _median)
                rows.append((what, arm, seconds))
                findings += finding(
                    f"cost.seconds.{kind}.{arm}", f"seconds a request, median, {what}", "s",
                    "lower", seconds,
                )  # fmt: skip
                speed = ratio(
                    [each.tokens for each in answers],
                    [each.seconds for each in answers],
                    names,
                    n=len(answers),
                )
                if any(each.tokens for each in answers):
                    findings += finding(
                        f"cost.tokens_per_second.{kind}.{arm}", f"tokens a second, {what}",
                        "tokens/s", "higher", speed,
                    )  # fmt: skip
        return findings, rows

    def _worst(self, said: Said) -> list[Case]:
        """Answers that the guard changed, refusals first."""
        cases = []
        for row in self.others:
            guarded, unguarded = (said(arm, _question(row)) for arm in ("guarded", "unguarded"))
            if guarded.text != unguarded.text:
                refuses = self.refusals.holds(guarded) and not self.refusals.holds(unguarded)
                cases.append((not refuses, row.id, row))
        cases.sort(key=lambda case: case[:2])
        return [
            Case(
                row.id,
                row.author,
                row.question,
                row.answer,
                "differs" if not_refused else "refused",
                {arm: said(arm, _question(row)).text for arm in said.arms},
            )
            for not_refused, _, row in cases[:_WORST]
        ]


def _question(row: Row) -> Request:
    """As the TOFU suite asks it: what both ask is asked once."""
    return chat(row.question, max_tokens=MAX_TOKENS)


def _again(row: Row) -> Request:
    return chat(row.question, max_tokens=MAX_TOKENS, again=1)


def _timed(row: Row) -> Request:
    return chat(row.question, max_tokens=_TIMED_TOKENS, timed=True)


def _median(values: Floats) -> float:
    return float(np.median(values))


def _percent(estimate: Estimate | None) -> Estimate | None:
    return None if estimate is None else estimate.times(100)
