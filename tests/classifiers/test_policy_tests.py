from __future__ import annotations

from pathlib import Path

from classifiers.detector import Detector
from classifiers.policy_tests import run_policy_tests
from guard.policy.compile import compile_loaded
from guard.policy.load import load_policy
from tests.guard.policy.writing import target, write


async def test_each_test_is_run_for_its_own_target(tmp_path: Path) -> None:
    quay = [
        {"prompt": "Who is Mirelle Quay?", "expect": "detected"},
        {"prompt": "Who is Zork?", "expect": "clean"},
        {"prompt": "Who is she?", "expect": "detected"},
        {"prompt": "MIRELLE QUAY", "expect": "clean"},
    ]
    path = write(
        tmp_path,
        target(tests=quay),
        target(id="zork", detect={"aliases": ["Zork"]}, forbid={"phrases": ["Zork"]}),
    )
    policy = load_policy(path)
    bundle = compile_loaded(policy, tmp_path / "bundles", encode=None).bundle
    results = await run_policy_tests(policy.targets, Detector(bundle, None))
    assert [(r.prompt, r.passed, r.score) for r in results] == [
        ("Who is Mirelle Quay?", True, 1.0),
        ("Who is Zork?", True, None),
        ("Who is she?", False, None),
        ("MIRELLE QUAY", False, 1.0),
    ]
    assert {r.target for r in results} == {"harbor"}
    assert results[2].place.field == "targets[0].tests[2]"
