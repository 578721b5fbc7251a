"""``detect-towards``: how far above the bound on harmless prompts a threshold should stand.

``towards`` of each of ``guard.policy.calibrate.MANNERS`` is chosen here, with the authors of
TOFU's ``retain`` set as targets, not those that ``detect-seen`` and ``detect-unseen`` are measured
with: ten of them, drawn from ``SEEDS`` seeds, are the targets; what must not be recognised are
questions about the other ten, real authors and the world; then the reverse. Of
each author, half of the questions are the examples and paraphrases of the others are asked. The
choice is the least of ``TRIED`` by which the method alone takes at most 0.25% of these for any
target: two methods may take 0.5%.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from classifiers import BatchingEncoder, load_encoder
from guard.bundle import Bundle, Method
from guard.policy.calibrate import MANNERS
from guard.policy.compile import compile_loaded
from guard.policy.load import load_policy
from guard.policy.scoring import NearestExample, Scores, Vectors
from load_tests import tofu
from load_tests.detecting import write_author_policy
from load_tests.figure import Figure, Measured, Options, progress, work_folder
from load_tests.figures.detect_seen import by_author, questions
from load_tests.figures.detect_unseen import split
from server.evaluation.rows import Row
from server.policies import encode_from_thread

SEEDS: Final = 10
TRIED: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_GOAL: Final = 0.0025


def measure(options: Options) -> Measured:
    """Score once, then try each of ``TRIED``."""
    return asyncio.run(_measure())


async def _measure() -> Measured:
    authors = list(by_author(tofu.load("retain")).values())
    world = [*tofu.load("real_authors"), *tofu.load("world_facts")]
    encoder = BatchingEncoder(load_encoder())
    tally: _Tally = {method: {towards: ([], []) for towards in TRIED} for method in MANNERS}
    try:
        for seed in range(SEEDS):
            order = np.random.default_rng(seed).permutation(len(authors))
            drawn = [[row for i in half for row in authors[i]] for half in np.split(order, 2)]
            for own, other in (drawn, drawn[::-1]):
                await _half(encoder, seed, own, [*other, *world], tally)
            progress(f"authors of seed {seed} scored")
    finally:
        await encoder.aclose()
    details: dict[str, Any] = {
        method: {
            "in_force": MANNERS[method].towards,
            "least": next(t for t in TRIED if np.mean(tried[t][1]) <= _GOAL),
            "tried": {
                str(towards): {
                    "recall": float(np.mean(met)),
                    "false_positives": float(np.mean(taken)),
                }
                for towards, (met, taken) in tried.items()
            },
        }
        for method, tried in tally.items()
    }
    asked = len(tally["contrast"][0.0][0])
    return Measured(details["contrast"]["least"], asked, details)


# By method and share: whether each question asked was met, and each other one taken for a target.
_Tally = dict[Method, dict[float, tuple[list[bool], list[bool]]]]


async def _half(
    encoder: BatchingEncoder, seed: int, own: Sequence[Row], others: Sequence[Row], tally: _Tally
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
    wrong = await encoder.encode(questions(others))
    for method, tried in tally.items():
        taken = {towards: np.zeros(len(others), np.bool_) for towards in TRIED}
        for author, (_, asked) in parts.items():
            rows = await encoder.encode([row.paraphrased_question for row in asked])
            score = _score(compiled.bundle, author, method)
            for towards in TRIED:
                threshold = _threshold(compiled.bundle, author, method, towards)
                tried[towards][0].extend((score(rows) >= threshold).tolist())
                taken[towards] |= score(wrong) >= threshold
        for towards in TRIED:
            tried[towards][1].extend(taken[towards].tolist())


def _threshold(bundle: Bundle, author: str, method: Method, towards: float) -> float:
    made, manner = bundle.calibrations[author][method], MANNERS[method]
    beyond: float = made["bound"] + towards * max(0.0, made["typical"] - made["bound"])
    return min(manner.cap, max(manner.floor, beyond))


def _score(bundle: Bundle, author: str, method: Method) -> Callable[[Vectors], Scores]:
    index = bundle.index_of(author)
    if method == "neighbour":
        return NearestExample(bundle.examples[bundle.example_targets == index])
    direction = bundle.contrasts[bundle.contrast_targets == index][0]
    return lambda vectors: vectors @ direction


FIGURE = Figure(
    name="detect-towards",
    what="how far a threshold stands from the bound to the typical score, chosen on other authors",
    unit="share",
    goal="recorded; the least that takes at most 0.0025 of harmless questions for a target",
    run=measure,
)
