"""``forbid.verbatim``: a corpus to its filter, made once for files that stay as they are."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from guard.bundle import StandIn
from guard.hashing import Int64Array
from guard.policy.corpus import read_corpus, swapped_words
from guard.policy.model import Place
from guard.verbatim import RunFilter

# Bytes of filters kept from one loading of a policy to the next.
_MOST_KEPT: Final = 1 << 30
# Clocks of file systems tick slowly: a file may change twice and bear one time.
_SETTLED_NS: Final = 2_000_000_000

# Of each file: time of its last change in ns, size, inode.
_Stamp = tuple[tuple[int, int, int], ...]
_Key = tuple[tuple[Path, ...], int, tuple[StandIn, ...]]


@dataclass(frozen=True, slots=True)
class HeldCorpus:
    """What is held of the files of a corpus.

    Attributes:
        too_short: files of too few words for a run that could be forbidden.
    """

    runs: RunFilter
    too_short: tuple[Path, ...]


def corpus_filter(
    files: Sequence[Path], words: int, place: Place, stand_ins: tuple[StandIn, ...] = ()
) -> HeldCorpus:
    """The filter of a corpus; made once for files that stay as they are.

    Args:
        place: the policy field that names the files.
        stand_ins: of names that the model is asked about by other names. It must not say the text
            with those either, since they are swapped back before the answer leaves.

    Raises:
        PolicyError: as ``read_corpus``; or no file has a run of words that could be forbidden.
    """
    return _kept.get(files, words, place, stand_ins)


class _KeptFilters:
    """Filters made before, so that an edit elsewhere in the policy does not read a corpus again."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._filters: OrderedDict[_Key, tuple[_Stamp, HeldCorpus]] = OrderedDict()

    def get(
        self, files: Sequence[Path], words: int, place: Place, stand_ins: tuple[StandIn, ...]
    ) -> HeldCorpus:
        key = (tuple(path.absolute() for path in files), words, stand_ins)
        before = _stamp(files)
        stamp, made = self._filters.pop(key, (None, None))
        if made is None or stamp != before:
            made = _made(files, read_corpus(files, place), words, place, stand_ins)
            stamp = _stamp(files)
        if stamp == before and _settled(before):
            self._filters[key] = (before, made)
            while sum(_size_of(kept.runs) for _, kept in self._filters.values()) > self._most_bytes:
                self._filters.popitem(last=False)
        return made


def _made(
    files: Sequence[Path],
    documents: Sequence[Int64Array],
    words: int,
    place: Place,
    stand_ins: tuple[StandIn, ...],
) -> HeldCorpus:
    longest = max(map(len, documents))
    if longest <= words:
        raise place.error(
            f"no file holds a run of {words + 1} words (the longest has {longest}), so nothing"
            " would be held",
            "give the text itself, or a smaller `words`",
        )
    made = RunFilter.of([*documents, *swapped_words(documents, stand_ins, words)], words)
    short = (file for file, own in zip(files, documents, strict=True) if len(own) <= words)
    return HeldCorpus(replace(made, corpus_words=sum(map(len, documents))), tuple(short))


def _stamp(files: Sequence[Path]) -> _Stamp:
    stamp = []
    for path in files:
        try:
            state = path.stat()
        except OSError:  # reading it will say why
            stamp.append((0, 0, 0))
        else:
            stamp.append((state.st_mtime_ns, state.st_size, state.st_ino))
    return tuple(stamp)


def _settled(stamp: _Stamp) -> bool:
    """Whether the files are old enough for another edit to show in their stamps."""
    return time.time_ns() - max(changed for changed, _, _ in stamp) > _SETTLED_NS


def _size_of(made: RunFilter) -> int:
    """Bytes of a filter."""
    return sum(len(part) for part in made.bits)


_kept: Final = _KeptFilters(_MOST_KEPT)
