"""Which forget targets a request touches, and where: the user's turns and each sentence around."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from classifiers import Detector, PlacedText, conversation_views, merge
from guard.context import Span, split_sentences
from guard.decision import Detection
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
    """

    user: tuple[Detection, ...] = ()
    context: tuple[Detection, ...] = ()
    touched: Mapping[int, Sequence[Touched]] = field(default_factory=dict)

    @property
    def merged(self) -> tuple[Detection, ...]:
        """One detection per target."""
        return merge([self.user, self.context])


async def find_targets(
    detector: Detector, texts: Sequence[RequestText], skip: frozenset[str]
) -> Findings:
    """Detect over a whole request, in one batch unless a text has to be looked at twice.

    The user's turns are looked at as turns and as a conversation. Every text but the last turn is
    looked at sentence by sentence and as a whole; a target that only the whole shows is then
    looked for in pairs of neighbouring sentences.

    Args:
        skip: ids of targets that do not bind the caller.
    """
    views = conversation_views(_turns(texts))
    context = {index: text for index, text in enumerate(texts) if not text.last}
    sentences = {index: split_sentences(text.text) for index, text in context.items()}
    asked = [_Asked(index, span) for index, spans in sentences.items() for span in spans]
    wholes = [
        _Asked(index, Span(0, len(context[index].text)))
        for index, spans in sentences.items()
        if len(spans) > 1
    ]
    rows = await detector.detect(
        [*views, *(item.placed(texts) for item in (*asked, *wholes))], skip=skip
    )
    by_turn, rows = rows[: len(views)], rows[len(views) :]
    touched: dict[int, list[Touched]] = {}
    for item, detections in zip(asked, rows, strict=False):
        for detection in detections:
            touched.setdefault(item.index, []).append(Touched(item.span, detection.target))

    unplaced = {
        item.index: missing
        for item, detections in zip(wholes, rows[len(asked) :], strict=True)
        if (missing := {d.target for d in detections} - _targets(touched, item.index))
    }
    pairs = [
        _Asked(index, Span(first.start, second.end))
        for index in unplaced
        for first, second in zip(sentences[index], sentences[index][1:], strict=False)
    ]
    if pairs:
        again = await detector.detect([item.placed(texts) for item in pairs], skip=skip)
        for item, detections in zip(pairs, again, strict=True):
            for detection in detections:
                if detection.target in unplaced[item.index]:
                    touched.setdefault(item.index, []).append(Touched(item.span, detection.target))
    return Findings(merge(by_turn), merge(rows), touched)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A span of one of the request's texts."""

    index: int
    span: Span

    def placed(self, texts: Sequence[RequestText]) -> PlacedText:
        text = texts[self.index]
        return PlacedText(text.place, text.text[self.span.start : self.span.end])


def _targets(touched: Mapping[int, Sequence[Touched]], index: int) -> set[str]:
    return {item.target for item in touched.get(index, ())}


def _turns(texts: Sequence[RequestText]) -> list[PlacedText]:
    """The user's turns; the parts of one message make one turn."""
    turns: dict[str, list[str]] = {}
    for text in texts:
        if text.kind == "user":
            message, parts, _ = text.place.partition(".content[")
            place = f"{message}.content" if parts else message
            turns.setdefault(place, []).append(text.text)
    return [PlacedText(place, "\n".join(parts)) for place, parts in turns.items()]
