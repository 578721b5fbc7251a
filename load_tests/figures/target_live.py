"""``target-live``: from ``POST /admin/targets`` to the first prompt that is refused for it.

The proxy with the real sentence encoder, before an engine that answers at once and proves what it
is asked to: what is measured is the proxy's own part. With 1, 100 and 1,000 targets in force, each
a person with ten example questions and no alias, more are added one after the other, and each is
asked about in words that none of its examples has. The value is the slowest with 1,000. Beside it
stands what the proxy takes to start with them, for the first time and again.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from collections.abc import Sequence
from statistics import median
from typing import Any, Final

import httpx
import yaml
from fastapi import FastAPI

from classifiers import SentenceEncoder, load_encoder
from load_tests.figure import Figure, Measured, Options, progress, work_folder
from load_tests.instant import KEY, MODEL, instant_engine, until_ready
from server.app import create_app
from server.collector import what_is_there_spared
from server.settings import load_settings

PRESENT: Final = (1, 100, 1000)
_ADDED: Final = 8
_ADMIN: Final = {"authorization": f"Bearer {'a' * 32}"}
_GIVEN: Final = [
    "Ada",
    "Borin",
    "Celia",
    "Dunstan",
    "Edda",
    "Fenn",
    "Greta",
    "Hugo",
    "Isolde",
    "Jorun",
    "Klara",
    "Lorcan",
]
_HEADS: Final = [
    "Quay",
    "Vale",
    "Marsh",
    "Thorn",
    "Wick",
    "Alder",
    "Rowe",
    "Finch",
    "Strou",
    "Hale",
    "Mor",
    "Pell",
]
_TAILS: Final = [
    "bury",
    "field",
    "ington",
    "mere",
    "stead",
    "worth",
    "wyn",
    "shaw",
    "low",
    "combe",
    "by",
    "ford",
]
_ASKED: Final = (
    "Where was {} born?", "What did {} write first?", "Which prize did {} win?",
    "Who taught {}?", "What is the most famous book by {}?", "How old is {}?",
    "Which city does {} live in?", "What genre does {} write?", "Who are the parents of {}?",
    "When did {} publish a novel?",
)  # fmt: skip
_OTHERWISE: Final = "Tell me the place of birth of {}, please."


def measure(options: Options) -> Measured:
    """Add targets to policies of several sizes."""
    encoder = load_encoder()
    details: dict[str, Any] = {}
    for present in [each for each in PRESENT if not options.limit or each <= options.limit]:
        details[str(present)] = asyncio.run(_with(present, encoder))
        progress(f"{present} targets: {details[str(present)]}")
    last = details[list(details)[-1]]
    return Measured(value=last["slowest_s"], n=_ADDED * len(details), details=details)


async def _with(present: int, encoder: SentenceEncoder) -> dict[str, Any]:
    folder = work_folder("target-live")
    for name in ("policies", "bundles"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "policies").mkdir()
    people = _people(present + _ADDED)
    targets = [_target(number, name) for number, name in enumerate(people)]
    policy = yaml.safe_dump({"version": 1, "targets": targets[:present]}, sort_keys=False)
    (folder / "policies" / "all.yaml").write_text(policy)
    settings = load_settings(
        policies=folder / "policies", bundles=folder / "bundles", key=KEY, admin_key="a" * 32,
        decision_log=str(folder / "decisions.jsonl"), upstream="http://127.0.0.1:9",
    )  # fmt: skip
    starts = []
    for _ in range(2):
        started = time.perf_counter()
        app = create_app(settings, encoder=encoder, transport=instant_engine(lambda _: "Well."))
        starts.append(time.perf_counter() - started)
    with what_is_there_spared():
        posts, lives = await _posted(app, targets[present:], people[present:])
    return {
        "start_s": round(starts[0], 1),
        "start_again_s": round(starts[1], 1),
        "post_median_s": round(median(posts), 3),
        "median_s": round(median(lives), 3),
        "slowest_s": round(max(lives), 3),
    }


async def _posted(
    app: FastAPI, targets: Sequence[dict[str, Any]], people: Sequence[str]
) -> tuple[list[float], list[float]]:
    """Of each target how long its POST took, and how long it took to be in force, in seconds."""
    posts, lives = [], []
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://proxy") as client,
    ):
        await until_ready(client)
        for target, name in zip(targets, people, strict=True):
            asked = _OTHERWISE.format(name)
            if await _refused(client, asked, target):
                raise RuntimeError("a prompt is refused before its target is there")
            started = time.perf_counter()
            answer = await client.post("/admin/targets", json=target, headers=_ADMIN)
            posts.append(time.perf_counter() - started)
            if answer.status_code != 201:
                raise RuntimeError(answer.text)
            if not await _refused(client, asked, target):
                raise RuntimeError("a target is not in force after it was answered")
            lives.append(time.perf_counter() - started)
    return posts, lives


async def _refused(client: httpx.AsyncClient, asked: str, target: dict[str, Any]) -> bool:
    body = {"model": MODEL, "messages": [{"role": "user", "content": asked}]}
    answer = await client.post("/v1/chat/completions", json=body)
    return bool(answer.json()["choices"][0]["message"]["content"] == target["refusal"])


def _people(count: int) -> list[str]:
    choice = random.Random(5)
    found: dict[str, None] = {}
    while len(found) < count:
        family = choice.choice(_HEADS) + choice.choice(_TAILS) + choice.choice(("", "e", "s"))
        found[f"{choice.choice(_GIVEN)} {choice.choice(_HEADS)} {family}"] = None
    return list(found)


def _target(number: int, name: str) -> dict[str, Any]:
    return {
        "id": f"person-{number}", "title": f"Person {number}", "reason": "privacy",
        "owner": "load-tests", "respond": "refuse", "refusal": f"Not about number {number}.",
        "detect": {"examples": [asked.format(name) for asked in _ASKED]},
    }  # fmt: skip


FIGURE = Figure(
    name="target-live",
    what="from POST /admin/targets to the first prompt refused for it, with 1,000 targets: slowest",
    unit="s",
    goal="<= 1",
    run=measure,
)
