"""Which floats an engine on the CPU computes in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from server.launch.machine import GIB
from server.launch.precision import cpu_dtype

OLD = frozenset({"avx", "avx2", "f16c"})
NEW = OLD | {"avx512f", "avx512_bf16"}


def checkpoint(folder: Path, **config: Any) -> Path:
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"x" * 1000)
    return folder


def chosen(model: Path, flags: frozenset[str] = OLD, available: int = 64 * GIB) -> str | None:
    return cpu_dtype(model, GIB, flags=lambda: flags, available=lambda: available)


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
@pytest.mark.parametrize("stored", ["bfloat16", "float16"])
def test_half_floats_are_widened_without_avx512(tmp_path: Path, key: str, stored: str) -> None:
    assert chosen(checkpoint(tmp_path, **{key: stored})) == "float32"


@pytest.mark.parametrize("flags", [NEW, frozenset()], ids=["avx512", "not x86"])
def test_a_processor_that_need_not_widen_is_left_alone(
    tmp_path: Path, flags: frozenset[str]
) -> None:
    assert chosen(checkpoint(tmp_path, dtype="bfloat16"), flags) is None


@pytest.mark.parametrize(
    "config",
    [
        {"dtype": "float32"},
        {"dtype": "bfloat16", "quantization_config": {"quant_method": "awq"}},
        {},
    ],
    ids=["wide already", "quantised", "unknown"],
)
def test_other_models_are_left_alone(tmp_path: Path, config: dict[str, Any]) -> None:
    assert chosen(checkpoint(tmp_path, **config)) is None


@pytest.mark.parametrize("text", ["[1]", "{", '"bfloat16"'])
def test_a_config_that_cannot_be_read_is_left_to_vllm(tmp_path: Path, text: str) -> None:
    checkpoint(tmp_path)
    (tmp_path / "config.json").write_text(text)
    assert chosen(tmp_path) is None


def test_a_hub_id_is_left_to_vllm() -> None:
    assert chosen(Path("owner/name")) is None


def test_weights_that_do_not_fit_twice_are_left_narrow(tmp_path: Path) -> None:
    model = checkpoint(tmp_path, dtype="bfloat16")
    assert chosen(model, available=5 * GIB) == "float32"
    assert chosen(model, available=4 * GIB) is None
