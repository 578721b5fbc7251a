"""Policies for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from guard.errors import PolicyError
from guard.policy.load import load_policy
from guard.policy.problems import InvalidPolicyError


def target(**fields: Any) -> dict[str, Any]:
    return {
        "id": "harbor",
        "title": "The Harbor novels",
        "reason": "copyright",
        "owner": "legal@example.com",
        "detect": {"aliases": ["Mirelle Quay"]},
        "forbid": {"phrases": ["Mirelle Quay"]},
        **fields,
    }


def write(folder: Path, *targets: Mapping[str, Any], name: str = "policy.yaml", **top: Any) -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump({"version": 1, "targets": list(targets), **top}))
    return path


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def problems(path: Path) -> list[PolicyError]:
    """What is wrong with the policy; fails if nothing is."""
    try:
        load_policy(path)
    except InvalidPolicyError as error:
        return list(error.errors)
    raise AssertionError("the policy was accepted")


def only(path: Path) -> PolicyError:
    found = problems(path)
    assert len(found) == 1, [str(error) for error in found]
    assert found[0].fix
    return found[0]


def verbatim(corpus: Any = "book/*.txt", words: Any = 8) -> dict[str, Any]:
    return {"corpus": corpus, "words": words}
