"""Only verified vLLM versions are accepted, and the refusal says what to do."""

import pytest

from guard.engine.versions import SUPPORTED_VLLM, check_vllm_version
from guard.errors import EngineUnsupportedError


@pytest.mark.parametrize("minor", SUPPORTED_VLLM)
@pytest.mark.parametrize("rest", ["", ".0", ".1+cpu", ".2.post1", "rc1", ".0.dev3+gabc"])
def test_builds_of_a_verified_version_are_accepted(minor: str, rest: str) -> None:
    check_vllm_version(minor + rest)


@pytest.mark.parametrize("version", ["0.31.0", "0.33.0", "0.320.0", "1.0.32", "dev", "", "0.3"])
def test_other_versions_are_refused_with_the_fix(version: str) -> None:
    with pytest.raises(EngineUnsupportedError, match=r"is not supported.*install vllm"):
        check_vllm_version(version)
