"""Installs the project into `.venv`, at the exact versions of the lock. Run by `make setup`.

Needs nothing but a Python. Running it again does nothing until the lock, pyproject.toml or this
file changes, and an install that was interrupted is begun afresh.

Nothing here resolves dependencies: the locks are closed and hashed, so an install today and one in
a year are the same. PyTorch's CPU build alone stands outside, in torch.txt: it comes from whatever
index holds it, and from PyTorch's own where the configured ones don't.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

OLDEST = (3, 11)
NEWEST = (3, 13)
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
# Installed before the rest, so that source packages build with a pinned setuptools, offline.
BUILD_TOOLS = ("setuptools", "wheel")

REQUIREMENTS = Path(__file__).resolve().parent
ROOT = REQUIREMENTS.parent
LOCK = REQUIREMENTS / "cpu.lock"
TORCH = REQUIREMENTS / "torch.txt"


class SetupError(Exception):
    """What stopped the install, in one sentence."""


def check_machine(version: tuple[int, int], system: str) -> None:
    """Refuse what the lock was not made for.

    Raises:
        SetupError: another Python or another operating system.
    """
    if not OLDEST <= version <= NEWEST:
        oldest, newest = (".".join(map(str, each)) for each in (OLDEST, NEWEST))
        found = ".".join(map(str, version))
        raise SetupError(
            f"python {found} is not supported; install python {oldest} to {newest} and name it,"
            f" for example `make setup PYTHON=python{oldest}`"
        )
    if system != "Linux":
        raise SetupError(f"{system} is not supported, vllm needs Linux; use a Linux machine or VM")


def canonical(name: str) -> str:
    """A package's name as the registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def blocks(lock: str) -> dict[str, str]:
    """The entries of a lock by package name, hashes and all; versions by marker stay together."""
    found: dict[str, str] = {}
    for entry in re.findall(r"^[A-Za-z0-9].*?(?=^[A-Za-z0-9]|\Z)", lock, re.M | re.S):
        name = canonical(re.split(r"[=<>!~ ;\[]", entry, maxsplit=1)[0])
        found[name] = found.get(name, "") + entry
    return found


def stamp(root: Path, version: tuple[int, int]) -> str:
    """Digest of everything that an install depends on."""
    digest = hashlib.sha256(f"{root} {version}".encode())
    for name in ("requirements/install.py", "requirements/cpu.lock", "requirements/torch.txt"):
        digest.update((root / name).read_bytes())
    digest.update((root / "pyproject.toml").read_bytes())
    return digest.hexdigest()


class Progress:
    """One line that is redrawn on a terminal; elsewhere a line every few seconds."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._told = float("-inf")
        self._tty = sys.stderr.isatty()

    def step(self, text: str) -> None:
        """Begin something; always shown."""
        self._told = float("-inf")
        self.show(text)

    def show(self, text: str) -> None:
        """Say how far it is."""
        now = time.monotonic()
        line = f"setup: {text} ({now - self._started:.0f} s)"
        if self._tty:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"\r\033[K{line[:width]}")
        elif now - self._told >= 5:
            self._told = now
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    def done(self, text: str) -> None:
        """The last line."""
        self.step(text)
        if self._tty:
            sys.stderr.write("\n")


class Environment:
    """A virtual environment and its pip."""

    def __init__(self, place: Path, progress: Progress) -> None:
        self.place = place
        self.python = place / "bin" / "python"
        self.log = place / "install.log"
        self._progress = progress

    def create(self) -> None:
        """Make it anew, without packages.

        Raises:
            SetupError: this Python cannot make one.
        """
        shutil.rmtree(self.place, ignore_errors=True)
        made = subprocess.run(
            [sys.executable, "-m", "venv", str(self.place)], capture_output=True, text=True
        )
        if made.returncode:
            shutil.rmtree(self.place, ignore_errors=True)
            raise SetupError(
                "python could not make a virtual environment; install its venv module, for example"
                f" `apt-get install python3-venv` ({_last_line(made.stdout + made.stderr)})"
            )

    def works(self) -> bool:
        """Whether its Python runs."""
        try:
            return subprocess.run([str(self.python), "-c", ""], capture_output=True).returncode == 0
        except OSError:
            return False

    def pip(self, arguments: Sequence[str], *, what: str, of: int = 0) -> bool:
        """Run pip and show how far it is; its own words go to the log.

        Args:
            of: number of packages, where that is known.

        Returns:
            Whether it succeeded.
        """
        command = [str(self.python), "-m", "pip", *arguments]
        seen = 0
        with self.log.open("a") as log:
            log.write(f"$ pip {' '.join(arguments)}\n")
            running = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
            )
            assert running.stdout is not None
            try:
                for line in running.stdout:
                    log.write(line)
                    if line.startswith(("Collecting ", "Requirement already satisfied")):
                        seen += 1
                        count = f" {min(seen, of)} of {of}" if of else ""
                        self._progress.show(f"fetching {what}{count}")
                    elif line.strip().startswith("Building wheel for "):
                        self._progress.show("building " + line.split()[3])
                    elif line.startswith("Installing collected packages"):
                        self._progress.step(f"unpacking {what}")
            except BaseException:
                running.terminate()
                running.wait()
                raise
        return running.wait() == 0

    def failure(self) -> str:
        """The line of the log that says best why pip failed."""
        lines = self.log.read_text(errors="replace").splitlines()
        errors = [line for line in lines if line.startswith("ERROR:")]
        return errors[-1].removeprefix("ERROR:").strip() if errors else _last_line("\n".join(lines))

    def packages(self) -> set[str]:
        """Names of what is installed."""
        listed = subprocess.run(
            [str(self.python), "-m", "pip", "list", "--format=json"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return {canonical(row["name"]) for row in json.loads(listed.stdout)}


def install(environment: Environment, progress: Progress, *, lock: str) -> None:
    """Bring the environment to exactly the lock, and the project into it.

    Raises:
        SetupError: pip failed, and why.
    """
    entries = blocks(lock)
    # Byte code is made at first import instead, for what is imported: a minute saved.
    pinned = ["install", "--no-deps", "--no-compile", "--progress-bar", "off"]

    def need(ok: bool, what: str) -> None:
        if not ok:
            raise SetupError(
                f"could not install {what}: {environment.failure()} (see {environment.log}; run"
                " `make setup` again once that is mended)"
            )

    progress.step("fetching torch")
    torch = [*pinned, "-r", str(TORCH)]
    if not environment.pip(torch, what="torch"):
        progress.step("fetching torch from PyTorch's own index")
        need(environment.pip([*torch, "--index-url", TORCH_INDEX], what="torch"), "torch")
    tools = environment.place / "build-tools.lock"
    tools.write_text("".join(entries[name] for name in BUILD_TOOLS if name in entries))
    hashed = [*pinned, "--require-hashes", "--no-build-isolation", "-r"]
    need(environment.pip([*hashed, str(tools)], what="build tools"), "the build tools")
    progress.step(f"fetching {len(entries)} packages")
    need(
        environment.pip([*hashed, str(LOCK)], what="packages", of=len(entries)),
        "the locked packages",
    )
    stray = environment.packages() - set(entries) - {"pip", "torch", "unlearn-guard", "wheel"}
    if stray:
        # Some break others by being there, such as a torchvision built for another torch.
        need(environment.pip(["uninstall", "-y", *sorted(stray)], what=""), "only what is locked")
    progress.step("installing unlearn-guard")
    project = [*pinned, "--no-build-isolation", "-e", str(ROOT)]
    need(environment.pip(project, what="unlearn-guard"), "unlearn-guard")


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Let one set-up at a time work on the environment."""
    folder = root / ".cache"
    folder.mkdir(exist_ok=True)
    with (folder / "setup.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Install if needed; 0 when all is in place."""
    version = sys.version_info[:2]
    try:
        check_machine(version, platform.system())
        with alone(ROOT):
            return _main(version)
    except SetupError as error:
        sys.stderr.write(f"\nsetup: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\nsetup: interrupted; run it again to begin afresh\n")
        return 130


def _main(version: tuple[int, int]) -> int:
    place = ROOT / ".venv"
    done, begun = place / ".unlearn-guard.installed", place / ".unlearn-guard.installing"
    wanted = stamp(ROOT, version)
    if done.exists() and done.read_text() == wanted and not begun.exists():
        return 0
    progress = Progress()
    environment = Environment(place, progress)
    if begun.exists() or not environment.works():
        progress.step("making .venv")
        environment.create()
    done.unlink(missing_ok=True)
    begun.touch()
    environment.log.write_text("")
    install(environment, progress, lock=LOCK.read_text())
    done.write_text(wanted)
    begun.unlink()
    progress.done("all packages are in place")
    return 0


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


if __name__ == "__main__":
    # A broken pip configuration of a parent environment must not reach into this one.
    os.environ.pop("PYTHONPATH", None)
    os.environ.pop("PIP_REQUIRE_VIRTUALENV", None)
    sys.exit(main())
