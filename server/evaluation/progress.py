"""Progress bars on a terminal; elsewhere a line now and then."""

from __future__ import annotations

import sys
from typing import Any, Final

from tqdm import tqdm

_SECONDS: Final = 10.0


def bar(total: int, what: str, unit: str = " requests") -> Any:
    """A bar that is a context, with ``update()``."""
    often = 0.1 if sys.stderr.isatty() else _SECONDS
    return tqdm(total=total, desc=what, unit=unit, mininterval=often, maxinterval=often)
