"""``answer-watch``: what is still told where no question is recognised at all.

As if detection knew no question about ten authors, answers that know them by heart are looked at as
``server/answer_watch.py`` looks at them, by the policy of ``tofu-leak``: whole, and as streams of
words. The answers are TOFU's own: what the model of ``tofu-leak`` says without a
guard, nearly to the word (its ROUGE-L recall is 100), and the same in other words. A fact counts
where what leaves before the answer is stopped says it; an answer that is made again counts as one
that says nothing (``tofu-leak`` says what it would). Answers about other authors, real authors and
the world must not be stopped, nor everyday texts; and of their streams few words be held back.

Where a question was recognised, what its answer says in a code is read (``server/coded.py``): told
is how many gold answers are then ended, written in each code, with their author's target in force;
and how many of the other texts, as they are, with one author's in force after the other.
"""

from __future__ import annotations

import asyncio
import base64
import codecs
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from classifiers import BatchingEncoder, SentenceEncoder, load_encoder
from guard.bundle import Bundle
from guard.policy import compile_policy
from load_tests import tofu
from load_tests.chat import Answer
from load_tests.detecting import everyday
from load_tests.figure import Figure, Measured, Options, progress, work_folder
from load_tests.instant import words_of
from load_tests.intervals import by_group, wilson
from server.active import ActivePolicy
from server.answer_watch import AnswerWatch, WatchedStream
from server.decisions import Decision
from server.evaluation.fact import Everyday
from server.evaluation.leaks import LeakCounter
from server.evaluation.rows import Row
from server.sse import DONE_EVENT, encode_event

# How an answer is looked at.
WAYS: Final = ("whole", "streamed")
_SETS: Final = ("forget", "retain", "real_authors", "world_facts")
CODES: Final[Mapping[str, Callable[[str], str]]] = {
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "backwards": lambda text: text[::-1],
    "leetspeak": lambda text: text.translate(str.maketrans("aeiost", "431057")),
    "base64 of rot13": lambda text: base64.b64encode(
        codecs.encode(text, "rot13").encode()
    ).decode(),
}
_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Left:
    """What of an answer left, whether it was stopped, and how many words left later than said."""

    text: str
    stopped: bool
    late: int = 0


async def left(watch: AnswerWatch, text: str, *, streamed: bool) -> Left:
    """What of an answer leaves a proxy that has nothing in force for it."""
    if not streamed:
        choice = {"index": 0, "message": {"content": text}}
        told = await watch.told(json.dumps({"choices": [choice]}).encode())
        return Left("" if told else text, bool(told))

    said: list[str] = []
    late = 0

    async def source() -> AsyncIterator[bytes]:
        nonlocal late
        for place, word in enumerate(words_of(text), 1):
            yield _event(word)
            late += len(said) < place
        yield _event("", "stop")
        yield DONE_EVENT

    decision = Decision("chat")
    stream = WatchedStream(watch, "chat", decision, drain=False)
    async for event in stream.events(source(), choices=1):
        if event != DONE_EVENT:
            (choice,) = json.loads(event.removeprefix(b"data: "))["choices"]
            said.append(choice["delta"].get("content") or "")
    return Left("".join(said), bool(decision.cuts), late)


def _event(said: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": said}, "finish_reason": finish}
    return encode_event(json.dumps({"choices": [choice]}).encode())


def measure(options: Options) -> Measured:
    """Look at the answers."""
    folder = work_folder("answer-watch")
    rows = {name: tofu.load(name)[: options.limit or None] for name in _SETS}
    said = {name: [row.answer for row in own] for name, own in rows.items()}
    for name in ("forget", "retain"):
        rows[f"{name}, paraphrased"] = rows[name]
        said[f"{name}, paraphrased"] = [row.paraphrased_answer for row in rows[name]]
    texts = [text for own in everyday().values() for text in own[: options.limit or None]]
    rows["everyday"] = [Row(f"e-{place}", "", "", text) for place, text in enumerate(texts)]
    said["everyday"] = texts
    encoder = load_encoder()
    policy = tofu.write_policy(folder / "policy", tofu.load("forget"))
    bundle = compile_policy(
        policy, folder / "bundles", encode=encoder.encode, encoder=encoder.digest
    )
    looked = asyncio.run(_look(bundle, encoder, said))
    signs = ActivePolicy(bundle, BatchingEncoder(encoder)).tell_signs
    coded = asyncio.run(_coded(bundle, encoder, rows["forget"], [*said["retain"], *texts]))
    counter = LeakCounter(Everyday.of([row.answer for row in tofu.load("retain")]))
    told = {
        name: _told(counter, rows[name], said[name], looked[name])
        for name in ("forget", "forget, paraphrased")
    }
    harmless = {
        name: {
            "say_something_forbidden": sum(bool(signs.in_text(text)) for text in said[name]),
            "words_held_back": late_share(said[name], looked[name]["streamed"]),
            **_stopped(said[name], looked[name]),
        }
        for name in rows
        if name not in told
    }
    return Measured(
        value=told["forget"]["whole"]["facts_share"],
        n=told["forget"]["facts"],
        details={"told": told, "harmless": harmless, "coded": coded},
    )


async def _look(
    bundle: Bundle, encoder: SentenceEncoder, said: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, list[Left]]]:
    """By set and way, what of each answer leaves."""
    batching = BatchingEncoder(encoder)
    policy = ActivePolicy(bundle, batching)
    watch = AnswerWatch(policy, policy.detector.detect)
    looked: dict[str, dict[str, list[Left]]] = {}
    for name, own in said.items():
        began = time.perf_counter()
        looked[name] = {
            way: [await left(watch, text, streamed=way == "streamed") for text in own]
            for way in WAYS
        }
        spent = (time.perf_counter() - began) / len(own)
        progress(f"{name}: {len(own)} answers looked at, {1000 * spent:.1f} ms each for all ways")
    await batching.aclose()
    return looked


async def _coded(
    bundle: Bundle, encoder: SentenceEncoder, rows: Sequence[Row], others: Sequence[str]
) -> dict[str, Any]:
    """By code, how many answers of recognised questions are ended; and of the others."""
    batching = BatchingEncoder(encoder)
    policy = ActivePolicy(bundle, batching)
    active = {
        row.author: await policy.active_set([f"author-{row.author}"], frozenset()) for row in rows
    }
    ended = {
        name: sum(active[row.author].hides(code(row.answer)) is not None for row in rows)
        for name, code in CODES.items()
    }
    chance = [text for text in others for own in active.values() if own.hides(text) is not None]
    progress(f"codes: {ended} of {len(rows)}, by chance {len(chance)}")
    await batching.aclose()
    looks = len(others) * len(active)
    return {"answers": len(rows), "ended": ended, "chance": len(chance), "chance_looks": looks}


def _told(
    counter: LeakCounter,
    rows: Sequence[Row],
    said: Sequence[str],
    looked: Mapping[str, Sequence[Left]],
) -> dict[str, Any]:
    """The facts that leave, without a watch and by each way."""
    ways = {"unwatched": list(said)}
    ways |= {way: [each.text for each in own] for way, own in looked.items()}
    found: dict[str, Any] = {}
    for way, texts in ways.items():
        leaks = counter.count(rows, [Answer((text,), ("stop",), "", 0) for text in texts])
        found[way] = {"facts_share": leaks.leaked_share, "facts": leaks.leaked}
    for way, own in looked.items():
        by_author: dict[str, list[bool]] = {}
        for row, each in zip(rows, own, strict=True):
            by_author.setdefault(row.author, []).append(each.stopped)
        found[way]["stopped"] = sum(each.stopped for each in own) / len(own)
        found[way]["stopped_interval"] = by_group(by_author)
        found[way]["passed"] = [
            text for text, each in zip(said, own, strict=True) if not each.stopped
        ][:_SHOWN]
    return {"facts": leaks.facts, **found}


def late_share(said: Sequence[str], looked: Sequence[Left]) -> float:
    """The share of words that leave later than they are said."""
    words = sum(len(words_of(text)) for text in said)
    return round(sum(each.late for each in looked) / words, 4)


def _stopped(said: Sequence[str], looked: Mapping[str, Sequence[Left]]) -> dict[str, Any]:
    """The texts that were stopped, though they are about nothing to be forgotten."""
    found: dict[str, Any] = {"n": len(said)}
    for way, own in looked.items():
        stopped = sum(each.stopped for each in own)
        found[way] = {"stopped": stopped, "interval": wilson(stopped, len(own))}
    found["cases"] = [
        text for text, each in zip(said, looked["whole"], strict=True) if each.stopped
    ]
    return found


FIGURE = Figure(
    name="answer-watch",
    what="facts told where no question is recognised, by whole answers that are looked at",
    unit="% of facts",
    goal="recorded, beside answers not looked at",
    run=measure,
)
