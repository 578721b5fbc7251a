"""The sampler's step on a CPU, compiled: the same outcome as with torch, in a fraction of the time.

A guarded step with torch is some two hundred small operations on a few numbers each, and what costs
is how many they are. The functions of ``kernels`` do the same with loops. numba compiles them when
the engine starts; vLLM requires it itself (0.32, ``requirements/common.txt``), and where it is
absent, torch does it all. So it does what is rare: rows whose text ends within a code point, and
texts that are near a protected one. ``guard.engine.matcher``, ``windows``, ``runs`` and
``verbatim`` stay the measure of what is right.
"""

from __future__ import annotations

from importlib.util import find_spec

import torch


def is_compiled_for(device: torch.device) -> bool:
    """Whether the functions of this package can work on tensors of a device."""
    return device.type == "cpu" and find_spec("numba") is not None
