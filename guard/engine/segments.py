"""Which segments a bundle is made of: what stays from one bundle to the next is not compiled again.

A policy edit changes a few targets of perhaps many thousands. Targets with the same id and phrases
are told by a fingerprint; those that a segment of the previous bundle holds are taken from there,
and only the others are compiled, into one more segment. As in a log-structured merge tree (O'Neil
et al., 1996) there are few segments and little in them that is dead: small ones are joined, and
when too much has changed all is compiled anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from guard.bundle import EngineBundle
from guard.engine.matcher import BoundSegment, SegmentTensors, Tokens
from guard.engine.segment import HARD_PENALTY, SOFT_PENALTY, compile_segment
from guard.engine.store import SegmentStore
from guard.hashing import Int64Array

# Each costs the sampler one more look-up at every step.
MAX_SEGMENTS: Final = 3
# Fewer phrases compile faster than a file is checked.
_WORTH_KEEPING: Final = 10_000
# More phrases than this share of the largest segment are worth compiling all anew.
_MAX_CHANGED: Final = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class TargetSegment:
    """A compiled segment, and whose phrases it holds.

    Attributes:
        fingerprints: [n] int64, of each target; entries count targets in this order.
        sizes: [n] int64, phrases of each.
    """

    tensors: SegmentTensors
    fingerprints: Int64Array
    sizes: Int64Array


@dataclass(frozen=True, slots=True, eq=False)
class _Wanted:
    """The slots of a bundle: its targets, then its cues (``guard.bundle.PhraseTable``).

    Attributes:
        fingerprints: [n_slots] int64.
        first: [n_slots + 1] where each slot's phrases begin.
        texts: [n_phrases].
        hard: [n_phrases] bool.
        turn: [n_phrases] int16, see ``guard.bundle.PhraseTable``. From what holds always no model
            is led away: where nothing was detected, the beginnings of phrases are innocent.
    """

    fingerprints: Int64Array
    first: Int64Array
    texts: list[str]
    hard: npt.NDArray[np.bool_]
    turn: npt.NDArray[np.int16]

    @classmethod
    def of(cls, bundle: EngineBundle) -> _Wanted:
        phrases, owner = bundle.phrases, bundle.slot_owner()
        texts = phrases.texts()
        first = np.searchsorted(phrases.slot, np.arange(len(owner) + 1)).astype(np.int64)
        edges, marks = first.tolist(), phrases.hard.tobytes()
        always = bundle.until[phrases.target] > 0
        turn = np.where(phrases.hard & ~always, phrases.turn, np.int16(-1))
        turns, width = turn.tobytes(), turn.itemsize
        # Python's own hash is keyed anew in each process, which is as long as a segment lives.
        prints = [
            hash(
                (
                    bundle.target_ids[target],
                    place < len(bundle.target_ids),
                    *texts[low:high],
                    marks[low:high],
                    turns[low * width : high * width],
                )
            )
            for place, (target, low, high) in enumerate(
                zip(owner.tolist(), edges, edges[1:], strict=False)
            )
        ]
        return cls(np.array(prints, np.int64), first, texts, phrases.hard, turn)

    @property
    def sizes(self) -> Int64Array:
        return np.diff(self.first)


@dataclass(frozen=True, slots=True, eq=False)
class SegmentSet:
    """Segments that hold every target of a bundle between them.

    Attributes:
        segments: the largest first.
        bound: the same, as the bundle's matcher uses them.
    """

    segments: tuple[TargetSegment, ...]
    bound: tuple[BoundSegment, ...]


def segments_of(
    bundle: EngineBundle,
    tokens: Tokens,
    previous: Sequence[TargetSegment] = (),
    store: SegmentStore | None = None,
) -> SegmentSet:
    """The segments of a bundle.

    Args:
        previous: segments at hand, the largest first.
        store: where large ones may lie compiled, and are kept.
    """
    wanted = _Wanted.of(bundle)
    kept: list[TargetSegment] = []
    missing = np.ones(len(wanted.fingerprints), np.bool_)
    for segment in previous:
        here = missing & np.isin(wanted.fingerprints, segment.fingerprints)
        # A segment that is half dead costs more than it saves.
        if 2 * wanted.sizes[here].sum() >= segment.sizes.sum() and here.any():
            kept.append(segment)
            missing &= ~here
    if missing.any() and len(kept) >= MAX_SEGMENTS:
        for small in kept[1:]:
            missing |= np.isin(wanted.fingerprints, small.fingerprints)
        kept = kept[:1]
    changed = int(wanted.sizes[missing].sum())
    if kept and changed > _MAX_CHANGED * int(kept[0].sizes.sum()):
        kept, missing = [], np.ones_like(missing)
    if missing.any():
        kept.append(_compile(wanted, np.flatnonzero(missing), tokens, store))
    kept.sort(key=lambda segment: -int(segment.sizes.sum()))
    bound = tuple(_bind(each, wanted.fingerprints, tokens.windows.device) for each in kept)
    return SegmentSet(tuple(kept), bound)


def _bind(segment: TargetSegment, fingerprints: Int64Array, device: torch.device) -> BoundSegment:
    """A segment whose entries name the targets of a bundle.

    Args:
        fingerprints: [n_slots] int64, of the bundle's slots.
    """
    order = np.argsort(fingerprints)
    place = np.searchsorted(fingerprints, segment.fingerprints, sorter=order)
    at = order[np.minimum(place, len(order) - 1)]
    slot = np.where(fingerprints[at] == segment.fingerprints, at, -1)
    return BoundSegment(segment.tensors, torch.from_numpy(slot).to(device))


def _compile(
    wanted: _Wanted, targets: Int64Array, tokens: Tokens, store: SegmentStore | None
) -> TargetSegment:
    """One segment of some targets, in the bundle's order."""
    sizes = wanted.sizes[targets]
    of_wanted = np.repeat(np.isin(np.arange(len(wanted.sizes)), targets), wanted.sizes)
    texts = [wanted.texts[place] for place in np.flatnonzero(of_wanted).tolist()]
    owner = np.repeat(np.arange(len(targets), dtype=np.int32), sizes)
    hard = wanted.hard[of_wanted]
    penalty = np.where(hard, HARD_PENALTY, SOFT_PENALTY).astype(np.float32)
    turn = wanted.turn[of_wanted]
    digest = ""
    if store is not None and len(texts) >= _WORTH_KEEPING:
        digest = store.digest_of(texts, owner, penalty, turn)
        compiled = store.load(digest)
        if compiled is not None:
            tensors = SegmentTensors(compiled, tokens.windows.device)
            return TargetSegment(tensors, wanted.fingerprints[targets], sizes)
    advances = [
        advance
        for place in np.flatnonzero(turn >= 0).tolist()
        for advance in tokens.steering.advances(place, texts[place], int(turn[place]))
    ]
    compiled = compile_segment(texts, owner, penalty, tokens.letters, tokens.words, advances)
    if store is not None and digest:
        store.save(digest, compiled)
    tensors = SegmentTensors(compiled, tokens.windows.device)
    return TargetSegment(tensors, wanted.fingerprints[targets], sizes)
