"""Makes checkpoint folders that vLLM loads. Run as a process of its own, for its memory's sake.

Usage: ``python -m server.launch.convert gguf FILE OUT`` or ``… merge MODEL ADAPTER OUT``.
"""

from __future__ import annotations

import sys
from pathlib import Path


def from_gguf(file: Path, out: Path) -> None:
    """A GGUF file as a bfloat16 checkpoint with its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    place = str(file.parent)
    tokenizer = AutoTokenizer.from_pretrained(place, gguf_file=file.name)
    model = AutoModelForCausalLM.from_pretrained(
        place,
        gguf_file=file.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def merge(model: Path, adapter: Path, out: Path) -> None:
    """A checkpoint with a LoRA adapter folded into its weights."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = AutoModelForCausalLM.from_pretrained(str(model), dtype=torch.bfloat16)
    merged = PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()
    merged.save_pretrained(out)
    AutoTokenizer.from_pretrained(str(model)).save_pretrained(out)


def main(arguments: list[str]) -> int:
    """Run the command line."""
    kind, *paths = arguments
    if kind == "gguf":
        from_gguf(Path(paths[0]), Path(paths[1]))
    else:
        merge(Path(paths[0]), Path(paths[1]), Path(paths[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
