from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from server.active import ActivePolicy
from server.answer_scan import ChoiceScan
from server.decisions import DecisionLog
from server.errors import SettingsError
from server.metrics import Metrics
from tests.server.harness import POLICY, FakeEngine, events, proxied, until

OPEN = POLICY.replace("version: 1", "version: 1\ndefaults: {on_error: open}")


@pytest.mark.parametrize(
    ("canary", "says"),
    [
        ("ignored", "not loaded"),
        ("leaks", "does not enforce"),
        ("refuses", "did not answer the canary"),
    ],
)
async def test_nothing_is_forwarded_while_the_canary_fails(
    tmp_path: Path, canary: str, says: str
) -> None:
    engine = FakeEngine(canary=canary)
    async with proxied(tmp_path, engine=engine, wait=False) as proxy:
        await until(lambda: bool(engine.probes))
        for stream in (False, True):
            answer = await proxy.chat("Tides?", stream=stream)
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "guard_unavailable"
        assert engine.requests == []
        unready = await proxy.ready(want=503)
        while says not in (unready.json()["reason"] or ""):
            unready = await proxy.ready(want=503)
        assert "0123456789ab" not in unready.text
        assert await proxy.metric("unlearn_guard_engine_healthy") == 0
        engine.canary = "healthy"
        await proxy.ready()
        assert (await proxy.chat("Tides?")).status_code == 200
        engine.canary = canary
        await proxy.ready(want=503)
        assert (await proxy.chat("Tides?")).status_code == 503


async def test_an_engine_of_another_version_is_refused(tmp_path: Path) -> None:
    engine = FakeEngine(version="0.11.2")
    async with proxied(tmp_path, engine=engine, wait=False) as proxy:
        unready = await proxy.ready(want=503)
        while "0.11.2" not in (unready.json()["reason"] or ""):
            unready = await proxy.ready(want=503)
        assert engine.probes == []
        assert (await proxy.chat()).status_code == 503


async def test_a_probe_is_made_with_the_bundle_in_force(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        digest = (await proxy.ready()).json()["policy"]["bundle"]
        assert set(proxy.engine.probes) == {digest}


def _broken(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("Saltgate: internals")


async def test_failed_detection_refuses_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxied(tmp_path) as proxy:
        monkeypatch.setattr("server.steps.find_targets", _broken)
        for stream in (False, True):
            answer = await proxy.chat("Tides?", stream=stream)
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "guard_unavailable"
            assert "Saltgate" not in answer.text
        assert proxy.engine.requests == []
        (line, _) = await proxy.decisions(2)
        assert line["outcome"] == "failed"


@pytest.mark.parametrize("step", ["judge", "filter_context", "sign_plan", "forbid_forcing"])
async def test_any_other_step_that_fails_refuses_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    async with proxied(tmp_path, policy=OPEN) as proxy:
        monkeypatch.setattr(f"server.request_path.{step}", _broken)
        answer = await proxy.chat("Tides?")
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "guard_unavailable"
        assert "Saltgate" not in answer.text
        assert proxy.engine.requests == []


async def test_a_scan_that_fails_lets_nothing_more_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxied(tmp_path, policy=OPEN) as proxy:
        monkeypatch.setattr(ChoiceScan, "feed", _broken)
        whole = await proxy.chat("Harbor novels?")
        assert whole.status_code == 503
        assert "Hello" not in whole.text
        stream = await proxy.chat("Harbor novels?", stream=True)
        assert events(stream)[-1]["error"]["code"] == "guard_unavailable"
        assert "Hello" not in stream.text
        assert "Saltgate" not in stream.text


async def test_on_error_open_lets_a_request_through_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxied(tmp_path, policy=OPEN) as proxy:
        monkeypatch.setattr("server.steps.find_targets", _broken)
        assert (await proxy.chat("Tides?")).status_code == 200
        (line,) = await proxy.decisions()
        assert line["failed_open"] is True
        assert await proxy.metric("unlearn_guard_failed_open_total") == 1


async def test_on_error_open_needs_no_healthy_engine(tmp_path: Path) -> None:
    engine = FakeEngine(canary="ignored")
    async with proxied(tmp_path, engine=engine, policy=OPEN, wait=False) as proxy:
        await until(lambda: bool(engine.probes))
        assert (await proxy.chat("Tides?")).status_code == 200
        (line,) = await proxy.decisions()
        assert line["failed_open"] is True


async def test_a_scanner_that_cannot_be_built_refuses_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxied(tmp_path) as proxy:
        monkeypatch.setattr(ActivePolicy, "active_set", _broken)
        assert (await proxy.chat("Harbor novels?")).status_code == 503


def test_lines_that_cannot_be_written_are_counted(tmp_path: Path) -> None:
    metrics = Metrics()
    log = DecisionLog(str(tmp_path / "log"), on_lost=metrics.lost_decisions.inc)
    log.write({"id": "1"})
    log.write({"id": object()})
    log.write({"id": "2"})
    log.close()
    assert "unlearn_guard_lost_decisions_total 1.0" in metrics.exposition().decode()
    assert (tmp_path / "log").read_text() == '{"id":"1"}\n{"id":"2"}\n'


def test_a_log_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = DecisionLog(str(path), on_lost=lambda count: None)
    log.write({"id": "1"})
    while not path.read_text():
        pass
    path.rename(tmp_path / "log.1")
    log.write({"id": "2"})
    log.close()
    assert path.read_text() == '{"id":"2"}\n'


def test_a_log_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="UNLEARN_GUARD_DECISION_LOG"):
        DecisionLog(str(tmp_path / "file" / "log"), on_lost=lambda count: None)
