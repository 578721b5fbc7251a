"""Children are ended with all they started, however they or their parent end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from guard.errors import GuardError
from server.launch.process import ChildProcess, child_environ

# Starts a grandchild in a session of its own that ignores SIGTERM; both write their ids.
STUBBORN = """
import os, signal, subprocess, sys, time
from pathlib import Path
grandchild = subprocess.Popen(
    [sys.executable, "-c",
     "import signal,time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"],
    start_new_session=True,
)
Path(sys.argv[1]).write_text(f"{os.getpid()} {grandchild.pid}")
print("up", flush=True)
time.sleep(600)
"""


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def spawn(tmp_path: Path, code: str, *arguments: str) -> ChildProcess:
    return ChildProcess.spawn(
        [sys.executable, "-c", code, *arguments],
        environ=child_environ({}),
        log=tmp_path / "logs" / "child.log",
    )


def pids(file: Path) -> list[int]:
    until(lambda: file.exists() and len(file.read_text().split()) == 2)
    return [int(pid) for pid in file.read_text().split()]


def test_stop_ends_children_and_grandchildren(tmp_path: Path) -> None:
    child = spawn(tmp_path, STUBBORN, str(tmp_path / "pids"))
    family = pids(tmp_path / "pids")
    assert all(alive(pid) for pid in family)
    child.stop()
    assert not any(alive(pid) for pid in [*family, child.pid])


def test_kill_ends_them_at_once(tmp_path: Path) -> None:
    child = spawn(tmp_path, STUBBORN, str(tmp_path / "pids"))
    family = pids(tmp_path / "pids")
    child.kill()
    until(lambda: not any(alive(pid) for pid in [*family, child.pid]))


def test_stop_asks_before_it_forces(tmp_path: Path) -> None:
    code = (
        "import signal,sys,time\n"
        "signal.signal(15, lambda *_: (print('goodbye', flush=True), sys.exit(0)))\n"
        "print('up', flush=True)\ntime.sleep(600)"
    )
    child = spawn(tmp_path, code)
    until(lambda: "up" in child.text())
    child.stop()
    assert "goodbye" in child.text()


def test_children_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    parent_code = f"""
import sys, time
from pathlib import Path
from server.launch.process import ChildProcess, child_environ
ChildProcess.spawn(
    [sys.executable, "-c", {STUBBORN!r}, {str(tmp_path / "pids")!r}],
    environ=child_environ({{}}), log=Path({str(tmp_path / "log")!r}),
)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", parent_code], env=child_environ({}))
    family = pids(tmp_path / "pids")
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until(lambda: not any(alive(pid) for pid in family))


def test_what_a_crash_leaves_behind_is_ended(tmp_path: Path) -> None:
    child = spawn(tmp_path, STUBBORN, str(tmp_path / "pids"))
    direct, grandchild = pids(tmp_path / "pids")
    os.kill(direct, signal.SIGKILL)
    until(lambda: child.exit_code is not None)
    assert child.exit_code == 128 + signal.SIGKILL
    assert not alive(grandchild)


def test_the_exit_status_is_the_commands(tmp_path: Path) -> None:
    child = spawn(tmp_path, "import sys; print('why'); sys.exit(3)")
    until(lambda: child.exit_code is not None)
    assert child.exit_code == 3
    assert child.text() == "why\n"
    child.stop()  # has nothing to do


def test_new_lines_gives_each_line_once_and_whole(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "child.log"
    child = spawn(tmp_path, "pass")
    until(lambda: child.exit_code is not None)
    with log.open("ab") as file:
        file.write(b"one\ntwo 10%\rtwo 20%\rthr")
        file.flush()
        assert child.new_lines() == ["one", "two 10%", "two 20%"]
        file.write(b"ee\n")
        file.flush()
    assert child.new_lines() == ["three"]
    assert child.new_lines() == []


def test_a_log_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GuardError, match=r"cannot write the log .*child\.log"):
        ChildProcess.spawn(
            [sys.executable, "-c", ""], environ={}, log=tmp_path / "file" / "child.log"
        )


def test_a_childs_python_imports_this_guard_wherever_it_runs(tmp_path: Path) -> None:
    (tmp_path / "guard.py").write_text("raise SystemExit('wrong one')")
    command = [sys.executable, "-c", "import guard; print(guard.__file__)"]
    found = subprocess.run(
        command, cwd=tmp_path, env=child_environ({}), capture_output=True, text=True, check=True
    ).stdout.strip()
    import guard

    assert found == guard.__file__


def test_a_childs_python_keeps_its_byte_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    code = "import sys; print(sys.dont_write_bytecode)"
    found = subprocess.run(
        [sys.executable, "-c", code], env=child_environ({}), capture_output=True, text=True
    )
    assert found.stdout == "False\n"
