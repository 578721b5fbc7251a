"""``detect-towards``: how far above the bound on harmless prompts a threshold should stand.

``guard.policy.calibrate.TOWARDS`` is chosen here, with the authors of TOFU's ``retain`` set as
targets, not those that ``detect-seen`` and ``detect-unseen`` are measured with: ten of them, drawn
from ``SEEDS`` seeds, are the targets; what must not be recognised are questions about the other
ten, real authors and the world; then the reverse. The choice is the least of ``TRIED`` that takes
at most 0.5% of these for any target.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from classifiers import BatchingEncoder, load_encoder
from guard.bundle import Bundle
from guard.policy.calibrate import CAP, FLOOR, TOWARDS
from guard.policy.compile import compile_loaded
from guard.policy.load import load_policy
from guard.policy.scoring import NearestExample, Scores
from load_tests import tofu
from load_tests.detecting import write_author_policy
from load_tests.figure import Figure, Measured, Options, progress, work_folder
from load_tests.figures.detect_seen import by_author, questions
from load_tests.tofu import Row
from server.policies import encode_from_thread

SEEDS: Final = 10
TRIED: Final = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_GOAL: Final = 0.005


def measure(options: Options) -> Measured:
    """Score once, then try each of ``TRIED``."""
    return asyncio.run(_measure())


async def _measure() -> Measured:
    authors = list(by_author(tofu.load("retain")).values())
    world = [*tofu.load("real_authors"), *tofu.load("world_facts")]
    encoder = BatchingEncoder(load_encoder())
    met: dict[float, list[bool]] = {towards: [] for towards in TRIED}
    taken: dict[float, list[bool]] = {towards: [] for towards in TRIED}
    try:
        for seed in range(SEEDS):
            order = np.random.default_rng(seed).permutation(len(authors))
            drawn = [[row for i in half for row in authors[i]] for half in np.split(order, 2)]
            for own, other in (drawn, drawn[::-1]):
                await _half(encoder, own, [*other, *world], met, taken)
            progress(f"authors of seed {seed} scored")
    finally:
        await encoder.aclose()
    tried: dict[str, Any] = {
        str(towards): {
            "recall": float(np.mean(met[towards])),
            "false_positives": float(np.mean(taken[towards])),
        }
        for towards in TRIED
    }
    least = next(towards for towards in TRIED if np.mean(taken[towards]) <= _GOAL)
    return Measured(
        least, len(met[least]), {"n_others": len(taken[least]), "tried": tried, "in_force": TOWARDS}
    )


async def _half(
    encoder: BatchingEncoder,
    own: Sequence[Row],
    others: Sequence[Row],
    met: dict[float, list[bool]],
    taken: dict[float, list[bool]],
) -> None:
    folder = work_folder("detect-towards")
    compiled = await asyncio.to_thread(
        compile_loaded,
        load_policy(write_author_policy(folder, by_author(own))),
        folder / "bundles",
        encode=encode_from_thread(encoder, asyncio.get_running_loop()),
        encoder=encoder.digest,
    )
    asked = await encoder.encode([row.paraphrased_question for row in own])
    other = await encoder.encode(questions(others))
    for towards in TRIED:
        wrong = np.zeros(len(others), np.bool_)
        for author in by_author(own):
            threshold, nearest = _at(compiled.bundle, author, towards)
            mine = [place for place, row in enumerate(own) if row.author == author]
            met[towards] += _reached(nearest(asked[mine]), threshold)
            wrong |= nearest(other) >= threshold
        taken[towards] += wrong.tolist()


def _at(bundle: Bundle, author: str, towards: float) -> tuple[float, NearestExample]:
    made = bundle.calibrations[author]
    beyond = made["bound"] + towards * max(0.0, made["typical"] - made["bound"])
    rows = bundle.examples[bundle.example_targets == bundle.index_of(author)]
    return min(CAP, max(FLOOR, beyond)), NearestExample(rows)


def _reached(scores: Scores, threshold: float) -> list[bool]:
    reached: list[bool] = (scores >= threshold).tolist()
    return reached


FIGURE = Figure(
    name="detect-towards",
    what="how far a threshold stands from the bound to the typical score, chosen on other authors",
    unit="share",
    goal="recorded; the least that takes at most 0.005 of harmless questions for a target",
    run=measure,
)
