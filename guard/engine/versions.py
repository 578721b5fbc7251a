"""The vLLM versions that the engine side is verified on. The one place that states them.

The logits processor interfaces are internal to vLLM and change between minor versions, so an
unknown version is refused at start rather than discovered at the first token.
"""

from __future__ import annotations

import re
from typing import Final

from guard.errors import EngineUnsupportedError

SUPPORTED_VLLM: Final = ("0.32",)

_RELEASE = re.compile(r"(\d+\.\d+)(?:\.|$|[^\d])")


def check_vllm_version(version: str) -> None:
    """Accept a vLLM version string such as ``0.32.0`` or ``0.32.1+cpu``.

    Raises:
        EngineUnsupportedError: its minor version is not in ``SUPPORTED_VLLM``.
    """
    match = _RELEASE.match(version)
    if match is None or match.group(1) not in SUPPORTED_VLLM:
        wanted = " or ".join(f"{minor}.x" for minor in SUPPORTED_VLLM)
        raise EngineUnsupportedError(
            f"vllm {version or 'of unknown version'} is not supported, the guard is verified on"
            f" {wanted}",
            fix=f"install vllm {wanted}, or run an unlearn-guard release made for yours",
        )
