"""The kernels compile for GPUs, which needs none."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("triton", reason="Triton is not installed; torch for GPUs brings it")

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from guard.engine.gpu.advance import advance_kernel
from guard.engine.gpu.boundary import best_kernel, keep_kernel
from guard.engine.gpu.finishing import finishing_kernel
from guard.engine.gpu.penalise import penalise_kernel

# Types of arguments that are no integers.
POINTERS = {
    "*fp32": ("logits", "best_logit"),
    "*i1": ("active", "goes_on"),
    "*i32": (
        *("owner", "local_of_row", "input_ids", "committed", "noted", "best_token"),
        *("records", "texts", "letter_counts", "code_points"),
    ),
    "*i64": (
        *(
            "state",
            "read_until",
            "row_state",
            "row_pending",
            "slot_of_row",
            "positions",
            "order",
            "segments",
        ),
        *("letter_values", "word_values", "factors", "salts", "lead_tokens"),
    ),
}
TYPE = {name: kind for kind, names in POINTERS.items() for name in names}


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(
    ("kernel", "constants", "warps"),
    [
        (advance_kernel, {}, 1),
        (penalise_kernel, {"SETTLES": False}, 4),
        (penalise_kernel, {"SETTLES": True}, 4),
        (finishing_kernel, {}, 4),
        (best_kernel, {}, 4),
        (keep_kernel, {}, 4),
    ],
)
def test_a_kernel_compiles_and_no_integer_is_specialised(
    kernel: Any,
    constants: dict[str, bool],
    warps: int,
    capability: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    integers = set(kernel.arg_names) - TYPE.keys() - constants.keys()
    # Else a step with another number of rows would wait for the compiler.
    assert integers == {p.name for p in kernel.params if p.do_not_specialize} - TYPE.keys()
    signature = {name: TYPE.get(name, "i32") for name in kernel.arg_names}
    signature |= dict.fromkeys(constants, "constexpr")
    compiled = triton.compile(
        ASTSource(fn=kernel, signature=signature, constexprs=constants),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": warps},
    )
    assert compiled.asm["cubin"]
