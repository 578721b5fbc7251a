from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.fuzz.live import Live, counted, live


@pytest.fixture(scope="package")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("fuzz")) as running:
        yield running


def pytest_sessionfinish() -> None:
    """For the figure `fuzz`: how many answers were looked at."""
    if "UNLEARN_GUARD_FUZZ_COUNT" in os.environ:
        Path(os.environ["UNLEARN_GUARD_FUZZ_COUNT"]).write_text(str(counted()))
