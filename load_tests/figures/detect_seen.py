"""``detect-seen``: questions about a target in other words than its examples.

Ten authors are ten targets, their questions the examples, and the same questions paraphrased must
be recognised. Questions about other authors, real ones, and the world must not. Thresholds are
calibrated as for any policy; in ``counterexamples`` half of the other authors' questions go into
the policy and the other half, with half of the rest, is asked, then the reverse; in ``trained`` the
policy is trained, with answers to the examples.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from classifiers import BatchingEncoder, load_encoder
from load_tests import tofu
from load_tests.detecting import COMBINED, Asked, Found, ask, methods, touches, write_author_policy
from load_tests.figure import Figure, Measured, Options, progress, work_folder
from load_tests.intervals import by_group, wilson
from load_tests.tofu import Set
from server.evaluation.rows import Row

OTHERS: tuple[Set, ...] = ("retain", "real_authors", "world_facts")


def by_author(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by author, in their order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.author, []).append(row)
    return found


def halves_of(sets: Mapping[str, Sequence[Row]]) -> tuple[list[Row], list[Row]]:
    """All sets in two halves; no author of ``retain`` is in both."""
    halves: tuple[list[Row], list[Row]] = ([], [])
    for rows in sets.values():
        groups = list(by_author(rows).values())
        parts = groups if len(groups) > 1 else [[row] for row in rows]
        for place, part in enumerate(parts):
            halves[place % 2].extend(part)
    return halves


def judge(
    rows: Sequence[Row], found: Sequence[Found], others: Sequence[Row], wrong: Sequence[Found]
) -> dict[str, Any]:
    """Recall and false positives of each method alone and of all together.

    Args:
        rows, found: questions that must be recognised as their own author's.
        others, wrong: questions that must not be recognised as anyone's.
    """
    judged: dict[str, Any] = {}
    for method in methods([*found, *wrong]):
        hits: dict[str, list[bool]] = {}
        for row, own in zip(rows, found, strict=True):
            hits.setdefault(row.author, []).append(touches(own, method, row.author))
        met = sum(map(sum, hits.values()))
        taken = [row for row, own in zip(others, wrong, strict=True) if touches(own, method)]
        targets = sum(touches(own, method, author) for own in wrong for author in hits)
        judged[method] = {
            "recall": met / len(rows),
            "recall_interval": by_group(hits),
            "false_positives": len(taken) / len(others),
            "false_positives_interval": wilson(len(taken), len(others)),
            "false_positives_of_one_target": targets / (len(others) * len(hits)),
            "n": [len(rows), len(others)],
            "mistaken": sorted(row.question for row in taken),
            "missed": sorted(
                row.paraphrased_question
                for row, own in zip(rows, found, strict=True)
                if not touches(own, method, row.author)
            ),
        }
    return judged


def measure(options: Options) -> Measured:
    """Ask the detector of each policy."""
    return asyncio.run(_measure(options))


async def _measure(options: Options) -> Measured:
    forget = tofu.load("forget")
    sets: dict[str, list[Row]] = {name: tofu.load(name)[: options.limit or None] for name in OTHERS}
    encoder = BatchingEncoder(load_encoder())
    folder = work_folder("detect-seen")
    try:
        details = await _details(encoder, folder, forget, sets)
    finally:
        await encoder.aclose()
    recall = details["examples"][COMBINED]["recall"]
    return Measured(recall, len(forget), details)


async def _details(
    encoder: BatchingEncoder, folder: Path, forget: Sequence[Row], sets: Mapping[str, Sequence[Row]]
) -> dict[str, Any]:
    authors = by_author(forget)
    others = [row for rows in sets.values() for row in rows]
    asked = [row.paraphrased_question for row in forget]
    details: dict[str, Any] = {}
    for name in ("examples", "examples and names", "examples and answers, trained"):
        policy = write_author_policy(
            folder / name, authors, named="names" in name, trained="trained" in name
        )
        progress(f"asking {len(asked) + len(others)} questions: {name}")
        out = await ask(encoder, policy, folder / "bundles", [*asked, *questions(others)])
        found, wrong = out.found[: len(asked)], out.found[len(asked) :]
        details[name] = judge(forget, found, others, wrong) | {"thresholds": out.thresholds}
    for name in ("examples and counterexamples", "examples, names and counterexamples"):
        details[name] = await _crossed(encoder, folder, forget, sets, named="names" in name)
    return details


async def _crossed(
    encoder: BatchingEncoder,
    folder: Path,
    forget: Sequence[Row],
    sets: Mapping[str, Sequence[Row]],
    *,
    named: bool,
) -> dict[str, Any]:
    """With counterexamples: one half of what must not be recognised is given, the other asked."""
    authors = by_author(forget)
    asked = [row.paraphrased_question for row in forget]
    first, second = halves_of(sets)
    outs: list[tuple[Asked, list[Row]]] = []
    for given, tested in ((first, second), (second, first)):
        counter = [row for row in given if row.author]
        policy = write_author_policy(
            folder / "counter", authors, named=named, counterexamples=counter
        )
        progress(f"asking {len(asked) + len(tested)} questions: {len(counter)} counterexamples")
        out = await ask(encoder, policy, folder / "bundles", [*asked, *questions(tested)])
        outs.append((out, tested))
    judged = judge(
        [*forget, *forget],
        [own for out, _ in outs for own in out.found[: len(asked)]],
        [row for _, tested in outs for row in tested],
        [own for out, _ in outs for own in out.found[len(asked) :]],
    )
    return judged | {"thresholds": [out.thresholds for out, _ in outs]}


def questions(rows: Sequence[Row]) -> list[str]:
    """Their questions."""
    return [row.question for row in rows]


FIGURE = Figure(
    name="detect-seen",
    what="paraphrased questions recognised as their author's, by examples alone, train-free",
    unit="recall",
    goal=">= 0.995 at <= 0.005 false positives",
    run=measure,
)
