"""The proxy as a child process."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import httpx

from guard.errors import GuardError
from guard.plan import KEY_FILE_VARIABLE, KEY_VARIABLE
from server.launch import SENTENCE
from server.launch.process import ChildProcess, child_environ

_POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class ProxyOptions:
    """How to start the proxy.

    Attributes:
        upstream: address of the guarded vLLM.
        bundles: folder of compiled policies, shared with the engine.
        key: signing key, shared with the engine.
        log: file for what the proxy prints.
        environ: more settings, as environment variables (see server/settings.py).
    """

    upstream: str
    policies: Path
    bundles: Path
    port: int
    key: str
    log: Path
    host: str = "127.0.0.1"
    environ: Mapping[str, str] = field(default_factory=dict)


class ProxyProcess:
    """A proxy that was started here.

    Attributes:
        url: its address, without ``/v1``.
        pid: of the process that keeps it.
    """

    def __init__(self, child: ChildProcess, options: ProxyOptions) -> None:
        self._child = child
        self.url = f"http://{reachable(options.host)}:{options.port}"
        self.pid = child.pid
        self.log = options.log

    @classmethod
    def start(cls, options: ProxyOptions) -> Self:
        """Start it; ``wait_ready`` waits until it guards.

        Raises:
            GuardError: the log cannot be written.
        """
        environ = child_environ({**options.environ, KEY_VARIABLE: options.key})
        environ.pop(KEY_FILE_VARIABLE, None)
        command = [
            sys.executable, "-m", "server", "proxy",
            "--upstream", options.upstream,
            "--policies", str(options.policies),
            "--bundles", str(options.bundles.resolve()),
            "--host", options.host, "--port", str(options.port),
        ]  # fmt: skip
        return cls(ChildProcess.spawn(command, environ=environ, log=options.log), options)

    def state(self) -> tuple[bool, str]:
        """Whether it guards, and if not, why not yet.

        Raises:
            GuardError: it ended; the reason in its own words.
        """
        self.check_alive()
        try:
            answer = httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False)
        except httpx.TransportError:
            return False, "compiling the policy"
        return answer.status_code == 200, "ready" if answer.status_code == 200 else _reason(answer)

    def check_alive(self) -> None:
        """Raise if it has ended.

        Raises:
            GuardError: the reason in its own words.
        """
        code = self._child.exit_code
        if code is None:
            return
        lines = [line.strip() for line in self._child.text().splitlines() if line.strip()]
        # The command line prints its one sentence last, behind its name.
        said = [line for line in lines if line.startswith(SENTENCE)]
        if said:
            raise GuardError(said[-1].removeprefix(SENTENCE))
        last = lines[-1][:300] if lines else f"it ended with status {code}"
        raise GuardError(f"the proxy stopped: {last} (log: `{self.log}`)")

    def wait_ready(self, progress: Callable[[str], None]) -> None:
        """Wait until it guards; stop it if it cannot.

        Raises:
            GuardError: it ended; the reason in its own words.
        """
        told = ""
        while True:
            try:
                ready, state = self.state()
            except BaseException:
                self.stop()
                raise
            if state != told:
                told = state
                progress(f"proxy: {state}")
            if ready:
                return
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """End it, its open requests finished if that is quick."""
        self._child.stop()

    def kill(self) -> None:
        """End it at once."""
        self._child.kill()


def reachable(host: str) -> str:
    """An address that reaches a server listening on ``host``, as it stands in a URL."""
    found = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"[{found}]" if ":" in found else found


def _reason(answer: httpx.Response) -> str:
    try:
        body: Any = answer.json()
    except ValueError:
        return f"status {answer.status_code}"
    reason = body.get("reason") if isinstance(body, dict) else None
    return str(reason) if reason else f"status {answer.status_code}"
