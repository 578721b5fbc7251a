"""``detect-latency``: what detection takes, alone: no HTTP, no engine, the shipped policies.

Users in a closed loop, each with one request at a time: 1, 16 and 64 of them. *short*: one prompt
of ``everyday.txt``. *conversation*: four turns of a user with three answers between them, each turn
a prompt and each answer two or three sentences of that file. Uncached, every text is encoded;
cached, all of them are known. The arms, ``onnx`` and ``torch``, take turns, and ``plain`` is what
the encoder alone takes for one short text at a time.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from statistics import median
from typing import Any, Final

import numpy as np

from classifiers import BatchingEncoder, Detector, SentenceEncoder, load_encoder
from classifiers.encoder import packaged_folder
from guard.bundle import Bundle
from load_tests.detecting import everyday
from load_tests.figure import ROOT, Figure, Measured, Options, progress, work_folder
from server.detection import find_targets
from server.policies import compile_files
from server.wire.texts import chat_texts

USERS: Final = (1, 16, 64)
# Requests at each number of users, in each round.
_REQUESTS: Final = {"short": 320, "conversation": 64}
_ROUNDS: Final = 2
_SEED: Final = 3

Messages = list[dict[str, str]]


def measure(options: Options) -> Measured:
    """Time each arm with each kind of request and each number of users."""
    arms = {"onnx": load_encoder(), "torch": SentenceEncoder(packaged_folder(), onnx=False)}
    bundle = compile_files(
        ROOT / "policies", work_folder("detect-latency") / "bundles",
        encode=arms["onnx"].encode, encoder=arms["onnx"].digest,
    ).bundle  # fmt: skip
    requests = {
        kind: list(islice(make(), options.limit or _REQUESTS[kind]))
        for kind, make in (("short", _short), ("conversation", _conversations))
    }
    times: dict[tuple[str, ...], list[float]] = {}
    rates: dict[tuple[str, ...], list[float]] = {}
    for _ in range(_ROUNDS):
        for kind, asked in requests.items():
            for users in USERS:
                for arm, encoder in arms.items():
                    for cached in ("uncached", "cached"):
                        key: tuple[str, ...] = (kind, cached, str(users), arm)
                        took, whole = asyncio.run(
                            _ask(bundle, encoder, asked, users, cached=cached == "cached")
                        )
                        times.setdefault(key, []).extend(took)
                        rates.setdefault(key, []).append(len(asked) / whole)
                        progress(f"{key}: p50 {1000 * median(took):.1f} ms")
    details: dict[str, Any] = {"plain_ms": {arm: _plain(each) for arm, each in arms.items()}}
    for key, took in times.items():
        at = details
        for name in key[:-1]:
            at = at.setdefault(name, {})
        at[key[-1]] = {
            "p50_ms": round(1000 * float(np.percentile(took, 50)), 2),
            "p99_ms": round(1000 * float(np.percentile(took, 99)), 2),
            "per_s": round(max(rates[key]), 1),
        }
    value = details["short"]["uncached"]["16"]["onnx"]["p99_ms"]
    return Measured(value=value, n=sum(map(len, times.values())), details=details)


async def _ask(
    bundle: Bundle,
    encoder: SentenceEncoder,
    requests: Sequence[Messages],
    users: int,
    *,
    cached: bool,
) -> tuple[list[float], float]:
    """Seconds that each request took, and all of them."""
    batching = BatchingEncoder(encoder, cache_size=100_000 if cached else 0)
    detector = Detector(bundle, batching)
    waiting = iter(requests)
    took: list[float] = []

    async def ask(messages: Messages) -> None:
        await find_targets(detector, chat_texts({"messages": messages}), frozenset())

    async def user() -> None:
        for messages in waiting:
            started = time.perf_counter()
            await ask(messages)
            took.append(time.perf_counter() - started)

    if cached:
        await asyncio.gather(*map(ask, requests))
    started = time.perf_counter()
    await asyncio.gather(*(user() for _ in range(users)))
    whole = time.perf_counter() - started
    await batching.aclose()
    return took, whole


def _prompts() -> list[str]:
    prompts = [prompt for kind in everyday().values() for prompt in kind]
    random.Random(_SEED).shuffle(prompts)
    return prompts


def _short() -> Iterator[Messages]:
    for prompt in _prompts():
        yield [{"role": "user", "content": prompt}]


def _conversations() -> Iterator[Messages]:
    """Each of texts that no other one has, as far as there are enough."""
    choice = random.Random(_SEED)
    prompts = cycle(_prompts())
    while True:
        messages: Messages = []
        for turn in range(4):
            if turn:
                said = " ".join(islice(prompts, choice.randint(2, 3)))
                messages.append({"role": "assistant", "content": said})
            messages.append({"role": "user", "content": next(prompts)})
        yield messages


def _plain(encoder: SentenceEncoder) -> float:
    """Milliseconds of the encoder for one short text, the median."""
    times = []
    for prompt in _prompts()[:200]:
        started = time.perf_counter()
        encoder.encode([prompt])
        times.append(time.perf_counter() - started)
    return round(1000 * median(times), 2)


FIGURE = Figure(
    name="detect-latency",
    what="detection alone, a short prompt, 16 users at once, nothing cached: 99th percentile",
    unit="ms",
    goal="recorded",
    run=measure,
)
