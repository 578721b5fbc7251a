"""Detection on TOFU: ten authors as targets, each known by its questions alone, without a name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from classifiers.base import PlacedText
from classifiers.batching import BatchingEncoder
from classifiers.detector import Detector
from classifiers.encoder import SentenceEncoder
from guard.policy.compile import compile_policy
from tests.guard.policy.writing import target, write_rows

TOFU = Path(__file__).parents[3] / "shared" / "data" / "tofu"

pytestmark = pytest.mark.skipif(
    not TOFU.is_dir(), reason="the TOFU data is not beside the repository"
)


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (TOFU / f"{name}.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def detector(encoder: SentenceEncoder, tmp_path_factory: pytest.TempPathFactory) -> Detector:
    folder = tmp_path_factory.mktemp("tofu")
    forget = rows("forget")
    targets = []
    for author in sorted({row["author"] for row in forget}):
        name = f"{author}.jsonl"
        write_rows(folder / name, [row for row in forget if row["author"] == author])
        extract = {"from": name, "kind": "key_facts"}
        targets.append(target(id=author, detect={"examples": name}, forbid={"extract": extract}))
    (folder / "p.yaml").write_text(yaml.safe_dump({"version": 1, "targets": targets}))
    bundle = compile_policy(
        folder / "p.yaml", folder / "bundles", encode=encoder.encode, encoder=encoder.digest
    )
    return Detector(bundle, BatchingEncoder(encoder))


async def test_paraphrased_questions_are_recognised_as_their_author(detector: Detector) -> None:
    forget = rows("forget")
    found = await detector.detect([PlacedText("p", row["paraphrased_question"]) for row in forget])
    right = [
        any(item.target == row["author"] for item in own)
        for row, own in zip(forget, found, strict=True)
    ]
    assert sum(right) / len(right) >= 0.95


@pytest.mark.parametrize("name", ["retain", "real_authors", "world_facts"])
async def test_questions_about_others_are_clean(detector: Detector, name: str) -> None:
    found = await detector.detect([PlacedText("p", row["question"]) for row in rows(name)])
    assert sum(bool(own) for own in found) / len(found) <= 0.02
