"""Asks the detector that serves, with thresholds as the policy compiler calibrates them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from classifiers import BatchingEncoder, Detector, Encoder, PlacedText, load_encoder
from guard.bundle import Method
from guard.decision import Detection
from guard.policy.compile import compile_loaded
from guard.policy.load import load_policy
from guard.policy.named import names_in
from guard.policy.train import train
from guard.policy.trained import trained_path, write_trained
from load_tests.figure import ROOT
from server.evaluation.rows import Row
from server.policies import encode_from_thread

# All evidence together; by itself each kind of evidence is a method (`alias`, `neighbour`, ...).
COMBINED: Final = "combined"
EVERYDAY: Final = ROOT / "load_tests" / "everyday.txt"

Found = tuple[Detection, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a policy's detector found.

    Attributes:
        thresholds: by target id, and by method.
        found: of each prompt, in the order in which they were given.
    """

    thresholds: dict[str, dict[Method, float]]
    found: list[Found]


async def ask(
    encoder: BatchingEncoder, policy: Path, bundles: Path, prompts: Sequence[str]
) -> Asked:
    """Compile a policy and detect its targets in each prompt, as the proxy does both."""
    compiled = await asyncio.to_thread(
        compile_loaded,
        load_policy(policy),
        bundles,
        encode=encode_from_thread(encoder, asyncio.get_running_loop()),
        encoder=encoder.digest,
    )
    detector = Detector(compiled.bundle, encoder)
    found = await detector.detect([PlacedText("prompt", prompt) for prompt in prompts])
    return Asked(
        {
            made.id: {method: each.threshold for method, each in made.compared.items()}
            for made in compiled.targets
        },
        found,
    )


def methods(found: Iterable[Found]) -> list[str]:
    """The kinds of evidence that occur, and ``COMBINED``."""
    kinds = {item.kind for own in found for each in own for item in each.evidence}
    return [*sorted(kinds), COMBINED]


def touches(found: Found, method: str, target: str | None = None) -> bool:
    """Whether a method alone finds the target, or any target."""
    return any(
        method == COMBINED or any(item.kind == method for item in each.evidence)
        for each in found
        if target is None or each.target == target
    )


def write_author_policy(
    folder: Path,
    examples: Mapping[str, Sequence[Row]],
    *,
    named: bool = False,
    counterexamples: Sequence[Row] = (),
    trained: bool = False,
) -> Path:
    """Write a policy with a target for each author, by questions, and by name if ``named``.

    Args:
        trained: give it the answers, too, and train it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    targets = []
    for author, rows in examples.items():
        questions = [row.question for row in rows]
        detect: dict[str, Any] = {"examples": questions}
        if named:
            detect["aliases"] = [name_of(questions)]
        if counterexamples:
            detect["counterexamples"] = [row.question for row in counterexamples]
        target: dict[str, Any] = {
            "id": author, "title": f"TOFU author {author}", "reason": "privacy",
            "owner": "load-tests", "detect": detect, "respond": "refuse",
        }  # fmt: skip
        if trained:
            answers = [{"question": row.question, "answer": row.answer} for row in rows]
            (folder / f"{author}.jsonl").write_text("\n".join(map(json.dumps, answers)))
            target["forbid"] = {"extract": {"from": f"{author}.jsonl", "kind": "key_facts"}}
        targets.append(target)
    path = folder / "authors.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "targets": targets}, sort_keys=False))
    trained_path(path).unlink(missing_ok=True)
    if trained:
        train_policy(path)
    return path


def train_policy(path: Path) -> None:
    """Train a policy, as `unlearn-guard train` does by itself."""
    encoder = _encoder()
    learnt = train(load_policy(path), encode=encoder.encode, encoder=encoder.digest)
    write_trained(learnt.trained, trained_path(path))


@cache
def _encoder() -> Encoder:
    return load_encoder()


def name_of(questions: Sequence[str]) -> str:
    """The person whom most of the questions name, as the policy compiler finds names."""
    people = [name.text for name in names_in((), questions) if name.kind == "person"]
    counted = Counter({name: sum(name in question for question in questions) for name in people})
    return counted.most_common(1)[0][0]


def everyday() -> dict[str, list[str]]:
    """The prompts of ``everyday.txt``, by kind."""
    found: dict[str, list[str]] = {}
    kind = ""
    for line in EVERYDAY.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            kind = line[2:]
        elif line.strip():
            found.setdefault(kind, []).append(line.strip())
    return found
