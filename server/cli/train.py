"""``unlearn-guard train``: learn from a whole policy what few other targets are asked with."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from guard.errors import PolicyError
from guard.policy.load import load_policy
from guard.policy.model import PolicyTarget
from guard.policy.train import Learnt, train
from guard.policy.trained import trained_path, write_trained
from server.cli import policy as policies
from server.cli.calibration import method_report, percent

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "train",
        help="learn which words few but a target are asked with",
        description="Learn from all targets of a policy together which words each is described by,"
        " so that a prompt that names nothing is recognised. What is learnt is written beside the"
        " policy and goes live like an edit of it. A target works without, and one that is changed"
        " is only trained again by this command. Exit status: 0 done, 2 the policy is not valid.",
    )
    policies.add_path(parser)
    parser.add_argument(
        "--json", action="store_true", help="print what was learnt as JSON, not as a table"
    )
    policies.add_encoder(parser, "learn words alone")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        GuardError: no such encoder, or the policy's folder cannot be written.
    """
    path = trained_path(args.path)
    try:
        # A file of an older version must not keep from training anew.
        policy = load_policy(args.path, trained=False)
    except PolicyError as error:
        return policies.invalid(error)
    encoder = policies.encoder_for(policy, args.encoder)
    with policies.keeping(encoder) as encode:
        learnt = train(
            policy, _progress, encode=encode, encoder="" if encoder is None else encoder.digest
        )
    write_trained(learnt.trained, path)
    policies.out(_json(learnt) if args.json else _table(learnt))
    sys.stderr.write(f"written: {path}, for whoever serves `{args.path}`\n")
    return policies.OK


def _progress(targets: Sequence[PolicyTarget]) -> Iterable[PolicyTarget]:
    from tqdm import tqdm

    shown: Iterable[PolicyTarget] = tqdm(targets, desc="training", unit=" targets", disable=None)
    return shown


def _json(learnt: Learnt) -> str:
    return json.dumps(
        {
            target: {
                "near_misses": learnt.near[target],
                "in_use": own.threshold is not None,
                "calibration": own.calibration,
            }
            for target, own in learnt.trained.targets.items()
        },
        indent=1,
    )


def _table(learnt: Learnt) -> str:
    rows: list[tuple[str, ...]] = [
        ("target", "threshold", "recognised", "near misses", "taken", "at most", "allowed")
    ]
    few = []
    for target in learnt.trained.targets:
        compared = learnt.compared.get(target)
        if compared is None:
            few.append(f"{target} ({learnt.near[target]} of {learnt.asked[target]})")
            rows.append((target, *["-"] * 6))
            continue
        made = method_report("keywords", compared)
        kinds = [kind for kind in ("counterexamples", "targets") if kind in made.bounds]
        rows.append(
            (
                target,
                f"{made.threshold:.2f}",
                percent(made.recognised),
                " + ".join(str(made.bounds[kind].n) for kind in kinds),
                percent(max(made.taken[kind] for kind in kinds)),
                percent(max(made.bounds[kind].at_most for kind in kinds)),
                percent(made.rate),
            )
        )
    lines = policies.columns(rows)
    lines += [
        "",
        "recognised: examples whose words other examples and answers show, each left out in turn",
        "near misses: your counterexamples, and what other targets are asked with; how many reach"
        " the threshold; at most so many of new ones, with 95% confidence",
    ]
    if few:
        lines.append(
            f"Nothing is learnt of {', '.join(few)}: there are too few near misses to promise its"
            " `max_false_positive_rate`. Add counterexamples, or other targets with answers"
            " (`forbid.extract`)."
        )
    return "\n".join(lines)
