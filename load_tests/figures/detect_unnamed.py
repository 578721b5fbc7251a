"""``detect-unnamed``: questions that describe a target and do not name it.

Ten authors of TOFU are ten targets, by their questions and answers, trained together; what must be
recognised are the descriptions of them in ``load_tests/unnamed.jsonl``. What must not: descriptions
of twenty other authors in the same file, questions about these, real authors and the world, and the
near misses of ``load_tests/unnamed_near.txt``. The shipped policies, which have names besides, are
asked the descriptions of their own target, with the near misses and everyday prompts against them.
The arm ``chosen on`` has the twenty other authors for targets, ten at a time: with them the method
and its threshold were chosen, so only the others are a test.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from classifiers import BatchingEncoder, load_encoder
from load_tests import tofu
from load_tests.detecting import COMBINED, ask, everyday, methods, touches, train_policy
from load_tests.figure import ROOT, Figure, Measured, Options, progress, work_folder
from load_tests.figures.detect_seen import by_author, questions
from load_tests.intervals import by_group, wilson
from server.evaluation.rows import Row

UNNAMED: Final = ROOT / "load_tests" / "unnamed.jsonl"
NEAR: Final = ROOT / "load_tests" / "unnamed_near.txt"
SEEDS: Final = 3
_HARBOR: Final = "harbor-novels"


@dataclass(frozen=True, slots=True)
class Description:
    """A prompt, and the target that it describes; no target for a near miss."""

    target: str
    prompt: str


def descriptions() -> list[Description]:
    """The descriptions, in their file's order."""
    with UNNAMED.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Description(row["target"], row["prompt"]) for row in rows]


def near_misses() -> list[Description]:
    """Prompts that describe nothing that is a target."""
    lines = NEAR.read_text(encoding="utf-8").splitlines()
    return [Description("", line.strip()) for line in lines if line.strip() and line[0] != "#"]


def measure(options: Options) -> Measured:
    """Ask the detector of each policy, trained and not."""
    return asyncio.run(_measure())


async def _measure() -> Measured:
    forget, retain = by_author(tofu.load("forget")), by_author(tofu.load("retain"))
    world = questions([*tofu.load("real_authors"), *tofu.load("world_facts")])
    near = [each.prompt for each in near_misses()]
    described: dict[str, list[str]] = {}
    for each in descriptions():
        described.setdefault(each.target, []).append(each.prompt)
    encoder = BatchingEncoder(load_encoder())
    folder = work_folder("detect-unnamed")
    try:
        others = {
            "descriptions of other authors": [p for author in retain for p in described[author]],
            "questions about other authors": questions([r for own in retain.values() for r in own]),
            "real authors and the world": world,
            "near misses": near,
        }
        details: dict[str, Any] = {}
        for trained in (False, True):
            arm = "trained" if trained else "not trained"
            path = _policy(folder / arm, forget, trained=trained)
            own = {author: described[author] for author in forget}
            details[f"TOFU, {arm}"] = await _ask(encoder, path, folder / "bundles", own, others)
            progress(f"TOFU, {arm}")
        shutil.copytree(ROOT / "policies", folder / "shipped", dirs_exist_ok=True)
        own = {_HARBOR: described[_HARBOR]}
        general = {
            "near misses": near,
            "everyday": [prompt for kind in everyday().values() for prompt in kind],
        }
        details["shipped policies"] = await _ask(
            encoder, folder / "shipped", folder / "bundles", own, general
        )
        details["chosen on"] = await _chosen_on(encoder, folder, retain, described, world)
    finally:
        await encoder.aclose()
    found = details["TOFU, trained"][COMBINED]
    return Measured(found["recall"], found["n"][0], details)


async def _ask(
    encoder: BatchingEncoder,
    policy: Path,
    bundles: Path,
    own: Mapping[str, Sequence[str]],
    others: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    asked = [(target, prompt) for target, prompts in own.items() for prompt in prompts]
    wrong = [(kind, prompt) for kind, prompts in others.items() for prompt in prompts]
    out = await ask(encoder, policy, bundles, [prompt for _, prompt in [*asked, *wrong]])
    met, taken = out.found[: len(asked)], out.found[len(asked) :]
    judged: dict[str, Any] = {"thresholds": out.thresholds}
    for method in methods(out.found):
        hits: dict[str, list[bool]] = {}
        for (target, _), found in zip(asked, met, strict=True):
            hits.setdefault(target, []).append(touches(found, method, target))
        mistaken = [
            (kind, prompt)
            for (kind, prompt), found in zip(wrong, taken, strict=True)
            if touches(found, method)
        ]
        judged[method] = {
            "recall": sum(map(sum, hits.values())) / len(asked),
            "recall_interval": by_group(hits),
            "false_positives": len(mistaken) / len(wrong),
            "false_positives_interval": wilson(len(mistaken), len(wrong)),
            "false_positives_by_kind": {
                kind: sum(each == kind for each, _ in mistaken) / len(prompts)
                for kind, prompts in others.items()
            },
            "n": [len(asked), len(wrong)],
            "mistaken": [prompt for _, prompt in mistaken],
            "missed": [
                prompt
                for (target, prompt), found in zip(asked, met, strict=True)
                if not touches(found, method, target)
            ],
        }
    return judged


def _policy(folder: Path, authors: Mapping[str, Sequence[Row]], *, trained: bool) -> Path:
    """A policy with a target for each author, by questions and answers."""
    shutil.rmtree(folder, ignore_errors=True)
    path = tofu.write_policy(folder, [row for own in authors.values() for row in own])
    # Targets are called as their authors, as the descriptions call them.
    path.write_text(path.read_text().replace("id: author-", "id: "))
    if trained:
        train_policy(path)
    return path


async def _chosen_on(
    encoder: BatchingEncoder,
    folder: Path,
    retain: Mapping[str, Sequence[Row]],
    described: Mapping[str, Sequence[str]],
    world: Sequence[str],
) -> dict[str, Any]:
    recall, wrong = [], []
    for seed in range(SEEDS):
        order = np.random.default_rng(seed).permutation(list(retain))
        for own, other in (np.split(order, 2), np.split(order, 2)[::-1]):
            path = _policy(folder / "chosen", {a: retain[a] for a in own}, trained=True)
            others = {
                "descriptions of other authors": [p for a in other for p in described[a]],
                "questions about other authors": questions([r for a in other for r in retain[a]]),
                "real authors and the world": world,
            }
            asked = {a: described[a] for a in own}
            found = await _ask(encoder, path, folder / "bundles", asked, others)
            recall.append(found[COMBINED]["recall"])
            wrong.append(found[COMBINED]["false_positives"])
        progress(f"chosen on, seed {seed}")
    return {"recall": float(np.mean(recall)), "false_positives": float(np.mean(wrong))}


FIGURE = Figure(
    name="detect-unnamed",
    what="questions that describe a target without naming it, recognised, after training",
    unit="recall",
    goal=">= 0.9 at <= 0.005 false positives",
    run=measure,
)
