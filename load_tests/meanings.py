"""Texts scored by how near they come to what a target says, and how well that parts them.

A text scores the greatest cosine that it reaches, while it runs, with a statement of an author to
be forgotten. Statements are the gold answers. Texts to be met are TOFU's paraphrases of them; texts
that should pass are unrelated ones, and wrong answers in the paraphrase's own words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any, Final, Protocol

import numpy as np

from guard.policy.vectors import general_prompts
from load_tests import tofu
from load_tests.curve import area, operate
from load_tests.figure import NotMeasurableError
from load_tests.paraphrases import Paraphrased, load_paraphrased
from load_tests.static_vectors import Encode, Floats, StaticVectors

# Of the unrelated texts, what a threshold may meet.
SHARES: Final = (0.001, 0.005, 0.01)


class Vectors(Protocol):
    """Something that reads texts into unit vectors."""

    def whole(self, text: str) -> Floats:
        """[d] of a text."""

    def running(self, text: str) -> Floats:
        """[n, d] of a text after each of its units."""


class StaticReader:
    """Texts by static vectors of their units."""

    def __init__(self, vectors: StaticVectors, units: Callable[[str], list[int]]) -> None:
        self._vectors, self._units = vectors, units

    def whole(self, text: str) -> Floats:
        return self._vectors.whole(self._units(text))

    def running(self, text: str) -> Floats:
        return self._vectors.running(self._units(text))


class WholeReader:
    """Texts by the encoder itself, read once at their end: what no distillation can better."""

    def __init__(self, encode: Encode, texts: Sequence[str]) -> None:
        self._rows: dict[str, Floats] = dict(zip(texts, encode(texts), strict=True))

    def whole(self, text: str) -> Floats:
        row: Floats = self._rows[text]
        return row

    def running(self, text: str) -> Floats:
        return self.whole(text)[None]


@dataclass(frozen=True, slots=True)
class Texts:
    """What is told apart.

    Attributes:
        rows: the questions by author.
        judged: the authors that thresholds are not set on.
        unrelated: two halves of the unrelated texts, the first to set thresholds on.
    """

    rows: Mapping[str, list[Paraphrased]]
    judged: tuple[str, ...]
    unrelated: tuple[list[str], list[str]]

    @classmethod
    def load(cls, limit: int) -> Texts:
        rows = load_paraphrased()[: limit or None]
        by_author: dict[str, list[Paraphrased]] = {}
        for row in rows:
            by_author.setdefault(row.author, []).append(row)
        if len(by_author) < 2:
            raise NotMeasurableError("needs the questions of two authors: raise --limit")
        authors = sorted(by_author)
        prompts = resources.files("load_tests").joinpath("prompts.txt").read_text("utf-8")
        everyday = general_prompts() + [line for line in prompts.splitlines() if line.strip()]
        # Halves of other authors by author, since the answers about one are alike.
        retain = tofu.load("retain")[: limit or None]
        halves: tuple[list[str], list[str]] = ([], [])
        names = sorted({about.author for about in retain})
        for about in retain:
            halves[names.index(about.author) % 2].append(about.answer)
        others = [about.answer for about in tofu.load("real_authors") + tofu.load("world_facts")]
        for index, text in enumerate([*others, *everyday]):
            halves[index % 2].append(text)
        return cls(by_author, tuple(authors[len(authors) // 2 :]), halves)

    def all(self) -> list[str]:
        own = [
            text
            for rows in self.rows.values()
            for row in rows
            for text in (row.answer, row.paraphrase, *row.wrong)
        ]
        return list(dict.fromkeys([*own, *self.unrelated[0], *self.unrelated[1]]))


@dataclass(frozen=True, slots=True)
class Scored:
    """The best score of each text.

    Attributes:
        right: of paraphrases, by the judged authors.
        wrong: of wrong answers about them.
        calibration, unrelated: of unrelated texts, against every author of their half.
        in_time: of paraphrases up to the first word that makes them right; empty where the reader
            does not go by words.
    """

    right: list[float]
    wrong: list[float]
    calibration: list[float]
    unrelated: list[float]
    in_time: list[float]


def score(reader: Vectors, texts: Texts, *, by_word: bool = False) -> Scored:
    """Score every text against the statements of the authors that it may be mistaken for."""
    found = Scored([], [], [], [], [])
    halves = [[reader.running(text) for text in half] for half in texts.unrelated]
    for author, rows in texts.rows.items():
        statements = np.stack([reader.whole(row.answer) for row in rows])
        judged = author in texts.judged
        for running in halves[judged]:
            (found.unrelated if judged else found.calibration).append(_best(running, statements))
        if not judged:
            continue
        for row in rows:
            running = reader.running(row.paraphrase)
            found.right.append(_best(running, statements))
            found.wrong.extend(_best(reader.running(text), statements) for text in row.wrong)
            tells = row.tells(row.paraphrase)
            if by_word and any(tells):
                found.in_time.append(_best(running[: tells.index(True) + 1], statements))
    return found


def _best(running: Floats, statements: Floats) -> float:
    return float((running @ statements.T).max())


def judge(scored: Scored) -> dict[str, Any]:
    """Areas under the curve, and what thresholds set elsewhere do."""
    points = []
    for share in SHARES:
        point = operate(scored.right, scored.unrelated, calibration=scored.calibration, share=share)
        extra = {"wrong_answers_met": float(np.mean(np.asarray(scored.wrong) >= point.threshold))}
        if scored.in_time:
            extra["recall_in_time"] = float(np.mean(np.asarray(scored.in_time) >= point.threshold))
        points.append({**asdict(point), **extra})
    found: dict[str, Any] = rounded(
        {
            "area_against_unrelated": area(scored.right, scored.unrelated),
            "area_against_wrong": area(scored.right, scored.wrong),
            "points": points,
        }
    )
    return found


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 4) if isinstance(value, float) else value
