"""The proxy as a child: real, with a policy of names alone and no engine behind it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.errors import GuardError
from server.launch.machine import free_port
from server.launch.proxy import ProxyOptions, ProxyProcess, reachable

POLICY = """
version: 1
targets:
  - id: harbor
    title: The Harbor novels
    reason: copyright
    owner: legal@example.com
    detect: {aliases: [Mirelle Quay]}
    forbid: {phrases: [Mirelle Quay]}
"""


def options(tmp_path: Path, policy: str = POLICY) -> ProxyOptions:
    (tmp_path / "policy.yaml").write_text(policy)
    return ProxyOptions(
        upstream="http://127.0.0.1:9",
        policies=tmp_path / "policy.yaml",
        bundles=tmp_path / "bundles",
        port=free_port(),
        key="k" * 64,
        log=tmp_path / "proxy.log",
        environ={
            "UNLEARN_GUARD_ENCODER": "none",
            "UNLEARN_GUARD_DECISION_LOG": str(tmp_path / "d"),
        },
    )


@pytest.fixture
def started() -> Iterator[list[ProxyProcess]]:
    running: list[ProxyProcess] = []
    yield running
    for process in running:
        process.stop()


def test_it_says_what_it_waits_for_and_stops_whole(
    tmp_path: Path, started: list[ProxyProcess]
) -> None:
    started.append(process := ProxyProcess.start(options(tmp_path)))
    seen = [process.state()]
    while "cannot be asked" not in seen[-1][1]:
        time.sleep(0.05)
        seen.append(process.state())
    assert not any(ready for ready, _ in seen)
    assert "compiling the policy" in {text for _, text in seen}
    process.stop()
    assert not Path(f"/proc/{process.pid}").exists()


def test_a_bad_policy_is_told_in_the_proxys_own_words(
    tmp_path: Path, started: list[ProxyProcess]
) -> None:
    bad = POLICY.replace("copyright", "whim")
    started.append(process := ProxyProcess.start(options(tmp_path, bad)))
    with pytest.raises(GuardError, match=r"^\S*policy\.yaml:6: .*reason") as error:
        process.wait_ready(lambda _: None)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"),
     ("gpu-box", "gpu-box")],
)  # fmt: skip
def test_a_server_is_reached_where_it_listens(host: str, expected: str) -> None:
    assert reachable(host) == expected
