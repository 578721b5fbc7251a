"""How fluent the answers are to a model that reads them: perplexity, through an endpoint.

The reader is the retain-only model, asked for ``prompt_logprobs`` of a prompt that holds question
and answer. It never learned what is forgotten, so a true answer is no more fluent to it than one
with another name in its place. The guard refuses such requests; the reader must be a plain vLLM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from server.evaluation.estimates import Floats, statistic
from server.evaluation.findings import Finding, Said, Section, finding
from server.evaluation.requests import Request, chat, completion
from server.evaluation.rows import Row
from server.evaluation.tofu import MAX_TOKENS

_READER: Final = "retain_only"


@dataclass
class Fluency:
    """The suite; ``rows`` are of the forget set, whose answers the guard changes."""

    rows: Sequence[Row]
    prompt_format: str
    name: str = field(default="fluency", init=False)

    def requests(self, arm: str) -> list[Request]:
        """The questions, and of the reader each question as it reads it."""
        asked = [chat(row.question, max_tokens=MAX_TOKENS) for row in self.rows]
        return [*asked, *(self._read(row, "") for row in self.rows)] if arm == _READER else asked

    def follow_up(self, said: Said) -> Mapping[str, list[Request]]:
        """Every arm's answers, to be read."""
        if _READER not in said.arms:
            return {}
        return {
            _READER: [
                self._read(row, self._answer(said, arm, row))
                for arm in said.arms
                for row in self.rows
            ]
        }

    def score(self, said: Said) -> list[Section]:
        """The perplexity of each arm's answers."""
        findings: list[Finding] = []
        problem = self._problem(said)
        entities = [row.author or row.id for row in self.rows]
        for arm in said.arms if not problem else ():
            values, owners = [], []
            empty = sum(not self._answer(said, arm, row).strip() for row in self.rows)
            for row, entity in zip(self.rows, entities, strict=True):
                own = self._nats(said, arm, row)
                if own is not None:
                    values.append(own)
                    owners.append(entity)
            findings += finding(
                f"fluency.perplexity.{arm}",
                "perplexity of the answers about what is forgotten, median",
                "",
                "lower",
                statistic(values, owners, _median_of_exp),
                f"{empty} of {len(self.rows)} answers are empty and have none" if empty else "",
            )
        if not problem and not findings:
            problem = "the retain-only endpoint gives no `prompt_logprobs`"
        return [
            Section(
                "fluency",
                "Fluency of suppressed answers",
                "The retain-only model reads each answer after its question. Its own answers are"
                " the most fluent to it; the guarded model's are to be compared with those.",
                findings,
                not_applicable=[("perplexity", problem)] if problem else (),
            )
        ]

    def _problem(self, said: Said) -> str:
        if _READER not in said.arms:
            return "needs `--retain-only`, which reads them"
        if not all(said.holds(_READER, each) for each in self.follow_up(said)[_READER]):
            return "the retain-only model has not read all answers: give `--retain-only` again"
        return ""

    def _answer(self, said: Said, arm: str, row: Row) -> str:
        return said(arm, chat(row.question, max_tokens=MAX_TOKENS)).text

    def _read(self, row: Row, answer: str) -> Request:
        text = self.prompt_format.replace("{question}", row.question).replace("{prefix}", answer)
        return completion(text.rstrip(" "), max_tokens=1, prompt_logprobs=0)

    def _nats(self, said: Said, arm: str, row: Row) -> float | None:
        """Nats a token of an answer: what question and answer cost, less the question."""
        answer = self._answer(said, arm, row)
        alone = said(_READER, self._read(row, "")).nats
        both = said(_READER, self._read(row, answer)).nats
        if not alone or len(both) <= len(alone):
            return None
        return (sum(both) - sum(alone)) / (len(both) - len(alone))


def _median_of_exp(values: Floats) -> float:
    return float(np.exp(np.median(values)))
