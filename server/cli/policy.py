"""``unlearn-guard check``, ``compile`` and ``schema``: policies, without serving anything."""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import os
import sys
import tempfile
from collections.abc import Container, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from classifiers.batching import BatchingEncoder
from classifiers.detector import Detector
from classifiers.encoder import Encoder, load_encoder
from classifiers.http_encoder import KEY_VARIABLE
from classifiers.policy_tests import PolicyTestResult, run_policy_tests
from guard.errors import PolicyError
from guard.policy.calibrate import PARAPHRASE
from guard.policy.compile import Compiled, compile_loaded
from guard.policy.load import load_policy
from guard.policy.model import Policy
from guard.policy.problems import InvalidPolicyError
from guard.policy.schema import json_schema
from guard.policy.vectors import Encode
from server.kept_encodings import ENCODINGS, kept_encodings
from server.launch.places import default_places
from server.settings import NO_ENCODER, PREFIX

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

ENCODER_VARIABLE: Final = f"{PREFIX}ENCODER"
OK: Final = 0
TESTS_FAILED: Final = 1
INVALID: Final = 2


def register(subparsers: Subparsers) -> None:
    """Add the three commands."""
    check = subparsers.add_parser(
        "check",
        help="check a policy and run its tests",
        description="Check a policy, compile it aside, and run its own tests."
        " Exit status: 0 all is well, 1 a test failed, 2 the policy is not valid.",
    )
    _add_policy(check)
    check.set_defaults(run=_check)

    compile_ = subparsers.add_parser(
        "compile",
        help="compile a policy into a bundle",
        description="Compile a policy into a bundle and print the bundle's digest.",
    )
    _add_policy(compile_)
    compile_.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder that bundles are kept in"
    )
    compile_.set_defaults(run=_compile)

    schema = subparsers.add_parser(
        "schema",
        help="print the JSON Schema of a policy",
        description="Print the JSON Schema of a policy file, for editors.",
    )
    schema.set_defaults(run=_schema)


def _add_policy(parser: argparse.ArgumentParser) -> None:
    add_path(parser)
    add_encoder(parser, "do without, for policies of names alone")


class _NoMore(argparse.Action):
    """Takes no second path; a shell gives several where a user meant all files of a folder."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        """End the command if there is one."""
        if values:
            parser.error(
                f"{len(values) + 1} paths are given, and a policy is one file or one folder; for"
                " files that belong together give the folder that holds them"
            )


def add_path(parser: argparse.ArgumentParser) -> None:
    """Add the policy that a command is about."""
    parser.add_argument("path", type=Path, metavar="PATH", help="policy file, or folder of them")
    parser.add_argument("more", nargs="*", action=_NoMore, help=argparse.SUPPRESS)


def add_encoder(parser: argparse.ArgumentParser, none: str) -> None:
    """Add ``--encoder`` as the proxy has it.

    Args:
        none: what it means to give ``none``.
    """
    parser.add_argument(
        "--encoder",
        metavar="NAME",
        default=os.environ.get(ENCODER_VARIABLE) or None,
        help="sentence encoder, the one that serves: a folder, a hub id, http://HOST/v1#MODEL, or"
        f" `{NO_ENCODER}` to {none} (default: `{ENCODER_VARIABLE}`, or else MiniLM)",
    )


def out(text: str = "") -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")


def _err(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _check(args: argparse.Namespace) -> int:
    try:
        policy = load_policy(args.path)
        encoder = encoder_for(policy, args.encoder)
        with tempfile.TemporaryDirectory(prefix="unlearn-guard-") as folder:
            compiled = _compile_with(policy, encoder, Path(folder))
        results = asyncio.run(_run_tests(policy, compiled, encoder))
    except PolicyError as error:
        return invalid(error)
    _report(policy, compiled, results)
    return OK if all(result.passed for result in results) else TESTS_FAILED


def _compile(args: argparse.Namespace) -> int:
    try:
        policy = load_policy(args.path)
        compiled = _compile_with(policy, encoder_for(policy, args.encoder), args.out)
    except PolicyError as error:
        return invalid(error)
    for warning in compiled.warnings:
        _err(f"warning: {warning}")
    out(compiled.bundle.digest)
    return OK


def _schema(_: argparse.Namespace) -> int:
    out(json.dumps(json_schema(), indent=2))
    return OK


def encoder_for(policy: Policy, name: str | None) -> Encoder | None:
    """The encoder of that name, if the policy needs one."""
    # Loading takes seconds; a policy of names alone does without.
    if name == NO_ENCODER or not any(
        target.examples or target.statements for target in policy.targets
    ):
        return None
    return load_encoder(name, api_key=os.environ.get(KEY_VARIABLE, ""))


def _compile_with(policy: Policy, encoder: Encoder | None, root: Path) -> Compiled:
    with keeping(encoder) as encode:
        digest = "" if encoder is None else encoder.digest
        return compile_loaded(policy, root, encode=encode, encoder=digest)


def keeping(encoder: Encoder | None) -> AbstractContextManager[Encode | None]:
    """An encoder's function that keeps what it makes where ``serve`` does."""
    return kept_encodings(default_places().bundles / ENCODINGS, encoder)


async def _run_tests(
    policy: Policy, compiled: Compiled, encoder: Encoder | None
) -> list[PolicyTestResult]:
    batching = BatchingEncoder(encoder) if encoder is not None else None
    try:
        return await run_policy_tests(policy.targets, Detector(compiled.bundle, batching))
    finally:
        if batching is not None:
            await batching.aclose()


def invalid(error: PolicyError) -> int:
    """Print what is wrong with a policy; the exit status."""
    errors = error.errors if isinstance(error, InvalidPolicyError) else (error,)
    for item in errors:
        _err(f"error: {item}")
    _err(f"\n{_count(len(errors), 'problem')}. The policy was not compiled.")
    return INVALID


def _report(policy: Policy, compiled: Compiled, results: Sequence[PolicyTestResult]) -> None:
    rows = [
        (
            "target",
            "responds",
            "aliases",
            "phrases",
            "corpus",
            "examples",
            "thresholds",
            "tests passed",
        )
    ]
    for target, made in zip(policy.targets, compiled.targets, strict=True):
        own = [result for result in results if result.target == made.id]
        passed = sum(result.passed for result in own)
        rows.append(
            (
                made.id,
                target.respond if target.mode == "enforce" else "observe",
                str(made.aliases),
                str(made.phrases),
                f"{made.corpus_words} words" if made.corpus_words else "-",
                str(made.examples),
                " ".join(f"{each.threshold:.2f}" for each in made.compared.values()) or "-",
                f"{passed} of {len(own)}" if own else "no tests",
            )
        )
    out("\n".join(columns(rows)))
    for warning in [*map(str, compiled.warnings), *_calibration_warnings(policy, compiled)]:
        out(f"\nwarning: {warning}")
    today = datetime.datetime.now(datetime.UTC).date()
    expired = {t.spec.id for t in policy.targets if t.spec.expires and t.spec.expires < today}
    for result in results:
        if not result.passed:
            out(f"\nfailed: {_failure(result, expired)}")
    out()
    failed = sum(not result.passed for result in results)
    out(f"{_count(failed, 'test')} failed." if failed else "The policy is valid.")


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines, each column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _failure(result: PolicyTestResult, expired: Container[str]) -> str:
    where = f"{result.place.source.file}:{result.place.line}"
    if result.target in expired:
        said = "was not recognised, since the target has expired; set a later date, or remove it"
    elif result.expect == "detected":
        said = "was not recognised; add it to `detect.examples`, or a name in it to `aliases`"
    else:
        said = (
            f"was recognised (score {result.score:.2f}); add it to `detect.counterexamples`,"
            " or remove an alias that it holds"
        )
    return f"{where}: `{result.prompt}` {said}"


def _calibration_warnings(policy: Policy, compiled: Compiled) -> list[str]:
    out = []
    for target, made in zip(policy.targets, compiled.targets, strict=True):
        detect = target.place.at("detect")
        rate = target.spec.detect.max_false_positive_rate
        calibrated = [each.calibration for each in made.compared.values() if each.calibration]
        near = made.compared["neighbour"].calibration if "neighbour" in made.compared else None
        worst = max((each.passed for each in calibrated), default=0.0)
        if worst > rate:
            out.append(
                detect.at("counterexamples").warning(
                    f"{worst:.1%} of the harmless prompts are still taken for the target, more"
                    f" than {rate:.1%}",
                    "remove counterexamples that say the same as an example",
                )
            )
        elif near is not None and near.bound > PARAPHRASE and "contrast" not in made.compared:
            out.append(
                detect.at("counterexamples").warning(
                    "some near misses are so close to an example that a request must almost repeat"
                    f" an example to be recognised (similarity {near.threshold:.2f})",
                    "remove what only differs in a name, and add the name to `aliases`",
                )
            )
    return [str(warning) for warning in out]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
