"""A child process that is kept: its log in a file, its whole group ended with it or with us."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import guard
from guard.errors import GuardError
from server.launch.keeper import GRACE_S

KEEPER: Final = Path(__file__).with_name("keeper.py")
# The keeper's own grace, and some more to reap.
_STOP_S: Final = GRACE_S + 10


class ChildProcess:
    """A running command.

    Attributes:
        pid: id of the process that keeps the command; gone only when all of the command is.
        log: file that holds what the command printed.
    """

    def __init__(self, keeper: subprocess.Popen[bytes], log: Path) -> None:
        self._keeper = keeper
        self.pid = keeper.pid
        self.log = log
        self._read = 0

    @classmethod
    def spawn(
        cls, command: Sequence[str], *, environ: Mapping[str, str], log: Path
    ) -> ChildProcess:
        """Run a command with that environment.

        Raises:
            GuardError: its log cannot be written.
        """
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            output = log.open("wb")
        except OSError as error:
            raise GuardError(
                f"cannot write the log `{log}` ({error.strerror})", fix="use a folder you can write"
            ) from error
        with output:
            keeper = subprocess.Popen(
                [sys.executable, "-I", str(KEEPER), *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environ),
                # Ctrl-C in a terminal reaches us alone, so that we stop the parts in order.
                start_new_session=True,
            )
        return cls(keeper, log)

    @property
    def exit_code(self) -> int | None:
        """The command's exit status, 128 + n if signal n ended it; None while it runs."""
        return self._keeper.poll()

    def new_lines(self) -> list[str]:
        """Whole lines printed since the last call."""
        try:
            with self.log.open("rb") as file:
                file.seek(self._read)
                data = file.read()
        except OSError:
            return []
        # A program may redraw a line with carriage returns; the last state is what counts.
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        self._read += end
        return data[:end].decode(errors="replace").replace("\r", "\n").splitlines()

    def text(self) -> str:
        """All that it printed."""
        try:
            return self.log.read_text(errors="replace")
        except OSError:
            return ""

    def stop(self) -> None:
        """End it and every process it started; nothing if it has ended."""
        if self._keeper.poll() is None:
            self._keeper.terminate()
            try:
                self._keeper.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
        if self._keeper.stdin is not None:
            with contextlib.suppress(OSError):
                self._keeper.stdin.close()

    def kill(self) -> None:
        """End it at once, unsaved work lost."""
        for child in _children(self._keeper.pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child, 9)
        with contextlib.suppress(subprocess.TimeoutExpired):
            # The keeper clears away what is left and ends by itself.
            self._keeper.wait(5)
        if self._keeper.poll() is None:
            self._keeper.kill()
            self._keeper.wait()


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def child_environ(extra: Mapping[str, str]) -> dict[str, str]:
    """Our environment, with ``extra``, for a Python that imports this very copy of the guard."""
    root = str(Path(guard.__file__).resolve().parents[1])
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    inherited = dict(os.environ)
    # Packages are installed without byte code; unless it may be kept, every start makes it anew.
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        # A folder named like a package, where the user happens to stand, must not be imported.
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        **extra,
    }
