"""Statements about a target that the context of a request gives, under whatever name.

What is looked at is each sentence, each two that follow each other, in one text or over the edge of
two, and the sentences of what a text hides. Never the user's own turn: a question about a place
would tell a fact, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from classifiers import StatementMatcher
from guard.context import Span, overlapping
from guard.decision import Detection, Evidence
from guard.views import View, said_within


@dataclass(frozen=True, slots=True)
class Passage:
    """Words of the context, and the sentences to withhold for them: (index of a text, span)."""

    text: str
    place: str
    withhold: tuple[tuple[int, Span], ...]
    via: str = ""


def within(text: str, place: str, index: int, sentences: Sequence[Span]) -> list[Passage]:
    """The sentences of one text, and each two that follow each other."""
    spans = [*sentences, *(Span(a.start, b.end) for a, b in pairwise(sentences))]
    return [Passage(text[span.start : span.end], place, ((index, span),)) for span in spans]


def hidden_within(
    views: Sequence[View], place: str, index: int, sentences: Sequence[Span]
) -> list[Passage]:
    """The sentences that only views of one text show."""
    return [
        Passage(
            view.text[said.start : said.end],
            place,
            tuple(
                (index, span) for span in overlapping(sentences, view.source(said.start, said.end))
            ),
            view.name,
        )
        for view in views
        for part in view.readable
        for said in said_within(view.text[part.start : part.end], part.start)
    ]


async def find_statements(
    matcher: StatementMatcher,
    passages: Sequence[Passage],
    sentences: Mapping[int, Sequence[Span]],
    known: Mapping[int, Iterable[tuple[Span, str]]],
    skip: frozenset[str],
) -> tuple[list[tuple[int, Span, str]], list[Detection]]:
    """Which sentences to withhold, as (index of the text, span, target), and why.

    A passage of several sentences counts only where none of them is withheld for the same target.

    Args:
        passages: shorter ones first.
        sentences: by index of the text.
        known: by index of the text, what is withheld already, and for which target.
    """
    found = await matcher.find([passage.text for passage in passages], skip=skip)

    def parts(index: int, span: Span, target: str) -> set[tuple[int, int, str]]:
        return {(index, each.start, target) for each in overlapping(sentences[index], span)}

    withheld: set[tuple[int, int, str]] = set()
    for index, own in known.items():
        for span, target in own:
            withheld |= parts(index, span, target)
    out: list[tuple[int, Span, str]] = []
    detections: list[Detection] = []
    for passage, scores in zip(passages, found, strict=True):
        for target, score in scores.items():
            least = matcher.threshold(target)
            evidence = Evidence("statement", passage.place, round(score, 4), least, passage.via)
            detections.append(Detection(target, (evidence,)))
            new = set().union(*(parts(index, span, target) for index, span in passage.withhold))
            if withheld.isdisjoint(new):
                withheld |= new
                out += [(index, span, target) for index, span in passage.withhold]
    return out, detections
