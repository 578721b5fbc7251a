"""Policy edits, put into force without a restart.

An edit is compiled beside the running policy, proved on the engine by the canary, and only then
takes the old one's place, in one assignment. Whatever goes wrong on the way, the old policy stays
in force and ``state`` says why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from watchfiles import awatch

from classifiers import BatchingEncoder
from guard.errors import GuardError, PolicyError
from server.active import ActivePolicy, PolicyHolder
from server.metrics import Metrics
from server.policies import TICK_NS, CompiledPolicy, log_warnings, stamp_of

_log = logging.getLogger("unlearn_guard.reload")

DEBOUNCE_MS: Final = 200
# How often the files are looked at even if the system tells of no change: it does not on network
# file systems, nor of edits made before the watch began.
WATCH_MS: Final = 2000


@dataclass(frozen=True, slots=True)
class ReloadState:
    """Whether the policy on disk is the one in force, and if not, why."""

    current: bool
    reason: str = ""


class Reloader:
    """Watches the policy and swaps it.

    Attributes:
        state: whether the policy on disk is in force.
        compiled: what is in force.

    Args:
        compile_policy: compiles the policy on disk; called in a thread.
        compiled: what is in force.
        prove: has the engine prove that it enforces a bundle, by digest.
        retry_s: how soon to try again when the engine could not be asked.
    """

    def __init__(
        self,
        path: Path,
        holder: PolicyHolder,
        *,
        compile_policy: Callable[[], CompiledPolicy],
        compiled: CompiledPolicy,
        encoder: BatchingEncoder | None,
        prove: Callable[[str], Coroutine[Any, Any, None]],
        metrics: Metrics,
        retry_s: float,
    ) -> None:
        self._path = path
        self._holder = holder
        self._compile = compile_policy
        self._stamp = compiled.stamp
        self._settled = compiled.settled
        self._folders = _folders(path, compiled.files)
        self._encoder = encoder
        self._prove = prove
        self._metrics = metrics
        self._retry_s = retry_s
        self._moved = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self.state = ReloadState(current=True)
        self.compiled = compiled

    async def run(self) -> None:
        """Follow the policy's files until cancelled."""
        changed = asyncio.Event()
        watch = asyncio.create_task(self._watch(changed))
        try:
            while True:
                await changed.wait()
                changed.clear()
                while not await self.reload():
                    # Not in force yet: after a while, or at the next edit, it is tried again.
                    try:
                        await asyncio.wait_for(changed.wait(), self._retry_s)
                    except TimeoutError:
                        continue
                    changed.clear()
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def reload(self) -> bool:
        """Put the policy on disk into force; False while the old one stays."""
        async with self._one_at_a_time:
            if self.state.current and self.compiled.is_of(self._path):
                return True  # what was seen to change is what `change` has put into force
            try:
                await self._replace()
            except GuardError as error:
                self._reject(error)
                return False
            except Exception:
                _log.exception("policy: the reload itself failed")
                self._settle(ReloadState(current=False, reason="the reload failed"), "rejected")
                return False
            return True

    async def write_again(self) -> None:
        """Compile the policy on disk into the folder of bundles, and leave what is in force.

        Raises:
            GuardError: it cannot be compiled, or not written.
        """
        async with self._one_at_a_time:
            await asyncio.to_thread(self._compile)

    async def change(self, edit: Callable[[], Callable[[], None]]) -> None:
        """Edit the policy on disk and put it into force; if that fails, take the edit back.

        Args:
            edit: changes the files, and gives what changes them back; called in a thread.

        Raises:
            Exception: whatever ``edit`` raised, or why the policy is not in force.
        """
        async with self._one_at_a_time:
            undo = await asyncio.to_thread(edit)
            try:
                # Read a tick later, the files are known not to have changed since: see `_watch`.
                await asyncio.sleep(1.5 * TICK_NS / 1e9)
                await self._replace()
            except BaseException:
                undo()  # here and now, since this task may have been cancelled
                raise

    async def _replace(self) -> None:
        """Compile the policy on disk, have the engine prove it, and put it into force.

        Raises:
            Exception: it is not in force.
        """
        compiled = await asyncio.to_thread(self._compile)
        self._follow(compiled)
        bundle = compiled.bundle
        if bundle.digest != self._holder.current.bundle.digest:
            # The engine is another process, and busy with its own copy meanwhile.
            proved = asyncio.create_task(self._prove(bundle.digest))
            try:
                policy = await asyncio.to_thread(ActivePolicy, bundle, self._encoder)
                await proved
            finally:
                proved.cancel()
            self._holder.current = policy
            self._settle(ReloadState(current=True), "applied")
            _log.info("policy: bundle %s is in force", bundle.digest[:12])
        else:
            self._settle(ReloadState(current=True), "unchanged")
        log_warnings(compiled, self.compiled.warnings)
        self.compiled = compiled

    def _reject(self, error: GuardError) -> None:
        # What a policy's error quotes may be protected: it is for the log, not for `/readyz`.
        if isinstance(error, PolicyError):
            place = f"{error.file}:{error.line}" if error.line else error.file
            what = f"{place}: `{error.field}`" if error.field else place
            reason = f"{what} cannot be used; the proxy's log says why"
        else:
            reason = str(error)
        if reason != self.state.reason:
            _log.error("policy: the old one stays in force: %s", error)
        self._settle(ReloadState(current=False, reason=reason), "rejected")

    def _settle(self, state: ReloadState, result: str) -> None:
        self._metrics.policy_stale.set(not state.current)
        if state != self.state or result == "applied":
            self._metrics.reloads.labels(result).inc()
        self.state = state

    def _follow(self, compiled: CompiledPolicy) -> None:
        self._stamp, self._settled = compiled.stamp, compiled.settled
        folders = _folders(self._path, compiled.files)
        if folders != self._folders:
            self._folders = folders
            self._moved.set()

    async def _watch(self, changed: asyncio.Event) -> None:
        while True:
            self._moved = asyncio.Event()
            folders = [folder for folder in self._folders if folder.is_dir()]
            try:
                async for changes in awatch(
                    *folders,
                    debounce=DEBOUNCE_MS,
                    step=50,
                    rust_timeout=WATCH_MS,
                    yield_on_timeout=True,
                    recursive=False,
                    stop_event=self._moved,
                ):
                    now = stamp_of(self._path, self._stamp)
                    if now != self._stamp or (changes and not self._settled):
                        self._stamp, self._settled = now, False
                        changed.set()
            except OSError as error:
                # A folder may be gone for a moment while it is replaced.
                _log.warning("policy: cannot watch %s (%s)", self._path, error)
                await asyncio.sleep(self._retry_s)


def _folders(path: Path, files: Iterable[Path]) -> frozenset[Path]:
    """The folders to watch: editors and config maps replace files, so files are not enough."""
    own = path if path.is_dir() else path.parent
    return frozenset({own.resolve(), *(file.resolve().parent for file in files)})
