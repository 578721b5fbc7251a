"""A live proxy in a thread of its own, before an engine that says what is forbidden.

Every target is always in force, so that no answer to anything may hold a forbidden phrase.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
from hypothesis import HealthCheck, settings

from guard.normalise import normalise
from tests.server.harness import FakeEngine, Proxy, proxied

ADMIN: Final = "admin-key-of-the-fuzz"
PHRASES: Final = ("Mirelle Quay", "Saltgate", "Operation Nightjar")
SAYS: Final = ["Well: Mir", "elle Qu", "ay, of Salt", "gate, runs Operation", " Nightjar."]
POLICY: Final = """
version: 1
targets:
  - id: harbor
    title: The Harbor novels
    reason: copyright
    owner: legal@example.com
    detect: {aliases: [Harbor novels]}
    forbid: {phrases: [Mirelle Quay, Saltgate, Operation Nightjar], always: true}
"""
# How many answers were looked at, for the figure `fuzz`.
_COUNTED: Final = [0]
_CASES: Final = int(os.environ.get("UNLEARN_GUARD_FUZZ_CASES", "300"))


def fuzzed(share: float) -> settings:
    """So many of all the cases of a run: always the same few, and others each night."""
    nightly = "UNLEARN_GUARD_FUZZ_CASES" in os.environ
    return settings(
        max_examples=max(1, round(_CASES * share)),
        database=None,
        deadline=None,
        derandomize=not nightly,
        suppress_health_check=list(HealthCheck),
    )


def counted() -> int:
    """How many answers were looked at so far."""
    return _COUNTED[0]


def says(text: str) -> list[str]:
    """The forbidden phrases that a text holds, however it is written."""
    letters = normalise(text)
    return [phrase for phrase in PHRASES if normalise(phrase) in letters]


class _Faults(logging.Handler):
    """Keeps what the proxy logs as faults of its own."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info or record.levelno >= logging.ERROR:
            self.records.append(record)


class Live:
    """The proxy as a thread that is not its own sees it."""

    def __init__(self, proxy: Proxy, faults: _Faults) -> None:
        self.url = proxy.url
        self.engine = proxy.engine
        # The server closes a connection that was idle for five seconds.
        limits = httpx.Limits(keepalive_expiry=2)
        self.client = httpx.Client(base_url=proxy.url, timeout=60, trust_env=False, limits=limits)
        self._faults = faults

    def check(self, response: httpx.Response, *, allow: tuple[int, ...] = ()) -> None:
        """Nothing of it is a fault of the proxy's, and it holds nothing forbidden."""
        text = response.text
        _COUNTED[0] += 1
        assert not self.faults(), self.faults()
        assert response.status_code < 500 or response.status_code in allow, text
        assert "Traceback" not in text
        assert says(text) == []
        assert says(joined(text)) == []

    def faults(self) -> list[str]:
        """What was logged as a fault since this was last asked."""
        seen, self._faults.records = self._faults.records, []
        format_ = logging.Formatter().format
        return [format_(record) for record in seen]


def joined(text: str) -> str:
    """All that a stream says, without what stands between its pieces."""
    out: dict[str, str] = {}
    for line in text.split("\n"):
        if line.startswith("data: {"):
            event = json.loads(line[6:])
            if event.get("type", "").endswith(".delta"):
                place = f"{event['item_id']}/{event.get('content_index')}"
                out[place] = out.get(place, "") + event["delta"]
            for choice in event.get("choices") or ():
                for name, piece in _texts(choice):
                    place = f"{choice['index']}/{name}"
                    out[place] = out.get(place, "") + piece
    return "\n".join(out.values())


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, member in value.items():
            yield from _texts(member, f"{name}/{key}")
    elif isinstance(value, list):
        for number, member in enumerate(value):
            yield from _texts(member, f"{name}/{number}")


@contextlib.contextmanager
def live(folder: Path, *, engine: FakeEngine | None = None, **settings: Any) -> Iterator[Live]:
    """The proxy, until the block ends."""
    # What earlier tests left unfinished is reported as it is collected, and is no fault of this.
    gc.collect()
    loop = asyncio.new_event_loop()
    started = threading.Event()
    ended = asyncio.Event()
    found: list[Live] = []
    faults = _Faults()
    log = logging.getLogger()
    log.addHandler(faults)

    async def serve() -> None:
        made = engine or FakeEngine(pieces=list(SAYS))
        async with proxied(folder, engine=made, policy=POLICY, admin_key=ADMIN, **settings) as p:
            found.append(Live(p, faults))
            started.set()
            await ended.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            started.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    started.wait()
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        log.removeHandler(faults)
        loop.close()
