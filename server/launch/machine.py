"""What the machine must offer before anything slow is started."""

from __future__ import annotations

import platform
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from guard.errors import GuardError

GIB: Final = 1 << 30
# Resident memory beside the weights, as measured with the demo model (vLLM's three processes and
# the proxy with its encoder), and a little to spare.
_OVERHEAD: Final = int(3.5 * GIB)
_WEIGHT_FILES: Final = (".safetensors", ".bin", ".gguf", ".pt")


def check_system(system: str | None = None) -> None:
    """Refuse systems that vLLM does not run on.

    Raises:
        GuardError: not Linux.
    """
    found = system or platform.system()
    if found != "Linux":
        raise GuardError(
            f"the engine runs on Linux, this is {found}",
            fix="use a Linux machine, or point `--upstream` at a vLLM on one",
        )


def check_port(host: str, port: int) -> None:
    """Make sure that the proxy will get its port.

    Raises:
        GuardError: it is in use, or not ours to take.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            # Two may bind one address; only one may listen on it.
            probe.listen(1)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise GuardError(
                f"port {port} on {host} cannot be used ({reason.lower()})",
                fix="stop what uses it, or choose another with `--port` (`make serve PORT=...`)",
            ) from error


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def available_memory(root: Path = Path("/")) -> int:
    """Bytes that can be used now: the machine's, or less where a container is held to less.

    Args:
        root: folder that holds ``proc`` and ``sys``.
    """
    available = 0
    for line in (root / "proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) * 1024
    group = root / "sys/fs/cgroup"
    try:
        limit, used = (
            (group / name).read_text().strip() for name in ("memory.max", "memory.current")
        )
    except OSError:
        return available
    return available if limit == "max" else min(available, int(limit) - int(used))


def weights_size(model: Path) -> int:
    """Bytes of a model's weight files."""
    # A folder may hold the same weights in several formats; vLLM loads one.
    sizes = {
        kind: sum(file.stat().st_size for file in model.glob(f"*{kind}")) for kind in _WEIGHT_FILES
    }
    return max(sizes.values())


def memory_needed(model: Path, cache: int, *, widened: bool = False) -> int:
    """Bytes that the engine needs for a model of that folder.

    Args:
        cache: bytes set aside for vLLM's KV cache.
        widened: whether the weights are held in floats of twice their stored size.
    """
    return int(weights_size(model) * (2 if widened else 1) * 1.2) + cache + _OVERHEAD


def cpu_flags(root: Path = Path("/")) -> frozenset[str]:
    """What the processor can do, in Linux's words such as ``avx2``; none where it is not x86.

    Args:
        root: folder that holds ``proc``.
    """
    for line in (root / "proc/cpuinfo").read_text().splitlines():
        name, _, flags = line.partition(":")
        if name.strip() == "flags":
            return frozenset(flags.split())
    return frozenset()


def check_memory(model: Path, cache: int, *, read: Callable[[], int] = available_memory) -> None:
    """Make sure that the engine can hold a model of that folder.

    Args:
        cache: bytes set aside for vLLM's KV cache.
        read: gives the bytes available.

    Raises:
        GuardError: too little memory; it says how much is needed.
    """
    needed = memory_needed(model, cache)
    available = read()
    if available < needed:
        raise GuardError(
            f"too little memory: the engine needs about {needed / GIB:.1f} GiB for `{model.name}`,"
            f" {max(available, 0) / GIB:.1f} GiB are available",
            fix="close other programs, or choose a smaller model with `--model`",
        )
