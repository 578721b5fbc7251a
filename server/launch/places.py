"""Where a run keeps its files: in the checkout if there is one, else where the user's programs do.

A run's own files (logs, decisions) and what outlives runs (converted models, bundles) are apart, so
that either can be deleted without thought.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import guard


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of one run."""

    cache: Path
    run: Path

    @property
    def bundles(self) -> Path:
        """Compiled policies."""
        return self.cache / "bundles"

    @property
    def engine_log(self) -> Path:
        """What vLLM printed."""
        return self.run / "engine.log"

    @property
    def proxy_log(self) -> Path:
        """What the proxy printed."""
        return self.run / "proxy.log"

    @property
    def decisions(self) -> Path:
        """One JSON line for each request."""
        return self.run / "decisions.jsonl"


def default_places(
    environ: Mapping[str, str] = os.environ, *, package: Path | None = None
) -> Places:
    """``.cache`` and ``.run`` of a checkout; else below the XDG cache and state folders.

    Args:
        package: folder of the ``guard`` package.
    """
    root = (package or Path(guard.__file__).resolve().parent).parent
    if (root / "pyproject.toml").is_file():
        return Places(root / ".cache", root / ".run")
    home = Path(environ.get("HOME") or Path.home())
    cache = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    state = Path(environ.get("XDG_STATE_HOME") or home / ".local" / "state")
    return Places(cache / "unlearn-guard", state / "unlearn-guard")
