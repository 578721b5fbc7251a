"""``unlearn-guard memorise``: a small model that knows data by heart, and a twin that does not.

Both are for trying the guard: `unlearn-guard eval` and `attack` compare them.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from guard.errors import GuardError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "memorise",
        help="make a small model learn a data set by heart, to try the guard on",
        description="Fine-tune a model (LoRA, CPU, fixed seed) until it says DATA by heart, and"
        " beside it a twin that learns only what is retained. Writes OUT/knows and"
        " OUT/retain-only. With the demo model and policies/data/invented it takes some minutes.",
    )
    parser.add_argument(
        "data", type=Path, metavar="DATA", help="folder with tofu/ and muse/ in their layouts"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", required=True, help="of the models")
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="checkpoint to start from (default: demo model)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        GuardError: data or a model that cannot be used, or that are not learned.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from server.evaluation.lessons import read_lessons
    from server.evaluation.memorise import memorise
    from server.launch.models import prepare_demo_model
    from server.launch.places import default_places

    if args.model is not None and not (args.model / "config.json").is_file():
        raise GuardError(
            f"`--model`: `{args.model}` is not a model: it has no `config.json`",
            fix="give the folder of a Hugging Face checkpoint",
        )
    base = args.model or prepare_demo_model(default_places().cache, _tell)
    for name, forget in (("knows", True), ("retain-only", False)):
        lessons = read_lessons(args.data, forget=forget)
        learned = memorise(base, lessons, args.out / name, partial(_tell_pass, name))
        _tell(
            f"{name}: {learned.by_heart:g}% of {learned.questions} answers by heart after"
            f" {learned.epochs} passes, {learned.seconds:.0f} s: {args.out / name}"
        )
    return 0


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _tell_pass(name: str, number: int, loss: float) -> None:
    _tell(f"{name}: pass {number}, {loss:.3f} nats a token")
