"""Policy edits, put into force without a restart.

An edit is compiled beside the running policy, proved on the engine by the canary, and only then
takes the old one's place, in one assignment. Whatever goes wrong on the way, the old policy stays
in force and ``state`` says why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from watchfiles import awatch

from classifiers.batching import BatchingEncoder
from guard.bundle import Bundle
from guard.errors import GuardError
from server.active import ActivePolicy, PolicyHolder
from server.metrics import Metrics

_log = logging.getLogger("unlearn_guard.reload")

DEBOUNCE_MS = 300


@dataclass(frozen=True, slots=True)
class ReloadState:
    """Whether the policy on disk is the one in force, and if not, why."""

    current: bool
    reason: str = ""


class Reloader:
    """Watches the policy and swaps it.

    Args:
        compile_bundle: compiles the policy on disk; runs in a thread.
        prove: has the engine prove that it enforces a bundle, by digest.
        retry_s: how soon to try again when the engine could not be asked.
    """

    def __init__(
        self,
        path: Path,
        holder: PolicyHolder,
        *,
        compile_bundle: Callable[[], Bundle],
        encoder: BatchingEncoder | None,
        prove: Callable[[str], Awaitable[None]],
        metrics: Metrics,
        retry_s: float,
    ) -> None:
        self._path = path
        self._holder = holder
        self._compile = compile_bundle
        self._encoder = encoder
        self._prove = prove
        self._metrics = metrics
        self._retry_s = retry_s
        self.state = ReloadState(current=True)

    async def run(self) -> None:
        """Follow the policy's files until cancelled."""
        # The first look catches edits made while the proxy started.
        changed = asyncio.Event()
        changed.set()
        watch = asyncio.create_task(self._watch(changed))
        try:
            while True:
                await changed.wait()
                changed.clear()
                while not await self.reload():
                    # Not in force yet: after a while, or the next edit, it is tried again.
                    try:
                        await asyncio.wait_for(changed.wait(), self._retry_s)
                    except TimeoutError:
                        continue
                    changed.clear()
        finally:
            watch.cancel()

    async def reload(self) -> bool:
        """Put the policy on disk into force; False while the old one stays."""
        try:
            bundle = await asyncio.to_thread(self._compile)
            if bundle.digest == self._holder.current.bundle.digest:
                self._settle(ReloadState(current=True), "unchanged")
                return True
            policy = ActivePolicy(bundle, self._encoder)
            await self._prove(bundle.digest)
        except GuardError as error:
            self._settle(ReloadState(current=False, reason=str(error)), "rejected")
            return False
        except Exception:
            _log.exception("policy: the reload itself failed")
            self._settle(ReloadState(current=False, reason="the reload failed"), "rejected")
            return False
        self._holder.current = policy
        self._settle(ReloadState(current=True), "applied")
        _log.info("policy: bundle %s is in force", bundle.digest[:12])
        return True

    def _settle(self, state: ReloadState, result: str) -> None:
        self._metrics.policy_stale.set(not state.current)
        if state != self.state or result == "applied":
            self._metrics.reloads.labels(result).inc()
            if not state.current:
                _log.error("policy: the old one stays in force: %s", state.reason)
        self.state = state

    async def _watch(self, changed: asyncio.Event) -> None:
        async for _ in _changes(self._path):
            changed.set()


async def _changes(path: Path) -> AsyncIterator[None]:
    """One item per settled batch of changes to a policy or the data beside it."""
    # A file's folder is watched, not the file: editors and config maps replace files by renaming.
    folder = path if path.is_dir() else path.parent
    async for _ in awatch(folder, debounce=DEBOUNCE_MS, step=50, recursive=True):
        yield None
