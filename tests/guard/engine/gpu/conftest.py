"""Kernels run interpreted in a process of their own (test_gpu.py), or on the GPU that is there."""

import importlib.util
import os
from types import SimpleNamespace

import torch

INTERPRETED = bool(os.environ.get("TRITON_INTERPRET"))

if INTERPRETED and importlib.util.find_spec("triton"):
    import triton.backends

    # vLLM for CPUs turns Triton off, its own kernels with it, unless there is a backend for CPUs.
    driver = SimpleNamespace(is_active=lambda: True)
    triton.backends.backends.setdefault("cpu", SimpleNamespace(driver=driver))

collect_ignore: list[str] = []
if INTERPRETED:
    collect_ignore += ["test_compile.py"]
elif not torch.cuda.is_available():
    collect_ignore += ["test_rows.py", "test_adapter.py", "test_sampler.py"]
