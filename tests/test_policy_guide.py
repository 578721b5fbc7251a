"""The guide for policy owners: its policies are valid as they stand, and no field is left out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from classifiers.batching import BatchingEncoder
from classifiers.detector import Detector
from classifiers.encoder import SentenceEncoder
from classifiers.policy_tests import run_policy_tests
from guard.policy.compile import compile_loaded
from guard.policy.load import load_policy
from guard.policy.schema import json_schema
from server.kept_encodings import kept_encodings
from tests.guard.policy.writing import write_rows

GUIDE = Path("docs/POLICIES.md").read_text("utf-8")
POLICIES = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
QUESTIONS = "How is {} made at home?\nWhat does {} end with?\nWho is behind {}?\n"


def data_beside(folder: Path) -> None:
    """The files that the guide's policies name."""
    (folder / "data" / "book").mkdir(parents=True)
    (folder / "data" / "book" / "one.txt").write_text(
        "At noon the salt began to run backwards, and nobody in Castle Umber dared to breathe."
    )
    for name in ("questions", "hazard_questions"):
        (folder / "data" / f"{name}.txt").write_text(QUESTIONS.format(*["the thing"] * 3))
    for name in ("near", "chemistry_class"):
        (folder / "data" / f"{name}.txt").write_text("What is salt?\nHow do acids work?\n")
    rows = [{"question": "What comes first?", "answer": "Precipitate the velmarite at 40 degrees."}]
    write_rows(folder / "data" / "hazard_answers.jsonl", rows)


@pytest.fixture(scope="module")
def encodings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what all policies are compared with is kept once it was encoded."""
    return tmp_path_factory.mktemp("encodings") / "kept"


@pytest.mark.parametrize("text", POLICIES)
async def test_a_policy_of_the_guide_is_valid_and_passes_its_tests(
    tmp_path: Path, text: str, encoder: SentenceEncoder, encodings: Path
) -> None:
    data_beside(tmp_path)
    (tmp_path / "policy.yaml").write_text(text, encoding="utf-8")
    policy = load_policy(tmp_path)
    assert [str(warning) for warning in policy.warnings] == []
    with kept_encodings(encodings, encoder) as encode:
        made = compile_loaded(policy, tmp_path / "bundles", encode=encode, encoder=encoder.digest)
    batching = BatchingEncoder(encoder)
    results = await run_policy_tests(policy.targets, Detector(made.bundle, batching))
    await batching.aclose()
    assert len(results) >= 2
    assert all(result.passed for result in results), results


def test_there_is_a_policy_for_each_of_four_reasons() -> None:
    reasons = [yaml.safe_load(text)["targets"][0]["reason"] for text in POLICIES]
    assert reasons == ["privacy", "copyright", "secret", "safety"]


def test_each_field_of_a_policy_is_explained() -> None:
    explained = set(re.findall(r"`(\w+)`", GUIDE[GUIDE.index("## Every field") :]))
    explained |= {"text", "strength"} if "{text: …, strength: soft}" in GUIDE else set()
    assert explained >= fields(json_schema())


def fields(schema: Any) -> set[str]:
    """Names of all properties in a JSON Schema."""
    if isinstance(schema, list):
        return {name for each in schema for name in fields(each)}
    if not isinstance(schema, dict):
        return set()
    own = set(schema["properties"]) if isinstance(schema.get("properties"), dict) else set()
    return own | {name for each in schema.values() for name in fields(each)}
