"""Brings the locks in line with pyproject.toml. Run by `make lock`, with any Python that has pip.

Versions that still fit stay as they are; delete a lock before to have the newest of everything.

The resolver is uv, from the package registry, in an environment that is thrown away. It is given
the torch wheel as a file, found as install.py finds it, because where that wheel comes from differs
from machine to machine.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from install import REQUIREMENTS, ROOT, TORCH, TORCH_INDEX

UV = "uv>=0.9"
EXCLUDES = REQUIREMENTS / "excludes.txt"
# What each is, from which extras, and what else uv is told.
LOCKS = {
    "cpu.lock": (
        "Everything for vllm on CPU, the demo, the adapters and development.",
        ("cpu", "demo", "langchain", "llama-index", "dev"),
        ("requirements/linux.txt", "--overrides", "requirements/overrides.txt"),
    ),
    "proxy.lock": ("The proxy and its sentence encoder, without vllm.", ("encoder",), ()),
}


def main() -> int:
    """Resolve each lock; 0 when all are written."""
    with tempfile.TemporaryDirectory(prefix="unlearn-guard-lock-") as folder:
        place = Path(folder)
        subprocess.run([sys.executable, "-m", "venv", str(place / "venv")], check=True)
        pip = [str(place / "venv" / "bin" / "pip"), "-q"]
        subprocess.run([*pip, "install", UV], check=True)
        fetch = [*pip, "download", "--no-deps", "-d", str(place / "torch"), "-r", str(TORCH)]
        if subprocess.run(fetch, stderr=subprocess.DEVNULL).returncode:
            subprocess.run([*fetch, "--index-url", TORCH_INDEX], check=True)
        for name, (text, extras, more) in LOCKS.items():
            out = place / name
            if (REQUIREMENTS / name).exists():
                shutil.copy(REQUIREMENTS / name, out)
            subprocess.run(
                [
                    str(place / "venv" / "bin" / "uv"), "pip", "compile", "pyproject.toml", *more,
                    *(part for extra in extras for part in ("--extra", extra)),
                    "--constraint", str(TORCH.relative_to(ROOT)),
                    "--excludes", str(EXCLUDES.relative_to(ROOT)),
                    "--find-links", str(place / "torch"),
                    "--python-version", "3.11", "--universal",
                    "--generate-hashes", "--no-emit-package", "torch",
                    "--no-header", "--quiet", "--output-file", str(out),
                ],
                cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            head = (
                f"# {text} Made by `make lock`; do not edit.\n"
                "# A closure: install with `pip install --no-deps --require-hashes`, after"
                " torch.txt.\n\n"
            )
            (REQUIREMENTS / name).write_text(head + _entries_only(out.read_text()))
            print(f"wrote requirements/{name}")
    return 0


def _entries_only(lock: str) -> str:
    """Without uv's closing note on what it left out."""
    return lock.partition("\n# The following packages were excluded")[0].rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
