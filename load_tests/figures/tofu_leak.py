"""``tofu-leak``: what a model that knows ten authors by heart still says of them.

Three arms on one engine: no guard (a plan with nothing active), vLLM's own ``bad_words`` with the
same phrases, and the guard through the real proxy. ``bad_words`` has no detection, so it holds the
phrases of all ten authors in every request, as an application would have to.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from guard.bundle import write_bundle
from guard.plan import GuardPlan
from guard.policy import load_policy
from load_tests import stack, tofu
from load_tests.chat import Answer, Endpoint, Extra, ask_all, nothing_more, with_plan
from load_tests.decisions import read_decisions
from load_tests.figure import Figure, Measured, Options, progress, work_folder
from load_tests.leaks import count, leaks_in_words

CONCURRENCY = 16
MAX_TOKENS = 80
# What was asked, by the name of the set: the questions and their answers.
Asked = dict[str, tuple[list[tofu.Row], list[Answer]]]

# vLLM's own limits are 128 words and 1,024 tokens a request.
_BAD_WORDS_ENVIRON = {
    "VLLM_MAX_NUM_BAD_WORDS": "100000",
    "VLLM_MAX_BAD_WORDS_TOTAL_TOKENS": "1000000",
}


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to ask."""

    name: str
    endpoint: Endpoint
    extra: Extra


def measure(options: Options) -> Measured:
    """Serve the model, ask in each way, count."""
    every_row = tofu.load("forget")
    forget = every_row[: options.limit or None]
    retain = tofu.load("retain")[: options.limit or None]
    folder = work_folder("tofu-leak")
    policy = tofu.write_policy(folder / "policy", every_row)
    phrases = [fact for target in load_policy(policy).targets for fact in target.extracted]
    bundles, key = folder / "bundles", stack.new_key()
    log = folder / "decisions.jsonl"
    log.unlink(missing_ok=True)
    plan = GuardPlan(write_bundle(bundles, targets=[], phrases=[]).digest)
    by_arm: dict[str, Asked] = {}
    with (
        stack.engine(
            tofu.model(), folder=folder, bundles=bundles, key=key, environ=_BAD_WORDS_ENVIRON
        ) as engine,
        stack.proxy(
            engine, policy, folder=folder, bundles=bundles, key=key, decision_log=log
        ) as proxy,
    ):
        arms = [
            Arm("no_guard", engine, with_plan(plan, key.encode())),
            Arm("bad_words", engine, with_plan(plan, key.encode(), bad_words=phrases)),
            Arm("guard", proxy, nothing_more),
        ]
        for arm in arms:
            by_arm[arm.name] = _ask(arm, forget, retain, options, folder)
    results: dict[str, dict[str, Any]] = {
        name: {what: asdict(count(rows, answers)) for what, (rows, answers) in asked.items()}
        for name, asked in by_arm.items()
    }
    for name in ("bad_words", "guard"):
        results[name]["leaks"] = leaks_in_words(*by_arm[name]["forget"], phrases)
    decided = read_decisions(log)
    results["guard"]["flagged"] = {
        what: sum(bool(decided[answer.decision].active) for answer in answers)
        for what, (_, answers) in by_arm["guard"].items()
    }
    return Measured(
        value=_ratio(results, "forget"),
        n=results["guard"]["forget"]["facts"],
        details={
            "ratio": {what: _ratio(results, what) for what in by_arm["guard"] if what != "retain"},
            "retain_change": round(
                results["guard"]["retain"]["rouge_l_recall"]
                - results["no_guard"]["retain"]["rouge_l_recall"],
                2,
            ),
            "phrases": len(phrases),
            "questions": {"forget": len(forget), "retain": len(retain)},
            "samples": options.samples,
            "arms": results,
        },
    )


def _ratio(results: dict[str, dict[str, Any]], what: str) -> float:
    """Facts leaked under the guard over those under ``bad_words``; NaN where both are none."""
    guard, base = (results[name][what]["leaked"] for name in ("guard", "bad_words"))
    return round(guard / base, 4) if base else math.nan


def _ask(
    arm: Arm, forget: list[tofu.Row], retain: list[tofu.Row], options: Options, folder: Path
) -> Asked:
    paraphrased = [replace(row, question=row.paraphrased_question) for row in forget]
    asked: Asked = {}

    def ask(what: str, rows: list[tofu.Row], **fields: Any) -> None:
        answers = ask_all(
            arm.endpoint,
            [row.question for row in rows],
            label=f"{arm.name}, {what}",
            concurrency=CONCURRENCY,
            extra=arm.extra,
            max_tokens=MAX_TOKENS,
            **fields,
        )
        with (folder / f"{arm.name}-{what}.jsonl").open("w", encoding="utf-8") as file:
            for row, answer in zip(rows, answers, strict=True):
                file.write(json.dumps({**asdict(row), **asdict(answer)}) + "\n")
        asked[what] = (rows, answers)
        progress(f"{arm.name}, {what}: {count(rows, answers)}")

    ask("forget", forget, temperature=0)
    ask("retain", retain, temperature=0)
    ask("forget_paraphrased", paraphrased, temperature=0)
    if options.samples:
        # Without a seed: on a CPU, vLLM 0.32 ends at a seeded request whose prompt is prefilled in
        # chunks ("CPU Generator does not use offset").
        ask("forget_sampled", forget, temperature=1, n=options.samples)
    return asked


FIGURE = Figure(
    name="tofu-leak",
    what="key facts of ten forgotten authors that still leak, guard over vLLM's bad_words",
    unit="ratio",
    goal="<= 0.1, with ROUGE-L recall on retain within 1 point of no guard",
    run=measure,
)
