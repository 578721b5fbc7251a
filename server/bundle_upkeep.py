"""The folder of bundles, kept in order: what is in force stays there, what nobody uses goes.

Every edit of a policy writes a bundle, with the names and phrases of targets that may since have
been deleted. A proxy stamps the bundle that it enforces once a minute, and removes those that no
proxy has stamped for an hour, which is longer than any request holds on to the policy it came
under. Several proxies may share a folder.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from guard.errors import GuardError

_log = logging.getLogger("unlearn_guard.bundles")

STAMP_S: Final = 60.0
KEPT_S: Final = 3600.0
# A bundle; and one that is being written or removed, or was when a process ended.
_OURS: Final = re.compile(r"[0-9a-f]{64}|\.[0-9a-f]{16}-[0-9a-f]{8}")


class BundleUpkeep:
    """Stamps the bundle in force, writes it again if it is gone, and removes old ones.

    Args:
        digest: gives the digest of the bundle in force when called.
        write_again: compiles the policy on disk into the folder.
    """

    def __init__(
        self, bundles: Path, digest: Callable[[], str], write_again: Callable[[], Awaitable[None]]
    ) -> None:
        self._bundles = bundles
        self._digest = digest
        self._write_again = write_again
        self._told = ""

    async def run(self) -> None:
        """Look after the folder until cancelled."""
        while True:
            await self.look_after()
            await asyncio.sleep(STAMP_S)

    async def look_after(self) -> None:
        """Stamp and remove once. What goes wrong is logged once: no answer is unguarded by it."""
        digest = self._digest()
        told = ""
        try:
            if not (self._bundles / digest).is_dir():
                _log.warning("bundle %s is gone from its folder; compiling it again", digest[:12])
                await self._write_again()
            removed = await asyncio.to_thread(remove_old, self._bundles, in_force=digest)
            if removed:
                _log.info("%d bundles that no proxy used for an hour are removed", removed)
        except (OSError, GuardError) as error:
            told = f"bundle {digest[:12]} cannot be looked after: {error}"
            if told != self._told:
                _log.error("%s", told)
        except Exception:
            _log.exception("looking after the bundles itself failed")
        self._told = told


def remove_old(bundles: Path, *, in_force: str, kept_s: float = KEPT_S) -> int:
    """Remove bundles that were last stamped longer ago than that, and give how many.

    Ages are told by the clock of the file system, which several machines may share.

    Raises:
        OSError: the bundle in force is not there or cannot be stamped; nothing is removed then.
    """
    os.utime(bundles / in_force)
    now = (bundles / in_force).stat().st_mtime
    removed = 0
    for folder in bundles.iterdir():
        if not _OURS.fullmatch(folder.name):
            continue
        aside = bundles / f".{folder.name.strip('.')[:16]}-{secrets.token_hex(4)}"
        with suppress(FileNotFoundError):  # another proxy was quicker
            if now - folder.stat().st_mtime > kept_s:
                # In one step: half a bundle would be taken for a damaged one.
                folder.rename(aside)
                shutil.rmtree(aside, ignore_errors=True)
                removed += 1
    return removed
