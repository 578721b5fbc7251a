"""A protected corpus: text files to the hashes of their normalised words, at the speed of numpy.

The words are those of ``guard.normalise``. Since that folds each code point by itself, it can be
done by table: 10^7 words take seconds in place of minutes. Files are read in blocks, so that memory
holds eight bytes for each word and no text.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from guard.bundle import StandIn
from guard.hashing import Int64Array, finish, inverse_powers, powers, symbol_values
from guard.normalise import SEP, fold
from guard.policy.model import Place
from guard.stand_ins import pairs
from guard.verbatim import FORBIDDEN, MAX_CORPUS_WORDS, RunFilter, run_keys, run_length

# Characters read at a time.
_BLOCK: Final = 1 << 20
_CODE_POINTS: Final = 0x110000
# In place of a symbol's value.
_SEP_VALUE: Final = 0


def corpus_files(folder: Path, patterns: Sequence[str], place: Place) -> list[Path]:
    """The files that the patterns match, by name, each once.

    Args:
        folder: where relative patterns start.
        place: the policy field that holds the patterns.

    Raises:
        PolicyError: a pattern matches no file.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        # A pattern that is no path at all, such as one with a NUL, matches nothing.
        names = glob.glob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207 - takes absolute patterns too
        files = sorted(path for name in names if (path := folder / name).is_file())
        if not files:
            raise place.error(
                f"no file matches `{pattern}`",
                "give text files such as `data/book/*.txt`; paths start at the policy file's own"
                " folder",
            )
        found |= dict.fromkeys(files)
    return list(found)


def corpus_folders(folder: Path, patterns: Sequence[str], place: Place) -> list[Path]:
    """The folders in which another file would match the patterns, or another folder hold one.

    Args:
        folder: where relative patterns start.
        place: the policy field that holds the patterns.

    Raises:
        PolicyError: what such a folder holds cannot be seen, so that texts would be left out.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        parts = Path(pattern).parts
        wild = (place for place, part in enumerate(parts) if glob.has_magic(part))
        for end in range(next(wild, len(parts)), len(parts)):
            names = glob.glob(str(Path(*parts[:end])), root_dir=folder, recursive=True)  # noqa: PTH207 - as above
            found |= dict.fromkeys(path for name in names if (path := folder / name).is_dir())
    for path in found:
        if not os.access(path, os.R_OK | os.X_OK):
            raise place.error(
                f"`{path}` cannot be looked into, and may hold files that `corpus` asks for",
                "let this process read the folder, or name only folders that it may read",
            )
    return list(found)


def read_corpus(files: Sequence[Path], place: Place) -> list[Int64Array]:
    """Hashes of the words of each file.

    Args:
        place: the policy field that names the files.

    Raises:
        PolicyError: a file cannot be read, is not UTF-8, or all are too long together.
    """
    documents = []
    folding = Folding()
    left = MAX_CORPUS_WORDS
    for path in files:
        parts = [np.zeros(0, np.int64)]
        for words in _hashes_of(path, folding, place):
            parts.append(words)
            left -= len(words)
            if left < 0:
                raise place.error(
                    f"holds more than {MAX_CORPUS_WORDS} words", "split it into several targets"
                )
        documents.append(np.concatenate(parts))
    return documents


def swapped_words(
    documents: Sequence[Int64Array], stand_ins: Sequence[StandIn], words: int
) -> Iterator[Int64Array]:
    """Those documents that hold a name, with each name swapped for its stand-in.

    A name of more words than may be said in a row is left out, and no run reaches over it: who has
    said it may have it said back.

    Args:
        documents: the hashes of the words of each text.
        words: the bound.
    """
    hasher = _Hasher()
    names: dict[int, list[tuple[Int64Array, Int64Array]]] = {}
    for _, text, other in pairs(stand_ins):
        name = hasher.words_of(text)
        if len(name):
            names.setdefault(int(name[0]), []).append((name, hasher.words_of(other)))
    for found in names.values():
        found.sort(key=lambda pair: -len(pair[0]))
    for document in documents:
        parts: list[Int64Array] = []
        done = 0
        for place in np.flatnonzero(np.isin(document, list(names))).tolist():
            for name, instead in names[int(document[place])] if place >= done else ():
                if np.array_equal(document[place : place + len(name)], name):
                    parts.append(document[done:place])
                    done = place + len(name)
                    if len(name) <= words:
                        parts.append(instead)
                    else:
                        yield np.concatenate(parts)
                        parts = []
                    break
        if done:
            yield np.concatenate([*parts, document[done:]])


class _Hasher:
    """Texts as hashes of their words."""

    def __init__(self) -> None:
        self._folding = Folding()

    def words_of(self, text: str) -> Int64Array:
        hasher = WordHasher(self._folding)
        return np.concatenate([hasher.feed(text), hasher.flush()])


def repeats(corpus: RunFilter, text: str) -> bool:
    """Whether a text holds a run that a corpus forbids."""
    words = _Hasher().words_of(text)
    length = run_length(FORBIDDEN, corpus.words)
    return any(corpus.holds(keys).any() for keys in run_keys(words, length))


def _hashes_of(path: Path, folding: Folding, place: Place) -> Iterator[Int64Array]:
    hasher = WordHasher(folding)
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            while block := text.read(_BLOCK):
                if "\0" in block:
                    raise ValueError("a NUL")
                yield hasher.feed(block)
    except (OSError, ValueError) as reason:
        problem = reason.strerror if isinstance(reason, OSError) else "not UTF-8 text"
        raise place.error(
            f"`{path}`: cannot be read ({problem})", "give plain text files, saved as UTF-8"
        ) from reason
    yield hasher.flush()


class WordHasher:
    """Reads a text, piece by piece, as hashes of its normalised words."""

    def __init__(self, folding: Folding) -> None:
        self._folding = folding
        # [m] values of the symbols of a word that the text so far ends with
        self._open = np.zeros(0, np.int64)

    def feed(self, text: str) -> Int64Array:
        """[n] hashes of the words that this piece ends, in order."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        values = np.concatenate([self._open, self._folding.values_of(codes)])
        (seps,) = np.nonzero(values == _SEP_VALUE)
        last = int(seps[-1]) + 1 if len(seps) else 0
        self._open = values[last:]
        return _word_hashes(values[:last])

    def flush(self) -> Int64Array:
        """[0 or 1] the hash of the word that the text ends with."""
        values, self._open = self._open, self._open[:0]
        return _word_hashes(values)


def _word_hashes(values: Int64Array) -> Int64Array:
    """Hashes of the words in symbol values, where each ends at a separator or at the very end."""
    is_letter = np.zeros(len(values) + 2, np.bool_)
    np.not_equal(values, _SEP_VALUE, out=is_letter[1:-1])
    edges = np.diff(is_letter.view(np.int8))
    (starts,), (ends,) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    # As a run's hash follows from two prefixes of a text, so does a word's; separators count 0.
    before = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values * inverse_powers(len(values)), out=before[1:])
    return finish((before[ends] - before[starts]) * powers(len(values))[ends - 1])


class Folding:
    """What code points fold to, as symbol values; a table that fills as code points turn up."""

    _UNKNOWN: Final = -1

    def __init__(self) -> None:
        # [code points] how many symbols each folds to, and the place of the first in `symbols`
        self._count = np.full(_CODE_POINTS, self._UNKNOWN, np.int8)
        self._first = np.zeros(_CODE_POINTS, np.int32)
        self._symbols = np.zeros(0, np.int64)

    def values_of(self, codes: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> Int64Array:
        """[m] values of the symbols of a text, in order; ``_SEP_VALUE`` for a separator.

        Args:
            codes: [n] uint32 code points.
        """
        count = self._count[codes]
        if (count < 0).any():
            self._learn(np.unique(codes[count < 0]).tolist())
            count = self._count[codes]
        first = self._first[codes]
        if (count == 1).all():
            return self._symbols[first]
        ends = np.cumsum(count, dtype=np.int64)
        steps = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - count, count)
        places: Int64Array = np.repeat(first, count) + steps
        return self._symbols[places]

    def _learn(self, codes: list[int]) -> None:
        forms = [fold(chr(code)) for code in codes]
        first = len(self._symbols)
        for code, form in zip(codes, forms, strict=True):
            self._count[code], self._first[code] = len(form), first
            first += len(form)
        letters = np.frombuffer("".join(forms).encode("utf-32-le"), np.uint32).astype(np.int64)
        values = np.where(letters == ord(SEP), _SEP_VALUE, symbol_values(letters))
        self._symbols = np.concatenate([self._symbols, values])
