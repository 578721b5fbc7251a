"""Which forget targets a request touches, and where: the user's turns and each sentence around."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise

from classifiers import Detector, PlacedText, StatementMatcher, conversation_views, merge
from guard.context import Span, overlapping, split_sentences
from guard.decision import Detection
from guard.views import View
from server.context_statements import Passage, find_statements, hidden_within, within
from server.seams import Look, after_others, chains, edges
from server.wire.texts import RequestText


@dataclass(frozen=True, slots=True)
class Touched:
    """A sentence, or two that only say it together, that touch a target."""

    span: Span
    target: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What detection found.

    Attributes:
        user: by the user's turns and the conversation that they make.
        context: by every other text, earlier turns of the user included.
        touched: by index of the text in the request, the sentences to withhold.
        views: by index of the text, of every text but the last turn: what it may hide.
    """

    user: tuple[Detection, ...] = ()
    context: tuple[Detection, ...] = ()
    touched: Mapping[int, Sequence[Touched]] = field(default_factory=dict)
    views: Mapping[int, Sequence[View]] = field(default_factory=dict)

    def and_by_answer(self, found: tuple[Detection, ...]) -> Findings:
        """These, and what the answer was found to be about: the user asked for it."""
        return replace(self, user=merge([self.user, found]))

    @property
    def merged(self) -> tuple[Detection, ...]:
        """One detection per target."""
        return merge([self.user, self.context])


async def find_targets(
    detector: Detector,
    texts: Sequence[RequestText],
    skip: frozenset[str],
    statements: StatementMatcher | None = None,
) -> Findings:
    """Detect over a whole request, in one batch unless a text has to be looked at twice.

    The user's turns are looked at as turns and as a conversation, what the answer's form says by
    itself. Every text but these is looked at sentence by sentence and as a whole, and over its
    edges; what it hides (guard/views), as a whole, which also says where that stands. A target that
    only a whole text shows is then looked for in pairs of neighbouring sentences; one that is named
    over more of them has all of the text withheld.

    Args:
        skip: ids of targets that do not bind the caller.
        statements: what else the context is compared with; see ``server/context_statements.py``.
    """
    context = [index for index, text in enumerate(texts) if not text.last]
    sentences = {index: split_sentences(texts[index].text) for index in context}
    turns = [text for text in texts if text.kind == "user"]
    asked = [
        *conversation_views([_whole(text) for text in turns]),
        *(_glued(text) for text in turns if text.glued),
        *(_whole(text) for text in texts if text.kind == "form"),
    ]
    joins = after_others(texts)
    parts = [_look(texts, index, span) for index in context for span in sentences[index]]
    met = edges(texts, sentences)
    placed = [*parts, *met, *chains(texts, sentences)]
    glued = [index for index in context if texts[index].glued]

    groups = [
        asked,
        joins,
        [look.placed for look in placed],
        [_glued(texts[index]) for index in glued],
        [_whole(texts[index]) for index in context],
    ]
    found = iter(await detector.find([text for group in groups for text in group], skip=skip))
    by_turn, by_join, by_part, by_glued = (
        [each.detections for each in islice(found, len(group))] for group in groups[:-1]
    )
    wholes = list(found)
    by_whole = [whole.detections for whole in wholes]
    by_context = {d.target for own in (*by_part, *by_glued, *by_whole) for d in own}
    for own in by_join:
        # What the context says by itself is not what the user asks.
        by_turn.append(tuple(each for each in own if each.target not in by_context))
    touched: dict[int, list[Touched]] = {}
    for look, detections in zip(placed, by_part, strict=True):
        _withhold(touched, look, {detection.target for detection in detections})
    hiding: dict[int, Sequence[View]] = {}
    # What the whole of a text shows, and no sentence of it.
    unplaced: dict[int, set[str]] = {}
    for index, whole in zip(context, wholes, strict=True):
        hiding[index] = whole.views
        for hidden in whole.hidden:
            spans = overlapping(sentences[index], hidden.span)
            touched.setdefault(index, []).extend(Touched(s, hidden.target) for s in spans)
        unplaced[index] = {d.target for d in whole.detections} - _targets(touched, index)
    for index, detections in zip(glued, by_glued, strict=True):
        shown = _targets(touched, index) | unplaced[index]
        every = Span(0, len(texts[index].text))
        new = {detection.target for detection in detections} - shown
        touched.setdefault(index, []).extend(Touched(every, target) for target in sorted(new))

    long = [index for index in context if len(sentences[index]) > 1]
    pairs = [
        _look(texts, index, Span(first.start, second.end))
        for index in long
        if unplaced[index]
        for first, second in pairwise(sentences[index])
    ]
    if pairs:
        again = await detector.detect([look.placed for look in pairs], skip=skip)
        for look, detections in zip(pairs, again, strict=True):
            wanted = unplaced[look.withhold[0][0]]
            _withhold(touched, look, {d.target for d in detections} & wanted)
    for index, whole in zip(context, wholes, strict=True):
        for detection in whole.detections:
            named = any(each.kind == "alias" for each in detection.evidence)
            if named and detection.target not in _targets(touched, index):
                every = Span(0, len(texts[index].text))
                touched.setdefault(index, []).append(Touched(every, detection.target))
    given: list[Detection] = []
    if statements is not None:
        passages = [
            *(p for i in context for p in within(texts[i].text, texts[i].place, i, sentences[i])),
            *(Passage(look.placed.text, look.placed.place, look.withhold) for look in met),
            *(
                p
                for i in context
                for p in hidden_within(hiding[i], texts[i].place, i, sentences[i])
            ),
        ]
        known = {index: [(t.span, t.target) for t in own] for index, own in touched.items()}
        more, given = await find_statements(statements, passages, sentences, known, skip)
        for index, span, target in more:
            touched.setdefault(index, []).append(Touched(span, target))
    by_text = [*by_part, *by_glued, *by_whole, *((each,) for each in given)]
    return Findings(merge(by_turn), merge(by_text), touched, hiding)


def _look(texts: Sequence[RequestText], index: int, span: Span) -> Look:
    text = texts[index]
    said = text.text[span.start : span.end]
    placed = PlacedText(text.place, said, views=False, compared=text.compared)
    return Look(placed, ((index, span),))


def _withhold(touched: dict[int, list[Touched]], look: Look, targets: set[str]) -> None:
    """Note what to withhold; a look over several texts only for what none of them showed."""
    for target in sorted(targets):
        several = len(look.withhold) > 1
        if several and any(target in _targets(touched, index) for index, _ in look.withhold):
            continue
        for index, span in look.withhold:
            touched.setdefault(index, []).append(Touched(span, target))


def _targets(touched: Mapping[int, Sequence[Touched]], index: int) -> set[str]:
    return {item.target for item in touched.get(index, ())}


def _whole(text: RequestText) -> PlacedText:
    return PlacedText(text.place, text.text, compared=text.compared)


def _glued(text: RequestText) -> PlacedText:
    return PlacedText(text.place, text.glued)
