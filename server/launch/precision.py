"""Which floats an engine on the CPU computes in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from server.launch.machine import available_memory, cpu_flags, memory_needed

_HALF: Final = frozenset({"bfloat16", "float16"})
# Without it, x86 has no arithmetic on 16-bit floats that is worth its conversions.
_WIDE: Final = "avx512f"


def cpu_dtype(
    model: Path,
    cache: int,
    *,
    flags: Callable[[], frozenset[str]] = cpu_flags,
    available: Callable[[], int] = available_memory,
) -> str | None:
    """The ``--dtype`` for a model on this CPU; None to leave it to vLLM.

    An x86 processor without AVX-512 widens each 16-bit float before it multiplies: there the demo
    model answers 16 requests at once four times as fast in float32 (62.7 against 14.8 tokens a
    second on two cores with AVX2, timed by hand), at the price of twice the memory.

    Args:
        model: folder of the checkpoint.
        cache: bytes set aside for vLLM's KV cache.
        flags: gives what the processor can do; none where it is not x86.
        available: gives the bytes of memory that can be used.
    """
    found = flags()
    if not found or _WIDE in found:
        return None
    try:
        config = json.loads((model / "config.json").read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(config, dict) or "quantization_config" in config:
        return None
    stored = config.get("dtype", config.get("torch_dtype"))
    if stored not in _HALF or memory_needed(model, cache, widened=True) > available():
        return None
    return "float32"
