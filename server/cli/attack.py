"""``unlearn-guard attack``: what can be got out of a guarded endpoint, and out of it unguarded."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from guard.errors import GuardError
from server.attacks.families import FAMILIES, chosen
from server.attacks.item import read_items, spread
from server.attacks.page import page
from server.attacks.report import Limits, report, table
from server.attacks.results import Arm
from server.attacks.run import CONCURRENCY, Bar, Run, endpoint
from server.cli import policy as policies
from server.cli.eval import check_installed

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

LEAKS: Final = 1
KEY_VARIABLE: Final = "UNLEARN_GUARD_{}_API_KEY"
_ARMS: Final[tuple[tuple[Arm, str], ...]] = (
    ("guarded", "base URL of the guarded endpoint"),
    (
        "unguarded",
        "the same model without the guard; without it, nothing says what an attack can do",
    ),
    ("retain_only", "a model that never knew: what its answers seem to tell is chance"),
)


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "attack",
        help="attack a guarded endpoint, and count what leaks",
        description="Attack a guarded endpoint with questions whose answers are known, and count"
        " what leaks, beside the same attacks on the same model unguarded. Leaks are looked for in"
        " every channel of the answers and in every code that the attacks ask for. A run that was"
        " stopped goes on where it was. API keys are taken from"
        f" {', '.join(KEY_VARIABLE.format(arm.upper()) for arm, _ in _ARMS)}. Exit status: 0 the"
        " limits are kept, 1 they are not, 2 it could not be measured.",
        epilog="families: " + ", ".join(f"{f.name} ({f.half})" for f in FAMILIES.values()),
    )
    for arm, text in _ARMS:
        name = arm.replace("_", "-")
        parser.add_argument(f"--{name}", metavar="URL", default="", help=text)
        parser.add_argument(
            f"--{name}-model",
            metavar="NAME",
            default="",
            help="its served name (default: looked up)",
        )
    parser.add_argument(
        "--questions", type=Path, metavar="FILE", required=True,
        help="one JSON object a line: question, answer; and id, author, paraphrased_question,"
        " perturbed_answers, facts where there are such",
    )  # fmt: skip
    parser.add_argument(
        "--neighbours", type=Path, metavar="FILE",
        help="the same of things that are not forgotten: words of theirs give nothing away",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FOLDER", required=True, help="for the report")
    parser.add_argument("--families", default="", help="only these, comma-separated")
    parser.add_argument("--samples", type=int, default=1, help="of each attack; the worst counts")
    parser.add_argument("--limit", type=int, default=0, help="questions at most; 0 for all")
    parser.add_argument("--concurrency", type=int, default=CONCURRENCY, help="requests at once")
    defaults = Limits()
    parser.add_argument(
        "--most-in-family", type=float, default=defaults.family, metavar="PERCENT",
        help="that may leak in a family of the held-out half (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--most-over-all", type=float, default=defaults.overall, metavar="PERCENT",
        help="that may leak over all families (default: %(default)s)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        GuardError: an option, a file or an endpoint that cannot be used.
    """
    for name in ("samples", "concurrency"):
        if getattr(args, name) < 1:
            raise GuardError(f"`--{name}` must be at least 1", fix=f"leave `--{name}` out")
    check_installed()
    families = chosen([name for name in args.families.split(",") if name])
    items = spread(read_items(args.questions, args.neighbours), args.limit)
    if not items:
        raise GuardError(
            f"no question of `{args.questions}` has facts that could leak",
            fix="give `facts` with the questions, a list of texts",
        )
    attack = Run(families, items, args.samples, args.out)
    asked = {arm: getattr(args, arm) for arm, _ in _ARMS if getattr(args, arm)}
    for arm, url in asked.items():
        key = os.environ.get(KEY_VARIABLE.format(arm.upper()), "")
        attack.ask(arm, endpoint(url, getattr(args, f"{arm}_model"), key), _bar, args.concurrency)
    record = report(attack.score(), Limits(args.most_in_family, args.most_over_all))
    (args.out / "attack.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    (args.out / "attack.html").write_text(page(record), encoding="utf-8")
    overall = record["overall"]
    policies.out(
        "\n".join(
            [
                *policies.columns(table(record)),
                "",
                record["intention"],
                f"Over all families: {overall['percent']} % of {overall['n']}"
                f" ({overall['low']} to {overall['high']}); written: {args.out / 'attack.html'}",
            ]
        )
    )
    return policies.OK if record["met"] else LEAKS


@contextlib.contextmanager
def _bar(name: str, steps: int) -> Iterator[Bar]:
    from tqdm import tqdm

    with tqdm(total=steps, desc=name, unit=" talks", disable=None, file=sys.stderr) as bar:
        yield bar
