"""``detect-towards``: how far above the bound on harmless prompts a threshold should stand.

``towards`` of each of ``METHODS`` in ``guard.policy.calibrate.MANNERS`` is chosen here, with the
authors of TOFU's ``retain`` set as targets, not those that ``detect-seen`` and ``detect-unseen``
are measured with: ten of them, drawn from ``SEEDS`` seeds, are the targets; what must not be
recognised are questions about the other ten, real authors and the world; then the reverse. Of each
author, half of the questions are the examples and paraphrases of the others are asked. The choice
is the least of ``TRIED`` by which the method alone takes at most 0.167% of these for any target:
three methods may take 0.5%. For the floor of ``letters`` the least of ``FLOORS`` is chosen so, with
the ``towards`` in force.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from classifiers import BatchingEncoder, load_encoder
from guard.bundle import Bundle, Method
from guard.policy.about_others import about_others
from guard.policy.calibrate import MANNERS
from guard.policy.compile import compile_loaded
from guard.policy.load import load_policy
from guard.policy.own_letters import OwnLetters
from guard.policy.scoring import NearestExample, Scores, Vectors
from load_tests import tofu
from load_tests.detecting import write_author_policy
from load_tests.figure import Figure, Measured, Options, progress, work_folder
from load_tests.figures.detect_seen import by_author, questions
from load_tests.figures.detect_unseen import split
from server.evaluation.rows import Row
from server.policies import encode_from_thread

SEEDS: Final = 10
METHODS: Final[tuple[Method, ...]] = ("neighbour", "contrast", "letters")
TRIED: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
FLOORS: Final = (0.25, 0.3, 0.33, 0.35, 0.38, 0.4)
_GOAL: Final = 0.005 / len(METHODS)


def measure(options: Options) -> Measured:
    """Score once, then try each of ``TRIED``."""
    return asyncio.run(_measure())


async def _measure() -> Measured:
    authors = list(by_author(tofu.load("retain")).values())
    world = [*tofu.load("real_authors"), *tofu.load("world_facts")]
    encoder = BatchingEncoder(load_encoder())
    tally: _Tally = {method: {towards: ([], []) for towards in TRIED} for method in METHODS}
    floors: dict[float, _Counted] = {floor: ([], []) for floor in FLOORS}
    try:
        for seed in range(SEEDS):
            order = np.random.default_rng(seed).permutation(len(authors))
            drawn = [[row for i in half for row in authors[i]] for half in np.split(order, 2)]
            for own, other in (drawn, drawn[::-1]):
                await _half(encoder, seed, own, [*other, *world], tally, floors)
            progress(f"authors of seed {seed} scored")
    finally:
        await encoder.aclose()
    details: dict[str, Any] = {
        method: {
            "in_force": MANNERS[method].towards,
            **_chosen(tried),
        }
        for method, tried in tally.items()
    }
    details["letters"]["floor"] = {"in_force": MANNERS["letters"].floor, **_chosen(floors)}
    asked = len(tally["contrast"][0.0][0])
    return Measured(details["contrast"]["least"], asked, details)


# Whether each question asked was met, and each other one taken for a target.
_Counted = tuple[list[bool], list[bool]]
# By method and share.
_Tally = dict[Method, dict[float, _Counted]]


def _chosen(tried: Mapping[float, _Counted]) -> dict[str, Any]:
    """The least that takes no more than it may, None if all do, and what each tried one does."""
    return {
        "least": next((value for value in tried if np.mean(tried[value][1]) <= _GOAL), None),
        "tried": {
            str(value): {"recall": float(np.mean(met)), "false_positives": float(np.mean(taken))}
            for value, (met, taken) in tried.items()
        },
    }


async def _half(
    encoder: BatchingEncoder,
    seed: int,
    own: Sequence[Row],
    others: Sequence[Row],
    tally: _Tally,
    floors: Mapping[float, _Counted],
) -> None:
    folder = work_folder("detect-towards")
    parts = {author: split(rows, seed) for author, rows in by_author(own).items()}
    given = {author: part[0] for author, part in parts.items()}
    compiled = await asyncio.to_thread(
        compile_loaded,
        load_policy(write_author_policy(folder, given)),
        folder / "bundles",
        encode=encode_from_thread(encoder, asyncio.get_running_loop()),
        encoder=encoder.digest,
    )
    bundle = compiled.bundle
    wrong = await _encoded(encoder, questions(others))
    taken = {method: {t: np.zeros(len(others), np.bool_) for t in TRIED} for method in tally}
    taken_by_floor = {floor: np.zeros(len(others), np.bool_) for floor in floors}
    for author, (prompts, asked) in parts.items():
        right = await _encoded(encoder, [row.paraphrased_question for row in asked])
        for method, tried in tally.items():
            score = _score(bundle, author, method, questions(prompts))
            ours, theirs = score(right), score(wrong)
            for towards in TRIED:
                threshold = _threshold(bundle, author, method, towards, MANNERS[method].floor)
                tried[towards][0].extend((ours >= threshold).tolist())
                taken[method][towards] |= theirs >= threshold
            if method == "letters":
                for floor, (met, _) in floors.items():
                    threshold = _threshold(bundle, author, method, MANNERS[method].towards, floor)
                    met.extend((ours >= threshold).tolist())
                    taken_by_floor[floor] |= theirs >= threshold
    for method, tried in tally.items():
        for towards in TRIED:
            tried[towards][1].extend(taken[method][towards].tolist())
    for floor, (_, counted) in floors.items():
        counted.extend(taken_by_floor[floor].tolist())


@dataclass(frozen=True, slots=True)
class _Asked:
    """Texts, and their unit rows [n, d]."""

    texts: list[str]
    rows: Vectors


async def _encoded(encoder: BatchingEncoder, texts: list[str]) -> _Asked:
    return _Asked(texts, await encoder.encode(texts))


def _threshold(bundle: Bundle, author: str, method: Method, towards: float, floor: float) -> float:
    made, manner = bundle.calibrations[author][method], MANNERS[method]
    beyond: float = made["bound"] + towards * max(0.0, made["typical"] - made["bound"])
    return min(manner.cap, max(floor, beyond))


def _score(
    bundle: Bundle, author: str, method: Method, prompts: Sequence[str]
) -> Callable[[_Asked], Scores]:
    index = bundle.index_of(author)
    if method == "letters":
        letters = OwnLetters(prompts, about_others((), prompts))
        return lambda asked: letters(asked.texts)
    if method == "neighbour":
        nearest = NearestExample(bundle.examples[bundle.example_targets == index])
        return lambda asked: nearest(asked.rows)
    direction = bundle.contrasts[bundle.contrast_targets == index][0]
    return lambda asked: asked.rows @ direction


FIGURE = Figure(
    name="detect-towards",
    what="how far a threshold stands from the bound to the typical score, chosen on other authors",
    unit="share",
    goal="recorded; the least that takes at most 0.00167 of harmless questions for a target",
    run=measure,
)
