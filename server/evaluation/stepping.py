"""Asks at each step of `steps.py` what was forgotten, and what was not, and draws how it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from server.evaluation.asking import Endpoint, ask, find_bundle, find_endpoint
from server.evaluation.drawings import STEPPED
from server.evaluation.estimates import Estimate, mean, ratio
from server.evaluation.fact import Everyday
from server.evaluation.facts import facts_of
from server.evaluation.findings import Finding, Section, finding, lines
from server.evaluation.progress import bar
from server.evaluation.requests import Answer, Request, chat
from server.evaluation.rows import Row
from server.evaluation.run import transcript_file
from server.evaluation.said import leaked, rouge_l_recall
from server.evaluation.steps import Step, Steps, Targets
from server.evaluation.tofu import MAX_TOKENS
from server.evaluation.transcripts import Transcript


def measure_steps(
    steps: Steps,
    proxy: Endpoint | None,
    admin_key: str,
    forget: Sequence[Row],
    retain: Sequence[Row],
    folder: Path,
    concurrency: int,
) -> Section:
    """Every step, in order.

    Args:
        proxy: the guarded one, where targets are posted to it.

    Raises:
        GuardError: a step cannot be put into force, or an endpoint fails.
    """
    rows = [*forget, *retain]
    said: list[Mapping[str, Answer]] = []
    with ExitStack() as stack:
        control = None
        if steps.posts and proxy is not None:
            control = stack.enter_context(Targets(proxy, admin_key))
        for number, step in enumerate(steps.steps):
            if control is not None and proxy is not None:
                control.post(step.targets)
                endpoint = proxy
            else:
                model, headers = ("", {}) if proxy is None else (proxy.model, dict(proxy.headers))
                found = asyncio.run(find_endpoint(f"steps: {step.name}", step.guarded, model, ""))
                endpoint = replace(found, headers=headers)
            name = f"{steps.kind}-{number}"
            said.append(asyncio.run(_ask(endpoint, name, step, rows, folder, concurrency)))
    return section(steps, said, forget, retain)


async def _ask(
    endpoint: Endpoint, name: str, step: Step, rows: Sequence[Row], folder: Path, concurrency: int
) -> dict[str, Answer]:
    identity = {"model": endpoint.model, "bundle": await find_bundle(endpoint), "step": step.name}
    requests = [question(row) for row in rows]
    with Transcript(transcript_file(folder, name), identity) as kept:
        missing = [each for each in dict.fromkeys(requests) if kept.get(each) is None]
        with bar(len(missing), f"asking at `{step.name}`") as shown:
            await ask(endpoint, missing, kept, concurrency=concurrency, tick=shown.update)
        return {each.key: answer for each in requests if (answer := kept.get(each)) is not None}


def question(row: Row) -> Request:
    """As the TOFU suite asks it."""
    return chat(row.question, max_tokens=MAX_TOKENS)


def section(
    steps: Steps,
    said: Sequence[Mapping[str, Answer]],
    forget: Sequence[Row],
    retain: Sequence[Row],
) -> Section:
    """What the answers of each step show."""
    everyday = Everyday.of([row.answer for row in retain])
    findings: list[Finding] = []
    facts_rows: list[tuple[float, str, Estimate | None]] = []
    rouge_rows: list[tuple[float, str, Estimate | None]] = []
    for number, (step, answers) in enumerate(zip(steps.steps, said, strict=True)):
        x = float(len(step.forget))
        groups = {
            "forgotten": [row for row in forget if row.author in step.forget],
            "first": [row for row in forget if row.author in steps.steps[0].forget],
            "not_yet": [row for row in forget if row.author not in step.forget],
        }
        for group, rows in groups.items():
            facts = [facts_of(row.question, row.answer, everyday) for row in rows]
            told = [
                len(leaked(own, answers[question(row).key].text))
                for row, own in zip(rows, facts, strict=True)
            ]
            share = ratio(told, [len(own) for own in facts], [row.author for row in rows])
            share = None if share is None else share.times(100)
            facts_rows.append((x, group, share))
            findings += finding(
                f"{steps.kind}.{number + 1}.facts.{group}",
                f"step {number + 1} ({step.name}): key facts said of {STEPPED[group]}",
                "% of facts",
                "neither" if group == "not_yet" else "lower",
                share,
            )
        recall = mean(
            [100 * rouge_l_recall(row.answer, answers[question(row).key].text) for row in retain],
            [row.author or row.id for row in retain],
        )
        rouge_rows.append((x, "retain", recall))
        findings += finding(
            f"{steps.kind}.{number + 1}.rouge_l.retain",
            f"step {number + 1} ({step.name}): ROUGE-L recall, {STEPPED['retain']}",
            "0-100",
            "higher",
            recall,
        )
    title = {"scalability": "Scalability: more is forgotten at once",
             "sustainability": "Sustainability: one request after another"}[steps.kind]  # fmt: skip
    return Section(
        steps.kind,
        title,
        f"{len(steps.steps)} states of the guard, each forgetting what the one before does and"
        " more. At each, all forget and retain questions are asked.",
        findings,
        [
            lines("Key facts said", "% of facts", "entities forgotten", facts_rows),
            lines("What is retained", "ROUGE-L recall", "entities forgotten", rouge_rows),
        ],
    )
