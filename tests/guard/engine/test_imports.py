"""What runs inside vLLM's workers brings little with it."""

import subprocess
import sys

import pytest


def imported_by(module: str) -> set[str]:
    code = f"import {module}, sys; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_engine_core_imports_no_web_no_policy_and_no_encoder() -> None:
    modules = imported_by("guard.engine.enforcer")
    assert "torch" in modules
    heavy = {"pydantic", "fastapi", "yaml", "httpx", "sentence_transformers", "transformers"}
    # torch itself may or may not bring `yaml`; what it brings is there in any worker.
    assert modules & heavy <= imported_by("torch")
    assert not modules & {"server", "classifiers", "vllm"}


def test_the_kernels_need_torch_triton_and_numpy_alone() -> None:
    pytest.importorskip("triton", reason="Triton is not installed; torch for GPUs brings it")
    modules = imported_by("guard.engine.gpu.rows")
    ours = {"pydantic", "yaml", "safetensors", "transformers", "vllm", "classifiers", "server"}
    assert modules & ours <= imported_by("torch")
