"""``unlearn-guard calibrate``: what each target's threshold rests on, for the policy's owner."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from classifiers.encoder import Encoder
from guard.errors import GuardError, PolicyError
from guard.policy.calibrate import Kind
from guard.policy.compile import compile_loaded
from guard.policy.load import load_policy
from server.cli import policy as policies
from server.cli.calibration import MethodReport, TargetReport, percent, report

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

# Texts encoded between two movements of the progress bar.
_STEP: Final = 64


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "calibrate",
        help="show what each target's detection threshold rests on",
        description="Calibrate each target's threshold as compiling does, and show how many"
        " harmless prompts it lets be taken for the target, how sure that is, and which come"
        " closest. Exit status: 0 done, 2 the policy is not valid.",
    )
    policies.add_path(parser)
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="also write calibration.json and .html there"
    )
    policies.add_encoder(parser, "show names alone")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        GuardError: no encoder, no matplotlib for the page, or a folder that cannot be written.
    """
    if args.report is not None and importlib.util.find_spec("matplotlib") is None:
        raise GuardError(
            "`--report` draws its curves with matplotlib, which is not installed",
            fix="install `unlearn-guard[report]`, or leave `--report` out",
        )
    try:
        policy = load_policy(args.path)
        encoder = policies.encoder_for(policy, args.encoder)
        shown = None if encoder is None else _ShownEncoder(encoder)
        with (
            tempfile.TemporaryDirectory(prefix="unlearn-guard-") as folder,
            policies.keeping(shown) as encode,
        ):
            compiled = compile_loaded(
                policy,
                Path(folder),
                encode=encode,
                encoder="" if encoder is None else encoder.digest,
            )
    except PolicyError as error:
        return policies.invalid(error)
    targets = report(policy, compiled)
    policies.out(_table(targets))
    if args.report is not None:
        _write(args.report, targets, compiled.bundle.encoder)
    return policies.OK


class _ShownEncoder:
    """An encoder that shows its progress on a terminal, where it takes some time."""

    def __init__(self, encoder: Encoder) -> None:
        self.digest = encoder.digest
        self.parallel = encoder.parallel
        self._encoder = encoder

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        from tqdm import tqdm

        rows = []
        off = True if len(texts) <= _STEP else None
        with tqdm(total=len(texts), desc="encoding", unit=" texts", disable=off) as bar:
            for start in range(0, len(texts), _STEP):
                rows.append(self._encoder.encode(texts[start : start + _STEP]))
                bar.update(len(rows[-1]))
        return np.concatenate(rows) if rows else self._encoder.encode([])


def _table(targets: Sequence[TargetReport]) -> str:
    rows: list[tuple[str, ...]] = [
        (
            "target", "method", "threshold", "examples", "recognised", "near misses", "taken",
            "at most", "everyday", "taken", "at most", "allowed",
        )
    ]  # fmt: skip
    for target in targets:
        rows += [_row(target, method) for method in target.methods] or [
            (target.id, "names", *["-"] * 9, percent(target.rate))
        ]
    lines = policies.columns(rows)
    lines += [
        "",
        "neighbour: similarity to the nearest example; contrast: whether a prompt says what only"
        " the target's examples say, not the same about others; letters: runs of three letters"
        " that it shares with an example, the rarer the more",
        "recognised: examples that the others recognise, each left out in turn",
        "near misses, everyday: your counterexamples, and general prompts shipped with the guard;"
        " how many reach the threshold",
        "at most: of new prompts like these, with 95% confidence; allowed: the method's part of"
        " your `detect.max_false_positive_rate`",
    ]
    for target in targets:
        lines += ["", f"{target.id}: {target.title}"]
        if target.recognised is not None:
            lines.append(f"  {percent(target.recognised)} of its examples are recognised.")
        lines += [f"  {remark}" for remark in target.remarks]
        for method in target.methods:
            lines.append(
                f"  Closest harmless prompts by {method.method} (- passes, ! is taken for it):"
            )
            for near in method.closest:
                mark = "!" if near.score >= method.threshold else "-"
                lines.append(f"  {mark} {near.score:.3f}  {shorten(near.prompt)}")
    return "\n".join(lines)


def _row(target: TargetReport, method: MethodReport) -> tuple[str, ...]:
    return (
        target.id,
        method.method,
        f"{method.threshold:.3f}" + (" (given)" if method.origin == "given" else ""),
        str(target.examples),
        percent(method.recognised),
        *_kind(method, "counterexamples"),
        *_kind(method, "general"),
        percent(method.rate),
    )


def _kind(method: MethodReport, kind: Kind) -> tuple[str, str, str]:
    own = method.bounds.get(kind)
    if own is None:
        return ("-", "-", "-")
    return (str(own.n), percent(method.taken[kind]), percent(own.at_most))


def shorten(prompt: str, length: int = 90) -> str:
    """A prompt on one line."""
    line = " ".join(prompt.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def _write(folder: Path, targets: Sequence[TargetReport], encoder: str) -> None:
    from server.cli.calibration_page import page

    record = {"encoder": encoder, "targets": [target.json() for target in targets]}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "calibration.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        (folder / "calibration.html").write_text(page(targets), encoding="utf-8")
    except OSError as error:
        raise GuardError(
            f"cannot write to `{folder}` ({error.strerror})", fix="give a folder you may write to"
        ) from error
    sys.stderr.write(f"written: {folder / 'calibration.json'}, {folder / 'calibration.html'}\n")
