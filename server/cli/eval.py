"""``unlearn-guard eval``: what a guarded model still says beside the unguarded one, as a report."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from guard.errors import GuardError

if TYPE_CHECKING:
    from server.evaluation.asking import Endpoint
    from server.evaluation.findings import Section
    from server.evaluation.report import Report
    from server.evaluation.steps import Steps
    from server.evaluation.texts import Encode

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

KEY_PREFIX: Final = "UNLEARN_GUARD_EVAL_KEY_"
ADMIN_VARIABLE: Final = "UNLEARN_GUARD_EVAL_ADMIN_KEY"
# As in server/evaluation/choosing.py, which the help of other commands need not import.
SUITES: Final = (
    "tofu", "muse", "copyright", "ununlearning", "membership", "fluency", "cost", "choices",
    "steps",
)  # fmt: skip
MISSED: Final = 1
_NEEDS: Final = ("rouge_score", "rapidfuzz", "datasketch", "scipy", "sklearn")


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "eval",
        help="measure what a guarded model still says, and what the guard costs",
        description="Ask a guarded and an unguarded endpoint the same questions, and write"
        " report.json and report.html. What was answered is kept in DIR: run it again and it goes"
        " on, also with one endpoint at a time. Exit status: 0 done, 1 a threshold is missed, 2"
        " something cannot be used.",
        epilog="API keys come from the environment: "
        + ", ".join(f"{KEY_PREFIX}{arm}" for arm in ("GUARDED", "UNGUARDED", "RETAIN_ONLY"))
        + f"; for `--steps`, {ADMIN_VARIABLE}. The unguarded endpoint may be the same proxy, asked"
        " with the key of a tenant that is exempt from the targets.",
    )
    arms = parser.add_argument_group("endpoints (OpenAI-compatible base URLs)")
    for arm, text in (
        ("guarded", "the model behind the guard"),
        ("unguarded", "the same model without"),
        ("retain-only", "a model that never learned what is forgotten: what chance says"),
    ):
        arms.add_argument(f"--{arm}", metavar="URL", help=text)
        arms.add_argument(
            f"--{arm}-model", metavar="NAME", default="", help="its served name, if it has several"
        )
    data = parser.add_argument_group("data (each suite runs where its data are given)")
    data.add_argument(
        "--tofu", type=Path, metavar="DIR", help="forget.jsonl, retain.jsonl and so on"
    )
    data.add_argument("--muse", type=Path, metavar="DIR", help="verbmem, knowmem, privleak")
    data.add_argument(
        "--texts", type=Path, nargs="+", default=(), metavar="FILE", help="protected texts"
    )
    data.add_argument(
        "--choices",
        type=Path,
        metavar="FILE",
        help="multiple choice, JSON lines of question, choices, answer",
    )
    data.add_argument(
        "--steps",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="states of the guard, for scalability or sustainability",
    )
    data.add_argument(
        "--refusal",
        action="append",
        default=[],
        metavar="TEXT",
        help="a refusal of the policy, as users read it; may be given again",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", required=True, help="of the report")
    parser.add_argument(
        "--suites", metavar="A,B", type=_suites, default=SUITES, help=f"of {', '.join(SUITES)}"
    )
    parser.add_argument("--quick", action="store_true", help="fewer questions: some minutes")
    parser.add_argument(
        "--limit", type=int, default=0, metavar="N", help="at most so many questions of each set"
    )
    parser.add_argument("--thresholds", type=Path, metavar="FILE", help="bounds, as YAML")
    parser.add_argument(
        "--prompt-format",
        metavar="TEXT",
        help="how raw completions write a question: holds {question}, ends with {prefix}",
    )
    parser.add_argument(
        "--encoder",
        metavar="NAME",
        help="for semantic similarity: a folder, a hub id, http://HOST/v1#MODEL, or none",
    )
    parser.add_argument("--concurrency", type=_positive, default=16, metavar="N")
    parser.set_defaults(run=run)


def _suites(text: str) -> tuple[str, ...]:
    chosen = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in chosen:
        if name not in SUITES:
            raise argparse.ArgumentTypeError(f"`{name}` is none of {', '.join(SUITES)}")
    return chosen


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        GuardError: an endpoint, a file of data or a threshold that cannot be used.
    """
    check_installed()
    from server.evaluation.choosing import Data, Sizes, chosen_suites
    from server.evaluation.findings import Section
    from server.evaluation.prefixes import PLAIN_FORMAT
    from server.evaluation.report import Report
    from server.evaluation.run import Answers, Plan, evaluate
    from server.evaluation.steps import read_steps
    from server.evaluation.thresholds import judge, read_thresholds

    thresholds = read_thresholds(args.thresholds) if args.thresholds else []
    data = Data(args.tofu, args.muse, tuple(args.texts), args.choices, tuple(args.refusal))
    steps = [read_steps(file) for file in args.steps] if "steps" in args.suites else []
    texts = bool((args.muse or args.texts) and "copyright" in args.suites)
    chosen = chosen_suites(
        data,
        args.suites,
        Sizes.of(quick=args.quick, limit=args.limit),
        prompt_format=args.prompt_format or PLAIN_FORMAT,
        encode=_encode(args.encoder) if texts else None,
        may_be_none=bool(steps),
    )
    endpoints = asyncio.run(_endpoints(args))
    said, sections = Answers({}), list[Section]()
    if chosen.suites:
        said, sections = evaluate(Plan(chosen.suites, endpoints, args.out, args.concurrency))
    for own in steps:
        sections += _stepped(own, args, endpoints)
    verdicts = judge(thresholds, sections)
    settings = {"date": datetime.now(UTC).date().isoformat(), **chosen.settings}
    report = Report(sections, said.identities, settings, verdicts)
    return _finish(report, args.out)


def _stepped(
    steps: Steps, args: argparse.Namespace, endpoints: dict[str, Endpoint]
) -> list[Section]:
    from server.evaluation.choosing import Sizes
    from server.evaluation.muse_data import read_muse
    from server.evaluation.reading import read_tofu
    from server.evaluation.sampling import sample
    from server.evaluation.stepping import measure_steps, subjects

    if steps.posts and "guarded" not in endpoints:
        raise GuardError("`--steps` posts targets to `--guarded`", fix="give its address")
    sets = read_tofu(args.tofu) if args.tofu else {}
    most = Sizes.of(quick=args.quick, limit=args.limit).questions
    forget, retain = (
        sample(sets.get(name, []), most, lambda row: row.author or row.id)
        for name in ("forget", "retain")
    )
    asked = subjects(steps, forget, retain, read_muse(args.muse) if args.muse else None)
    admin_key = os.environ.get(ADMIN_VARIABLE, "")
    proxy = endpoints.get("guarded")
    return measure_steps(steps, asked, proxy, admin_key, args.out, args.concurrency)


def _encode(name: str | None) -> Encode | None:
    from classifiers.encoder import load_encoder

    if name == "none":
        return None
    return load_encoder(name).encode


def check_installed() -> None:
    """Refuse at once where the libraries that answers are scored with are missing.

    Raises:
        GuardError: one is not installed.
    """
    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise GuardError(
            f"answers are scored with {', '.join(missing)}, not installed here",
            fix="install `unlearn-guard[eval]`",
        )


async def _endpoints(args: argparse.Namespace) -> dict[str, Endpoint]:
    from server.evaluation.asking import find_endpoint

    found = {}
    for arm in ("guarded", "unguarded", "retain_only"):
        if url := getattr(args, arm):
            key = os.environ.get(KEY_PREFIX + arm.upper(), "")
            found[arm] = await find_endpoint(
                arm.replace("_", "-"), url, getattr(args, f"{arm}_model"), key
            )
    return found


def _finish(report: Report, folder: Path) -> int:
    for place in report.write(folder):
        sys.stderr.write(f"written: {place}\n")
    missed = [each for each in report.verdicts if not each.met]
    for each in report.verdicts:
        sys.stdout.write(
            f"{'met   ' if each.met else 'MISSED'} {each.threshold}: {each.measured:.4g}\n"
        )
    return MISSED if missed else 0
