"""``detect-general``: everyday prompts and near misses that are taken for a target.

The shipped policies, and one with TOFU's ten authors by questions and names, each look at every
prompt of ``load_tests/everyday.txt``. One counts where any target of the policy is found in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from classifiers import BatchingEncoder, load_encoder
from load_tests import tofu
from load_tests.detecting import (
    COMBINED,
    Found,
    ask,
    everyday,
    methods,
    touches,
    write_author_policy,
)
from load_tests.figure import ROOT, Figure, Measured, Options, progress, work_folder
from load_tests.figures.detect_seen import by_author
from load_tests.intervals import wilson


def count(kinds: Sequence[str], prompts: Sequence[str], found: Sequence[Found]) -> dict[str, Any]:
    """False positives of each method alone and of all together, and which prompts they are."""
    judged: dict[str, Any] = {}
    for method in methods(found):
        places = [place for place, own in enumerate(found) if touches(own, method)]
        judged[method] = {
            "false_positives": len(places) / len(prompts),
            "interval": wilson(len(places), len(prompts)),
            "failed": [
                {
                    "kind": kinds[place],
                    "prompt": prompts[place],
                    "taken_for": {d.target: round(d.score, 3) for d in found[place]},
                }
                for place in places
            ],
        }
    return judged


def measure(options: Options) -> Measured:
    """Ask the detector of each policy."""
    return asyncio.run(_measure(options))


async def _measure(options: Options) -> Measured:
    texts = everyday()
    kinds = [kind for kind, own in texts.items() for _ in own[: options.limit or None]]
    prompts = [prompt for own in texts.values() for prompt in own[: options.limit or None]]
    folder = work_folder("detect-general")
    authors = by_author(tofu.load("forget"))
    policies: dict[str, Path] = {
        "shipped policies": ROOT / "policies",
        "TOFU": write_author_policy(folder / "authors", authors, named=True),
    }
    encoder = BatchingEncoder(load_encoder())
    details: dict[str, Any] = {"kinds": {kind: kinds.count(kind) for kind in texts}}
    try:
        for name, policy in policies.items():
            progress(f"asking {len(prompts)} prompts: {name}")
            out = await ask(encoder, policy, folder / "bundles", prompts)
            details[name] = count(kinds, prompts, out.found) | {"thresholds": out.thresholds}
    finally:
        await encoder.aclose()
    worst = max(details[name][COMBINED]["false_positives"] for name in policies)
    return Measured(worst, len(prompts), details)


FIGURE = Figure(
    name="detect-general",
    what="everyday prompts and near misses taken for a target, the worse of two policies",
    unit="share",
    goal="<= 0.005",
    run=measure,
)
