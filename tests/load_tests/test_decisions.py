"""The figures read the log that the proxy writes."""

from __future__ import annotations

from pathlib import Path

from load_tests.decisions import Decided, read_decisions
from server.decisions import Decision, DecisionLog


def test_decisions_are_found_by_their_ids(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    log = DecisionLog(str(path), on_lost=lambda _: None)
    passed = Decision("chat")
    held = Decision("chat", outcome="constrained", active=("harbor-novels",), standing=2)
    for decision in (passed, held):
        log.write(decision.record())
    log.close()
    assert read_decisions(path) == {
        passed.id: Decided("passed", (), 0),
        held.id: Decided("constrained", ("harbor-novels",), 2),
    }
