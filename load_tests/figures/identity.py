"""``identity``: an unflagged prompt gets the very answer it would get without any guard.

One request at a time in both arms: in a batch, the order of float additions on a CPU depends on
who else is in it, so that two runs of the *same* engine may differ. For the same reason the
proxy's canary, a request like any other, is asked at the start only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from guard.bundle_loading import load_bundle
from load_tests import stack, tofu
from load_tests.chat import Answer, Endpoint, ask_all
from load_tests.decisions import read_decisions
from load_tests.figure import (
    ROOT,
    Figure,
    Measured,
    NotMeasurableError,
    Options,
    work_folder,
)

MAX_TOKENS = 48
PROMPTS = Path(__file__).parents[1] / "prompts.txt"


def prompts() -> list[str]:
    """Everyday prompts; and TOFU's questions of real knowledge, where that data is."""
    out = PROMPTS.read_text(encoding="utf-8").splitlines()
    try:
        rows = [*tofu.load("real_authors"), *tofu.load("world_facts")]
    except NotMeasurableError:
        rows = []
    return out + [row.question for row in rows]


def measure(options: Options) -> Measured:
    """The same prompts of the proxy with a guarded engine, and of vLLM with no processor loaded."""
    asked = prompts()[: options.limit or None]
    folder = work_folder("identity")
    bundles, key = folder / "bundles", stack.new_key()
    log = folder / "decisions.jsonl"
    log.unlink(missing_ok=True)
    model = stack.demo_model()
    with (
        stack.engine(model, folder=folder, bundles=bundles, key=key) as engine,
        stack.proxy(
            engine,
            ROOT / "policies",
            folder=folder,
            bundles=bundles,
            key=key,
            decision_log=log,
            canary=False,
        ) as proxy,
    ):
        guarded = _ask(proxy, asked, "guarded")
    with stack.engine(model, folder=folder, bundles=bundles, key=key, guard=False) as engine:
        plain = _ask(engine, asked, "plain")
    decided = read_decisions(log)
    lines = [decided[answer.decision] for answer in guarded]
    unflagged = [i for i, line in enumerate(lines) if not (line.active or line.standing)]
    differ = [i for i in unflagged if guarded[i].texts != plain[i].texts]
    (folder / "differ.json").write_text(
        json.dumps([[asked[i], guarded[i].texts, plain[i].texts] for i in differ], indent=1)
    )
    if not unflagged:
        raise NotMeasurableError("the policy flags every prompt, so there is nothing to compare")
    return Measured(
        value=round(100 * (1 - len(differ) / len(unflagged)), 2),
        n=len(unflagged),
        details={
            "prompts": len(asked),
            "flagged": [asked[i] for i in range(len(asked)) if i not in set(unflagged)],
            "differ": [asked[i] for i in differ],
            "max_tokens": MAX_TOKENS,
            "policy_targets": _targets(bundles),
        },
    )


def _ask(endpoint: Endpoint, asked: Iterable[str], label: str) -> list[Answer]:
    return ask_all(
        endpoint, list(asked), label=label, concurrency=1, max_tokens=MAX_TOKENS, temperature=0
    )


def _targets(bundles: Path) -> int:
    """How many targets the served policy has, the canary left out."""
    digest = next(path.name for path in bundles.iterdir() if not path.name.startswith("."))
    return len(load_bundle(bundles, digest).targets) - 1


FIGURE = Figure(
    name="identity",
    what="unflagged prompts whose greedy answer is byte-identical with and without the guard",
    unit="%",
    goal="100",
    run=measure,
)
