"""Kernels run interpreted in a process of their own (test_gpu.py), or on the GPU that is there."""

import os

import torch

INTERPRETED = bool(os.environ.get("TRITON_INTERPRET"))

collect_ignore: list[str] = []
if INTERPRETED:
    collect_ignore += ["test_compile.py"]
elif not torch.cuda.is_available():
    collect_ignore += ["test_rows.py", "test_adapter.py"]
