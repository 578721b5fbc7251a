"""``detect-unseen``: questions about a target that no example asks.

Half of each author's questions are the examples, the other half's paraphrases must be recognised,
no names are given. Halves are drawn from fixed seeds, and each is once the examples and once asked.
What must not be recognised, and the counterexamples of the second arm, are as in ``detect-seen``.
In the third arm the policy is trained, with answers to the examples and the counterexamples.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from classifiers import BatchingEncoder, load_encoder
from load_tests import tofu
from load_tests.detecting import COMBINED, Found, ask, write_author_policy
from load_tests.figure import Figure, Measured, Options, progress, work_folder
from load_tests.figures.detect_seen import OTHERS, by_author, halves_of, judge, questions
from server.evaluation.rows import Row

SEEDS: Final = 5


def split(rows: Sequence[Row], seed: int) -> tuple[list[Row], list[Row]]:
    """An author's rows in two halves, drawn from a seed."""
    order = np.random.default_rng([seed, len(rows)]).permutation(len(rows))
    half = len(rows) // 2
    return [rows[i] for i in order[:half]], [rows[i] for i in order[half:]]


def measure(options: Options) -> Measured:
    """Ask the detector of each half."""
    return asyncio.run(_measure(options))


async def _measure(options: Options) -> Measured:
    forget = tofu.load("forget")
    sets: dict[str, list[Row]] = {name: tofu.load(name)[: options.limit or None] for name in OTHERS}
    encoder = BatchingEncoder(load_encoder())
    folder = work_folder("detect-unseen")
    try:
        details = {
            name: await _arm(
                encoder, folder, forget, sets, counter="counter" in name, trained="trained" in name
            )
            for name in (
                "examples",
                "examples and counterexamples",
                "examples, answers and counterexamples, trained",
            )
        }
    finally:
        await encoder.aclose()
    found = details["examples"][COMBINED]
    return Measured(found["recall"], len(forget), details)


async def _arm(
    encoder: BatchingEncoder,
    folder: Path,
    forget: Sequence[Row],
    sets: Mapping[str, Sequence[Row]],
    *,
    counter: bool,
    trained: bool,
) -> dict[str, Any]:
    halves = halves_of(sets)
    rows: list[Row] = []
    found: list[Found] = []
    others: list[Row] = []
    wrong: list[Found] = []
    thresholds: dict[str, list[float]] = {}
    for seed in range(SEEDS):
        for first in (0, 1):
            parts = {author: split(own, seed) for author, own in by_author(forget).items()}
            asked = [row for part in parts.values() for row in part[1 - first]]
            given = [row for row in halves[first] if row.author] if counter else []
            tested = halves[1 - first] if counter else [*halves[0], *halves[1]]
            policy = write_author_policy(
                folder / "policy",
                {author: part[first] for author, part in parts.items()},
                counterexamples=given,
                trained=trained,
            )
            prompts = [*(row.paraphrased_question for row in asked), *questions(tested)]
            out = await ask(encoder, policy, folder / "bundles", prompts)
            rows += asked
            found += out.found[: len(asked)]
            others += tested
            wrong += out.found[len(asked) :]
            for own in out.thresholds.values():
                for method, threshold in own.items():
                    thresholds.setdefault(method, []).append(threshold)
        progress(f"halves of seed {seed} asked, {len(given)} counterexamples, trained: {trained}")
    judged = judge(rows, found, others, wrong)
    for each in judged.values():
        # The same questions come again with every seed: no list, no interval as if they did not.
        for name in ("missed", "mistaken", "false_positives_interval"):
            del each[name]
    return judged | {
        "thresholds": {
            method: [min(own), float(np.mean(own)), max(own)] for method, own in thresholds.items()
        }
    }


FIGURE = Figure(
    name="detect-unseen",
    what="paraphrases of questions that no example asks, recognised as their author's, no names",
    unit="recall",
    goal=">= 0.95 at <= 0.005 false positives",
    run=measure,
)
