"""MUSE, six ways (arXiv 2407.06460): what applies to a guard, and why the rest does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from server.evaluation.estimates import Estimate, mean
from server.evaluation.findings import Case, Finding, Said, Section, bars, finding
from server.evaluation.muse_data import MuseData, Qa
from server.evaluation.requests import Request, completion
from server.evaluation.rows import Row
from server.evaluation.said import rouge_l_recall
from server.evaluation.texts import rouge_l_f1

VERBATIM_TOKENS: Final = 128
ANSWER_TOKENS: Final = 32
EXAMPLES: Final = 10
_WORST: Final = 8
_TITLES: Final = {
    "forget": "knowledge memorisation, forget",
    "retain": "utility: knowledge of what is retained",
}


@dataclass
class Muse:
    """The suite. Every request is a raw completion, as MUSE asks base models."""

    data: MuseData
    name: str = field(default="muse", init=False)

    def requests(self, arm: str) -> list[Request]:
        """The same of every arm."""
        return [
            *(_verbatim(passage.prompt) for passage in self.data.verbatim),
            *(_asked(qa, row) for qa in self.data.knowledge.values() for row in qa.rows),
        ]

    def follow_up(self, said: Said) -> Mapping[str, list[Request]]:
        """Nothing more."""
        return {}

    def score(self, said: Said) -> list[Section]:
        """The measures that apply."""
        findings: list[Finding] = []
        rows: list[tuple[str, str, Estimate | None]] = []
        for arm in said.arms:
            values = [
                100 * rouge_l_f1(p.gold, said(arm, _verbatim(p.prompt)).text)
                for p in self.data.verbatim
            ]
            estimate = mean(values, [p.entity for p in self.data.verbatim])
            rows.append(("verbatim memorisation", arm, estimate))
            findings += finding(
                f"muse.verbmem.{arm}", f"verbatim memorisation, ROUGE-L F1, {VERBATIM_TOKENS}"
                " tokens", "0-100", "lower", estimate,
            )  # fmt: skip
            for name, qa in self.data.knowledge.items():
                entities = [row.author or row.id for row in qa.rows]
                pairs = [(row.answer, first_line(said(arm, _asked(qa, row)).text))
                         for row in qa.rows]  # fmt: skip
                for id_, what, score in (
                    ("f1", "ROUGE-L F1", rouge_l_f1),
                    ("recall", "ROUGE-L recall", rouge_l_recall),
                ):
                    estimate = mean([100 * score(gold, text) for gold, text in pairs], entities)
                    findings += finding(
                        f"muse.knowmem_{name}.{id_}.{arm}",
                        f"{_TITLES[name]}, {what}",
                        "0-100",
                        "lower" if name == "forget" else "higher",
                        estimate,
                    )
                    if id_ == "f1":
                        rows.append((_TITLES[name], arm, estimate))
        return [
            Section(
                "muse",
                "MUSE: memorisation and utility",
                f"Raw completions, greedy. Verbatim: {len(self.data.verbatim)} beginnings,"
                f" {VERBATIM_TOKENS} tokens. Knowledge: questions after up to {EXAMPLES} examples,"
                f" {ANSWER_TOKENS} tokens, the first line of the answer.",
                findings,
                [bars("MUSE", "ROUGE-L F1, 0-100", rows)],
                self._worst(said),
                self._missing(said),
            )
        ]

    def _missing(self, said: Said) -> list[tuple[str, str]]:
        out = [
            (
                "C3, privacy leakage",
                "MUSE takes it from likelihoods. `prompt_logprobs` skip the sampler's processors,"
                " so through an endpoint they are the unguarded model's: not applicable to"
                " suppression. See the membership test, by behaviour, in its place",
            )
        ]
        if not self.data.verbatim:
            out.append(("C1, verbatim memorisation", "the data hold no verbmem/forget.json"))
        for name, title in _TITLES.items():
            if name not in self.data.knowledge:
                out.append((title, f"the data hold no knowmem/{name}_qa.json"))
        return out

    def _worst(self, said: Said) -> list[Case]:
        scored: list[tuple[float, str, str, str, str, Request]] = [
            (rouge_l_f1(p.gold, said("guarded", _verbatim(p.prompt)).text), p.id, p.entity,
             p.prompt, p.gold, _verbatim(p.prompt))
            for p in self.data.verbatim
        ]  # fmt: skip
        if qa := self.data.knowledge.get("forget"):
            scored += [
                (rouge_l_f1(row.answer, first_line(said("guarded", _asked(qa, row)).text)), row.id,
                 row.author, row.question, row.answer, _asked(qa, row))
                for row in qa.rows
            ]  # fmt: skip
        scored.sort(key=lambda each: (-each[0], each[1]))
        return [
            Case(
                id_,
                entity,
                asked,
                gold,
                f"ROUGE-L F1 {100 * score:.0f}",
                {arm: said(arm, request).text for arm in said.arms},
            )
            for score, id_, entity, asked, gold, request in scored[:_WORST]
        ]


def first_line(text: str) -> str:
    """An answer up to where the next question would begin."""
    return text.strip().split("\n", 1)[0]


def _verbatim(prompt: str) -> Request:
    return completion(prompt, max_tokens=VERBATIM_TOKENS)


def knowledge_prompt(qa: Qa, row: Row) -> str:
    """A question after examples, as MUSE writes them."""
    shots: Sequence[Row] = qa.examples[:EXAMPLES]
    text = "".join(f"Question: {each.question}\nAnswer: {each.answer}\n\n" for each in shots)
    return f"{text}Question: {row.question}\nAnswer:"


def _asked(qa: Qa, row: Row) -> Request:
    return completion(knowledge_prompt(qa, row), max_tokens=ANSWER_TOKENS)
