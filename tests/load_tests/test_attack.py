from __future__ import annotations

from pathlib import Path

import pytest

from guard.policy import load_policy
from load_tests import tofu
from load_tests.figures.attack import write_policy

pytestmark = pytest.mark.skipif(not tofu.DATA.exists(), reason="needs the TOFU data")


def test_the_second_policy_forbids_key_facts_in_every_answer(tmp_path: Path) -> None:
    plain = load_policy(write_policy(tmp_path / "plain", always=False)).targets
    always = load_policy(write_policy(tmp_path / "always", always=True)).targets
    assert [target.spec.id for target in always[: len(plain)]] == [t.spec.id for t in plain]
    more = always[len(plain) :]
    assert len(more) == len(plain)
    for target in more:
        assert target.spec.forbid.always
        assert target.extracted.facts
        assert target.spec.detect.aliases
    assert not any(target.spec.forbid.always for target in plain)
