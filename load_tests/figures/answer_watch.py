"""``answer-watch``: what is still told where no question is recognised at all.

The model that knows ten authors by heart is asked about them without a guard, as if detection knew
no question. Its answers are then looked at as ``server/answer_watch.py`` looks at them, by the
policy of ``tofu-leak``: whole, and as streams of words, watched and held. A fact counts where what
leaves before the answer is stopped says it; an answer that is made again counts as one that says
nothing (``tofu-leak`` says what it would). Other answers, that must not be stopped: to questions
about other authors, real authors and the world, and to everyday prompts.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from classifiers import BatchingEncoder, PlacedText, SentenceEncoder, load_encoder
from guard.bundle import Bundle, write_bundle
from guard.decision import Detection
from guard.plan import GuardPlan
from guard.policy import compile_policy
from load_tests import stack, tofu
from load_tests.chat import Answer, ask_all, with_plan
from load_tests.detecting import everyday
from load_tests.figure import Figure, Measured, Options, progress, work_folder
from load_tests.intervals import by_group, wilson
from server.active import ActivePolicy
from server.answer_watch import AnswerWatch, WatchedStream
from server.decisions import Decision
from server.evaluation.fact import Everyday
from server.evaluation.leaks import LeakCounter
from server.evaluation.rows import Row
from server.sse import DONE_EVENT, encode_event

CONCURRENCY: Final = 16
MAX_TOKENS: Final = 80
# How an answer is looked at.
WAYS: Final = ("whole", "watched", "held")
_SETS: Final = ("forget", "retain", "real_authors", "world_facts")
_WORD: Final = re.compile(r"\s*\S+|\s+$")
# Of each kind of everyday prompt so many are asked.
_OF_A_KIND: Final = 16
_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Left:
    """What of an answer left, and whether it was stopped."""

    text: str
    stopped: bool


async def left(watch: AnswerWatch, text: str, *, streamed: bool) -> Left:
    """What of an answer leaves a proxy that has nothing in force for it."""
    if not streamed:
        choice = {"index": 0, "message": {"content": text}}
        told = await watch.told(json.dumps({"choices": [choice]}).encode())
        return Left("" if told else text, bool(told))

    async def source() -> AsyncIterator[bytes]:
        for word in _WORD.findall(text):
            yield _event(word)
        yield _event("", "stop")
        yield DONE_EVENT

    decision = Decision("chat")
    stream = WatchedStream(watch, "chat", decision, drain=False)
    said = []
    async for event in stream.events(source(), choices=1):
        if event != DONE_EVENT:
            (choice,) = json.loads(event.removeprefix(b"data: "))["choices"]
            said.append(choice["delta"].get("content") or "")
    return Left("".join(said), bool(decision.cuts))


def _event(said: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": said}, "finish_reason": finish}
    return encode_event(json.dumps({"choices": [choice]}).encode())


def measure(options: Options) -> Measured:
    """Ask the model, and look at what it says."""
    folder = work_folder("answer-watch")
    rows = {name: tofu.load(name)[: options.limit or None] for name in _SETS}
    prompts = [p for own in everyday().values() for p in own[: options.limit or _OF_A_KIND]]
    rows["everyday"] = [Row(f"e-{place}", "", p, "") for place, p in enumerate(prompts)]
    bundles, key = folder / "bundles", stack.new_key()
    plan = GuardPlan(write_bundle(bundles, targets=[], phrases=[]).digest)
    answers: dict[str, list[Answer]] = {}
    with stack.engine(tofu.model(), folder=folder, bundles=bundles, key=key) as engine:
        for name, own in rows.items():
            answers[name] = ask_all(
                engine, [row.question for row in own], label=f"no guard, {name}",
                concurrency=CONCURRENCY, extra=with_plan(plan, key.encode()),
                max_tokens=MAX_TOKENS, temperature=0,
            )  # fmt: skip
    # As a person might have put the answers, had the model known them in other words.
    rows["forget_paraphrased"] = rows["forget"]
    answers["forget_paraphrased"] = [
        Answer((row.paraphrased_answer,), ("stop",), "", 0) for row in rows["forget"]
    ]
    encoder = load_encoder()
    policy = tofu.write_policy(folder / "policy", tofu.load("forget"))
    bundle = compile_policy(policy, bundles, encode=encoder.encode, encoder=encoder.digest)
    looked = asyncio.run(_look(bundle, encoder, answers))
    counter = LeakCounter(Everyday.of([row.answer for row in tofu.load("retain")]))
    told = {
        name: _told(counter, rows[name], answers[name], looked[name])
        for name in ("forget", "forget_paraphrased")
    }
    harmless = {
        name: _stopped(rows[name], answers[name], looked[name]) for name in rows if name not in told
    }
    return Measured(
        value=told["forget"]["whole"]["facts_share"],
        n=told["forget"]["facts"],
        details={"told": told, "harmless": harmless, "max_tokens": MAX_TOKENS},
    )


async def _look(
    bundle: Bundle, encoder: SentenceEncoder, answers: Mapping[str, Sequence[Answer]]
) -> dict[str, dict[str, list[Left]]]:
    """By set and way, what of each answer leaves."""
    batching = BatchingEncoder(encoder)
    policy = ActivePolicy(bundle, batching)

    async def detect(texts: Sequence[PlacedText]) -> list[tuple[Detection, ...]]:
        return await policy.detector.detect(texts)

    watches = {way: AnswerWatch(policy, detect, hold=way == "held") for way in WAYS}
    looked: dict[str, dict[str, list[Left]]] = {}
    for name, own in answers.items():
        began = time.perf_counter()
        looked[name] = {
            way: [await left(watch, each.texts[0], streamed=way != "whole") for each in own]
            for way, watch in watches.items()
        }
        spent = (time.perf_counter() - began) / len(own)
        progress(f"{name}: {len(own)} answers looked at, {1000 * spent:.1f} ms each for all ways")
    await batching.aclose()
    return looked


def _told(
    counter: LeakCounter,
    rows: Sequence[Row],
    answers: Sequence[Answer],
    looked: Mapping[str, Sequence[Left]],
) -> dict[str, Any]:
    """The facts that leave, without a watch and by each way."""
    texts = {"unwatched": [each.texts[0] for each in answers]}
    texts |= {way: [each.text for each in own] for way, own in looked.items()}
    found: dict[str, Any] = {}
    for way, said in texts.items():
        leaks = counter.count(rows, [Answer((text,), ("stop",), "", 0) for text in said])
        found[way] = {"facts_share": leaks.leaked_share, "facts": leaks.leaked}
    for way, own in looked.items():
        by_author: dict[str, list[bool]] = {}
        for row, each in zip(rows, own, strict=True):
            by_author.setdefault(row.author, []).append(each.stopped)
        found[way]["stopped"] = sum(each.stopped for each in own) / len(own)
        found[way]["stopped_interval"] = by_group(by_author)
        found[way]["passed"] = [
            {"question": row.question, "answer": answer.texts[0]}
            for row, answer, each in zip(rows, answers, own, strict=True)
            if not each.stopped
        ][:_SHOWN]
    return {"facts": leaks.facts, **found}


def _stopped(
    rows: Sequence[Row], answers: Sequence[Answer], looked: Mapping[str, Sequence[Left]]
) -> dict[str, Any]:
    """The answers that were stopped, though they are about nothing to be forgotten."""
    found: dict[str, Any] = {"n": len(rows)}
    for way, own in looked.items():
        stopped = sum(each.stopped for each in own)
        found[way] = {"stopped": stopped, "interval": wilson(stopped, len(own))}
    found["cases"] = [
        {"question": row.question, "answer": answer.texts[0]}
        for row, answer, each in zip(rows, answers, looked["whole"], strict=True)
        if each.stopped
    ]
    return found


FIGURE = Figure(
    name="answer-watch",
    what="facts told where no question is recognised, by whole answers that are looked at",
    unit="% of facts",
    goal="recorded, beside answers not looked at",
    run=measure,
)
