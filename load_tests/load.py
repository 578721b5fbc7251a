"""``python -m load_tests load``: users of every kind on the real stack, for a bounded time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from guard.normalise import normalise
from guard.policy import load_policy
from load_tests import stack
from load_tests.figure import ROOT, work_folder
from load_tests.figures.identity import prompts
from load_tests.locustfile import SCENARIO_VARIABLE, Scenario

USERS = 16
SECONDS = 60


def scenario(policy: Path, model: str) -> Scenario:
    """What users ask: everyday prompts, and the examples of targets that suppress."""
    targets = [t for t in load_policy(policy).targets if t.respond == "suppress" and t.examples]
    forbidden = {
        normalise(text)
        for target in targets
        for text in (
            *target.extracted.facts,
            *(
                phrase if isinstance(phrase, str) else phrase.text
                for phrase in target.spec.forbid.phrases
                if isinstance(phrase, str) or phrase.strength == "hard"
            ),
        )
    }
    return Scenario(
        model=model,
        flagged=tuple(example for target in targets for example in target.examples),
        unflagged=tuple(prompts()),
        forbidden=tuple(sorted(forbidden)),
    )


def run() -> int:
    """Start the stack, load it, print what locust counted as one JSON object.

    Returns:
        0 when every request was answered as it must be, else 1.
    """
    folder = work_folder("load")
    bundles, key = folder / "bundles", stack.new_key()
    policy = ROOT / "policies"
    with (
        stack.engine(stack.demo_model(), folder=folder, bundles=bundles, key=key) as engine,
        stack.proxy(engine, policy, folder=folder, bundles=bundles, key=key) as proxy,
    ):
        asked = scenario(policy, proxy.model)
        if not asked.flagged:
            raise RuntimeError("no target of the policy suppresses and has examples to ask")
        file = folder / "scenario.json"
        file.write_text(
            json.dumps({name: getattr(asked, name) for name in Scenario.__dataclass_fields__})
        )
        done = subprocess.run(
            [
                sys.executable, "-m", "locust", "--locustfile", "load_tests/locustfile.py",
                "--headless", "--users", str(USERS), "--spawn-rate", "4", "--run-time",
                f"{SECONDS}s", "--stop-timeout", "60", "--host", proxy.url, "--json",
                "--exit-code-on-error", "1",
            ],
            cwd=ROOT,
            env={**os.environ, SCENARIO_VARIABLE: str(file)},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )  # fmt: skip
    stats = json.loads(done.stdout)
    print(json.dumps({"users": USERS, "seconds": SECONDS, "requests": [_row(s) for s in stats]}))
    return 0 if done.returncode == 0 and not any(s["num_failures"] for s in stats) else 1


def _row(stats: dict[str, Any]) -> dict[str, Any]:
    times = sorted((int(ms), count) for ms, count in stats["response_times"].items())
    return {
        "name": stats["name"],
        "requests": stats["num_requests"],
        "failures": stats["num_failures"],
        "p50_ms": _percentile(times, 0.5),
        "p95_ms": _percentile(times, 0.95),
    }


def _percentile(times: list[tuple[int, int]], share: float) -> int:
    wanted, seen = share * sum(count for _, count in times), 0
    for ms, count in times:
        seen += count
        if seen >= wanted:
            return ms
    return 0
