"""The threat model claims nothing that no test holds it to."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "THREAT_MODEL.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
CLAIM = re.compile(r"^\| (?P<claim>.+?) \| (?P<tests>[^|]*) \|$", re.MULTILINE)


@cache
def functions_of(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(PAGE.read_text("utf-8")))))
def test_every_test_that_is_named_exists(file: str, name: str) -> None:
    assert name.startswith("test_")
    assert name in functions_of(file)


def test_every_claim_of_what_holds_names_a_test() -> None:
    holds = PAGE.read_text("utf-8").partition("## What holds")[2].partition("## What does not")[0]
    claims = [c for c in CLAIM.finditer(holds) if c["claim"] not in ("claim", "---")]
    claims = [c for c in claims if not set(c["claim"]) <= set("-|")]
    assert len(claims) > 30
    assert [c["claim"] for c in claims if not NAMED.search(c["tests"])] == []
