"""Which forget targets a request touches, and where: the user's turns and each sentence around."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from classifiers import Detector, PlacedText, StatementMatcher, conversation_views, join, merge
from guard.context import Span, overlapping, split_sentences
from guard.decision import Detection
from guard.views import View
from server.context_statements import Passage, find_statements, hidden_within, within
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


@dataclass(frozen=True, slots=True)
class _Look:
    """A text to detect in, and what to withhold for what is found: (index of a text, span)."""

    placed: PlacedText
    withhold: tuple[tuple[int, Span], ...] = ()


async def find_targets(
    detector: Detector,
    texts: Sequence[RequestText],
    skip: frozenset[str],
    statements: StatementMatcher | None = None,
) -> Findings:
    """Detect over a whole request, in one batch unless a text has to be looked at twice.

    The user's turns are looked at as turns and as a conversation. Every text but the last turn is
    looked at sentence by sentence and as a whole, and over its edges; what it hides (guard/views),
    as a whole, which also says where that stands. A target that only a whole text shows is then
    looked for in pairs of neighbouring sentences.

    Args:
        skip: ids of targets that do not bind the caller.
        statements: what else the context is compared with; see ``server/context_statements.py``.
    """
    context = [index for index, text in enumerate(texts) if not text.last]
    sentences = {index: split_sentences(texts[index].text) for index in context}
    views = [_Look(view) for view in [*conversation_views(_turns(texts)), *_glued(texts)]]
    joins = [_Look(join) for join in _after_others(texts)]
    parts = [_look(texts, index, span) for index in context for span in sentences[index]]
    edges = _edges(texts, sentences)
    long = [index for index in context if len(sentences[index]) > 1]
    wholes = [_Look(PlacedText(texts[index].place, texts[index].text)) for index in context]

    looks = [*views, *joins, *parts, *edges, *wholes]
    found = await detector.find([look.placed for look in looks], skip=skip)
    rows = [each.detections for each in found]
    by_turn, rest = rows[: len(views)], rows[len(views) + len(joins) :]
    by_context = {detection.target for own in rest for detection in own}
    for own in rows[len(views) : len(views) + len(joins)]:
        # What the context says by itself is not what the user asks.
        by_turn.append(tuple(each for each in own if each.target not in by_context))
    touched: dict[int, list[Touched]] = {}
    for look, detections in zip([*parts, *edges], rest, strict=False):
        _withhold(touched, look, {detection.target for detection in detections})
    hiding: dict[int, Sequence[View]] = {}
    for index, whole in zip(context, found[len(looks) - len(wholes) :], strict=True):
        hiding[index] = whole.views
        for hidden in whole.hidden:
            spans = overlapping(sentences[index], hidden.span)
            touched.setdefault(index, []).extend(Touched(s, hidden.target) for s in spans)

    # What the whole of a text shows, and no sentence of it.
    unplaced: dict[int, set[str]] = {}
    for index, detections in zip(context, rest[len(parts) + len(edges) :], strict=True):
        unplaced[index] = {d.target for d in detections} - _targets(touched, index)
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
    given: list[Detection] = []
    if statements is not None:
        passages = [
            *(p for i in context for p in within(texts[i].text, texts[i].place, i, sentences[i])),
            *(Passage(look.placed.text, look.placed.place, look.withhold) for look in edges),
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
    return Findings(merge(by_turn), merge([*rest, *((each,) for each in given)]), touched, hiding)


def _look(texts: Sequence[RequestText], index: int, span: Span) -> _Look:
    text = texts[index]
    said = text.text[span.start : span.end]
    return _Look(PlacedText(text.place, said, views=False), ((index, span),))


def _withhold(touched: dict[int, list[Touched]], look: _Look, targets: set[str]) -> None:
    """Note what to withhold; a look over several texts only for what none of them showed."""
    for target in sorted(targets):
        several = len(look.withhold) > 1
        if several and any(target in _targets(touched, index) for index, _ in look.withhold):
            continue
        for index, span in look.withhold:
            touched.setdefault(index, []).append(Touched(span, target))


def _targets(touched: Mapping[int, Sequence[Touched]], index: int) -> set[str]:
    return {item.target for item in touched.get(index, ())}


def _message_of(text: RequestText) -> str:
    """The place of the content that a part belongs to; empty for what is not a part."""
    message, is_part, _ = text.place.partition(".content[")
    return f"{message}.content" if is_part else ""


def _turns(texts: Sequence[RequestText]) -> list[PlacedText]:
    """The user's turns; the parts of one message make one turn."""
    turns: dict[str, list[str]] = {}
    for text in texts:
        if text.kind == "user":
            turns.setdefault(_message_of(text) or text.place, []).append(text.text)
    return [PlacedText(place, "\n".join(parts)) for place, parts in turns.items()]


def _glued(texts: Sequence[RequestText]) -> list[PlacedText]:
    """The user's turns of several parts without a gap: some chat templates put none between."""
    turns: dict[str, list[str]] = {}
    for text in texts:
        if text.kind == "user" and (message := _message_of(text)):
            turns.setdefault(message, []).append(text.text)
    return [PlacedText(p, "".join(parts)) for p, parts in turns.items() if len(parts) > 1]


def _after_others(texts: Sequence[RequestText]) -> list[PlacedText]:
    """Where the user goes on with what another role began: the end of that, and the turn."""
    return [
        PlacedText(turn.place, join(before.text, turn.text), views=False)
        for before, turn in pairwise(texts)
        if turn.kind == "user" and before.kind != "user"
    ]


def _edges(texts: Sequence[RequestText], sentences: Mapping[int, Sequence[Span]]) -> list[_Look]:
    """Where two texts of the context meet: the sentences on both sides, joined.

    Met are texts that follow each other, parts of one message without a gap too, and turns of the
    user with only others' between. Names and keys, which cannot be edited, meet nothing.
    """
    edited = [index for index in sentences if texts[index].write is not None]
    said_by_user = [index for index in edited if texts[index].kind == "user"]
    meetings = dict.fromkeys([*pairwise(edited), *pairwise(said_by_user)])
    looks: list[_Look] = []
    for left, right in meetings:
        ends = ((left, sentences[left][-1]), (right, sentences[right][0]))
        said = [texts[index].text[span.start : span.end] for index, span in ends]
        message = _message_of(texts[left])
        parts = bool(message) and message == _message_of(texts[right])
        place, gaps = (message, ("\n", "")) if parts else (texts[right].place, ("\n",))
        looks += [_Look(PlacedText(place, gap.join(said), views=False), ends) for gap in gaps]
    return looks
