"""Asks at each step of `steps.py` what was forgotten, and what was not, and draws how it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from guard.errors import GuardError
from server.evaluation.asking import Endpoint, ask, find_endpoint, identify
from server.evaluation.drawings import STEPPED
from server.evaluation.estimates import Estimate, ratio
from server.evaluation.fact import Everyday, Fact
from server.evaluation.facts import facts_of
from server.evaluation.findings import Better, Finding, Section, finding, lines
from server.evaluation.muse import ANSWER_TOKENS, VERBATIM_TOKENS, first_line, knowledge_prompt
from server.evaluation.muse_data import MuseData
from server.evaluation.progress import bar
from server.evaluation.requests import Answer, Request, chat, completion
from server.evaluation.rows import Row
from server.evaluation.run import transcript_file
from server.evaluation.said import leaked, rouge_l_recall
from server.evaluation.steps import Kind, Step, Steps, Targets
from server.evaluation.texts import rouge_l_f1
from server.evaluation.tofu import MAX_TOKENS
from server.evaluation.transcripts import Transcript

_MUSE_NAMES: Final[Mapping[Kind, str]] = {"scalability": "scal", "sustainability": "sust"}
_TITLES: Final[Mapping[Kind, str]] = {
    "scalability": "Scalability: more is forgotten at once",
    "sustainability": "Sustainability: one request after another",
}
_BETTER: Final[Mapping[str, Better]] = {"retain": "higher", "not_yet": "neither"}


@dataclass(frozen=True, slots=True)
class Item:
    """Something that is asked at every step.

    Attributes:
        since: the step from which on it is forgotten, counted from 0; None for what is retained.
        of: how much of it can be said, such as its number of facts.
        said: how much of that an answer says.
    """

    request: Request
    entity: str
    since: int | None
    of: float
    said: Callable[[str], float]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked: items of one data set, and what their figures are."""

    name: str
    what: str
    unit: str
    items: Sequence[Item]


def subjects(
    steps: Steps, forget: Sequence[Row], retain: Sequence[Row], muse: MuseData | None
) -> list[Subject]:
    """What the data at hand allow to be asked at these steps.

    Raises:
        GuardError: nothing, or a step forgets whom the data do not know.
    """
    found = []
    known = {row.author for row in forget}
    for step in steps.steps if forget else ():
        if unknown := [author for author in step.forget if author not in known]:
            raise GuardError(
                f"`--steps`: `{step.name}` forgets `{unknown[0]}`, of whom no question is asked",
                fix="name authors as `author` in forget.jsonl does, and ask enough questions"
                " (`--limit`)",
            )
    if forget and all(step.forget for step in steps.steps):
        found.append(_of_rows(steps, forget, retain))
    if muse is not None and len(muse.steps.get(_MUSE_NAMES[steps.kind], ())) >= len(steps.steps):
        found.append(_of_muse(steps, muse))
    if not found:
        raise GuardError(
            "`--steps`: no data can be asked about",
            fix="give `--tofu` and let each step name the authors that it forgets (`forget`), or"
            f" give `--muse` with a {_MUSE_NAMES[steps.kind]}/forget_N file for each step",
        )
    return found


def _leaked(facts: Sequence[Fact], text: str) -> int:
    return len(leaked(facts, text))


def _first_line_f1(gold: str, text: str) -> float:
    return rouge_l_f1(gold, first_line(text))


def _of_rows(steps: Steps, forget: Sequence[Row], retain: Sequence[Row]) -> Subject:
    everyday = Everyday.of([row.answer for row in retain])
    later = len(steps.steps)
    items = []
    for row in forget:
        since = next((n for n, s in enumerate(steps.steps) if row.author in s.forget), later)
        facts = facts_of(row.question, row.answer, everyday)
        items.append(
            Item(
                chat(row.question, max_tokens=MAX_TOKENS),
                row.author,
                since,
                len(facts),
                partial(_leaked, facts),
            )
        )
    for row in retain:
        items.append(
            Item(
                chat(row.question, max_tokens=MAX_TOKENS),
                row.author or row.id,
                None,
                1.0,
                partial(rouge_l_recall, row.answer),
            )
        )
    return Subject("facts", "key facts said (retained: ROUGE-L recall)", "%", items)


def _of_muse(steps: Steps, muse: MuseData) -> Subject:
    texts = muse.steps[_MUSE_NAMES[steps.kind]]
    later = len(steps.steps)
    items = []
    for passage in muse.verbatim:
        whole = " ".join(f"{passage.prompt} {passage.gold}".split())
        holding = (
            n for n, own in enumerate(texts) if any(whole in " ".join(t.split()) for t in own)
        )
        items.append(
            Item(
                completion(passage.prompt, max_tokens=VERBATIM_TOKENS),
                passage.entity,
                min(next(holding, later), later),
                1.0,
                partial(rouge_l_f1, passage.gold),
            )
        )
    if qa := muse.knowledge.get("retain"):
        for row in qa.rows:
            items.append(
                Item(
                    completion(knowledge_prompt(qa, row), max_tokens=ANSWER_TOKENS),
                    row.author or row.id,
                    None,
                    1.0,
                    partial(_first_line_f1, row.answer),
                )
            )
    return Subject("muse", "ROUGE-L F1, verbatim (retained: knowledge)", "0-100", items)


def measure_steps(
    steps: Steps,
    asked: Sequence[Subject],
    proxy: Endpoint | None,
    admin_key: str,
    folder: Path,
    concurrency: int,
) -> list[Section]:
    """Every step, in order.

    Args:
        proxy: the guarded one, where targets are posted to it.

    Raises:
        GuardError: a step cannot be put into force, or an endpoint fails.
    """
    requests = list(dict.fromkeys(item.request for each in asked for item in each.items))
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
            said.append(asyncio.run(_ask(endpoint, name, step, requests, folder, concurrency)))
    return [section(steps, said, each) for each in asked]


async def _ask(
    endpoint: Endpoint,
    name: str,
    step: Step,
    requests: Sequence[Request],
    folder: Path,
    concurrency: int,
) -> dict[str, Answer]:
    identity = {**await identify(endpoint), "step": step.name}
    with Transcript(transcript_file(folder, name), identity) as kept:
        missing = [each for each in requests if kept.get(each) is None]
        with bar(len(missing), f"asking at `{step.name}`") as shown:
            await ask(endpoint, missing, kept, concurrency=concurrency, tick=shown.update)
        return {each.key: answer for each in requests if (answer := kept.get(each)) is not None}


def section(steps: Steps, said: Sequence[Mapping[str, Answer]], asked: Subject) -> Section:
    """What the answers of each step show."""
    findings: list[Finding] = []
    rows: list[tuple[float, str, Estimate | None]] = []
    for number, (step, answers) in enumerate(zip(steps.steps, said, strict=True)):
        groups: dict[str, list[Item]] = {group: [] for group in STEPPED}
        for item in asked.items:
            if item.since is None:
                groups["retain"].append(item)
                continue
            groups["forgotten" if item.since <= number else "not_yet"].append(item)
            if item.since == 0:
                groups["first"].append(item)
        for group, items in groups.items():
            share = ratio(
                [item.said(answers[item.request.key].text) for item in items],
                [item.of for item in items],
                [item.entity for item in items],
            )
            share = None if share is None else share.times(100)
            rows.append((float(number + 1), group, share))
            findings += finding(
                f"{steps.kind}.{asked.name}.{number + 1}.{group}",
                f"step {number + 1} ({step.name}): {asked.what}, of {STEPPED[group]}",
                asked.unit,
                _BETTER.get(group, "lower"),
                share,
            )
    return Section(
        f"{steps.kind}_{asked.name}",
        _TITLES[steps.kind],
        f"{len(steps.steps)} states of the guard, each forgetting what the one before does and"
        f" more. At each, everything is asked: {asked.what}.",
        findings,
        [lines(asked.what, asked.unit, "step", rows)],
    )
