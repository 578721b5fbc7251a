"""Runs a command and ends all of it, however its own parent ends.

``keeper.py COMMAND...`` is what the launcher really starts. It is a script of the standard library
alone, so that it costs milliseconds and a few MB. Its standard input is a pipe that the launcher
holds and never writes to: end of file means that the launcher is gone, killed perhaps, and then
the command is stopped. As Linux's child subreaper it inherits the command's orphans (vLLM's
workers outlive a killed API server), so that nothing is left.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

# linux/prctl.h
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

GRACE_S = 15.0


def _children() -> list[int]:
    """Process ids of this process's children, adopted ones included."""
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found += [int(pid) for pid in (task / "children").read_text().split()]
    return found


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask the command's group to stop, then make all that is left."""
    _signal(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    while time.monotonic() < deadline and (child.poll() is None or _running(child.pid)):
        time.sleep(0.05)
    _signal(child.pid, signal.SIGKILL)
    child.wait()
    while others := [pid for pid in _children() if pid != child.pid]:
        for pid in others:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _running(group: int) -> bool:
    """Whether the group has a process; the dead ones are reaped first."""
    for pid in _children():
        with contextlib.suppress(ChildProcessError):
            if pid != group:
                os.waitpid(pid, os.WNOHANG)
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def main(command: list[str]) -> int:
    """Run the command until it ends, or the parent does, or SIGTERM comes; its exit status."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Wakes the wait below; a signal that ends the command is the launcher's to send.
    waker, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    stopping = False

    def stop(_: int, __: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=_die_with_parent
    )
    while child.poll() is None and not stopping:
        ready, _, _ = select.select([sys.stdin.fileno(), waker], [], [], 1.0)
        if waker in ready:
            os.read(waker, 4096)
        if sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 4096):
            break
    ended_by_itself = child.poll() is not None
    _end(child)
    if ended_by_itself and child.returncode < 0:
        # Told apart from an exit status by the convention of shells.
        return 128 - child.returncode
    return child.returncode if ended_by_itself else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
