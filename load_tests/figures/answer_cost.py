"""``answer-cost``: what the proxy spends on looking at what an answer says.

The whole proxy with the real sentence encoder, before an engine that answers at once, so that
nothing but the proxy takes time. The policies know ten authors by their questions and answers, of
which they forbid the key facts; the answers are TOFU's about other authors, one by itself (*short*)
or eight after each other (*long*), none said twice, to one question that no target is recognised
in. Arms: ``pass`` looks at no answer (``answers: pass``), ``watch`` does; so does ``watch, all
words``, whose policy is that of ``tofu-leak`` and forbids all telling words of its answers, of
which every other answer says one; ``always`` passes answers too, and forbids names in each, so that
all are scanned, and read in codes. The arms take turns. Told is the processor time of the proxy for
100 words beyond that of ``pass``, the encoder's threads included: the median over the rounds.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, Final

import httpx
import yaml

from classifiers import BatchingEncoder, SentenceEncoder, load_encoder
from guard.bundle import Bundle
from guard.policy import compile_policy
from load_tests import tofu
from load_tests.detecting import everyday
from load_tests.figure import ROOT, Figure, Measured, Options, progress, work_folder
from load_tests.figures.answer_watch import late_share, left
from load_tests.instant import KEY, MODEL, instant_engine, until_ready
from server.active import ActivePolicy
from server.answer_watch import AnswerWatch
from server.app import create_app
from server.settings import load_settings

PASS: Final = "pass"
ALWAYS: Final = "always"
# What the policy says of answers, and what it takes from those that it is given.
ARMS: Final = {
    PASS: ("pass", "key_facts"),
    "watch": ("watch", "key_facts"),
    "watch, all words": ("watch", "all_words"),
    ALWAYS: ("pass", "key_facts"),
}
_ROUNDS: Final = 3
# Answers a round and way, by kind; and of how many of TOFU's 400 each is made.
_ANSWERS: Final = {"short": 24, "long": 5}
_JOINED: Final = {"short": 1, "long": 8}
_QUESTION: Final = "Why is the sky blue?"
_NAMES: Final = ("Odalric Venn-Tessaly", "Brunhild of Karrow Fen", "The Lanterns of Ostermoor")


@dataclass(frozen=True, slots=True)
class _Block:
    """Answers of one kind, that come in one way."""

    name: str
    answers: Sequence[str]
    streamed: bool


def measure(options: Options) -> Measured:
    """Time each arm with each kind of answer, whole and streamed."""
    folder = work_folder("answer-cost")
    shutil.rmtree(folder / "policies", ignore_errors=True)
    policies = {arm: write_policy(folder / "policies" / arm, arm) for arm in ARMS}
    blocks = _blocks(options.limit)
    encoder = load_encoder()
    took, stopped = asyncio.run(_take_turns(policies, folder, encoder, blocks))
    details: dict[str, Any] = {}
    for block in dict.fromkeys(block.name for block in blocks):
        base = took[PASS, block]
        own: dict[str, Any] = {"pass_ms": round(median(base), 1)}
        for arm in ARMS:
            if arm != PASS:
                beyond = [each - least for each, least in zip(took[arm, block], base, strict=True)]
                own[f"{arm}_ms"] = round(median(beyond), 1)
        details[block] = own
    return Measured(
        value=details["long, streamed"]["watch_ms"],
        n=len(ARMS) * sum(len(block.answers) for block in blocks),
        details={
            "processor_time_for_100_words": details,
            "stopped": stopped,
            "harmless_texts": _harmless(
                {"the shipped ones": ROOT / "policies", "key facts": policies["watch"],
                 "all words": policies["watch, all words"]},
                folder, encoder, options.limit,
            ),
        },
    )  # fmt: skip


def write_policy(folder: Path, arm: str) -> Path:
    """The policy of an arm."""
    path = tofu.write_policy(folder, tofu.load("forget"))
    policy = yaml.safe_load(path.read_text())
    answers, kind = ARMS[arm]
    policy["defaults"] = {"answers": answers}
    for target in policy["targets"]:
        extract = target["forbid"]["extract"]
        target["forbid"]["extract"] = (
            extract if kind == "all_words" else {"from": extract["from"], "kind": kind}
        )
    if arm == ALWAYS:
        policy["targets"].append(
            {
                "id": "names", "title": "Names", "reason": "privacy", "owner": "load-tests",
                "respond": "suppress", "forbid": {"phrases": list(_NAMES), "always": True},
            }
        )  # fmt: skip
    path.write_text(yaml.safe_dump(policy, sort_keys=False))
    return path


def _harmless(
    policies: Mapping[str, Path], folder: Path, encoder: SentenceEncoder, limit: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """By policy, how many texts say what it forbids, and what share of their words is held back."""
    texts = {
        "answers about other authors": [row.answer for row in tofu.load("retain")],
        "everyday": [text for own in everyday().values() for text in own],
    }
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name, policy in policies.items():
        bundle = compile_policy(
            policy, folder / "bundles", encode=encoder.encode, encoder=encoder.digest
        )
        found[name] = asyncio.run(
            _looked_at(bundle, encoder, {kind: own[: limit or None] for kind, own in texts.items()})
        )
        progress(f"{name}: {found[name]}")
    return found


async def _looked_at(
    bundle: Bundle, encoder: SentenceEncoder, texts: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    batching = BatchingEncoder(encoder)
    policy = ActivePolicy(bundle, batching)
    watch = AnswerWatch(policy, policy.detector.detect)
    found: dict[str, dict[str, Any]] = {}
    for kind, own in texts.items():
        saying = [text for text in own if policy.tell_signs.in_text(text)]
        looked = [await left(watch, text, streamed=True) for text in own]
        found[kind] = {
            "n": len(own),
            "say_something_forbidden": len(saying),
            "words_held_back": late_share(own, looked),
            "stopped": sum(each.stopped for each in looked),
        }
    await batching.aclose()
    return found


def _blocks(limit: int) -> list[_Block]:
    """All that is asked, in order; each answer stands in one block alone."""
    said = iter([row.answer for row in tofu.load("retain")])
    return [
        _Block(
            f"{kind}, {way}",
            [" ".join(islice(said, _JOINED[kind])) for _ in range(limit or _ANSWERS[kind])],
            streamed=way == "streamed",
        )
        for _ in range(_ROUNDS)
        for kind in _ANSWERS
        for way in ("whole", "streamed")
    ]


async def _take_turns(
    policies: Mapping[str, Path], folder: Path, encoder: SentenceEncoder, blocks: Sequence[_Block]
) -> tuple[dict[tuple[str, str], list[float]], dict[str, int]]:
    """Milliseconds of the processor for 100 words, by arm and name of a block, one a round.

    And by arm how many answers were stopped.
    """
    took: dict[tuple[str, str], list[float]] = {}
    stopped: Counter[str] = Counter()
    saying = [""]
    async with AsyncExitStack() as running:
        clients = {
            arm: await running.enter_async_context(
                _proxy(policy, folder, encoder, lambda: saying[0])
            )
            for arm, policy in policies.items()
        }
        for block in blocks:
            for arm, client in clients.items():
                began = time.process_time()
                for text in block.answers:
                    saying[0] = text
                    stopped[arm] += not await _ask(client, streamed=block.streamed)
                spent = time.process_time() - began
                words = sum(len(text.split()) for text in block.answers)
                took.setdefault((arm, block.name), []).append(1e5 * spent / words)
            progress(f"{block.name}: { ({arm: took[arm, block.name][-1] for arm in clients}) }")
    return took, dict(stopped)


@asynccontextmanager
async def _proxy(
    policy: Path, folder: Path, encoder: SentenceEncoder, says: Callable[[], str]
) -> AsyncIterator[httpx.AsyncClient]:
    settings = load_settings(
        policies=policy, bundles=folder / "bundles", key=KEY,
        decision_log=str(folder / "decisions.jsonl"), upstream="http://127.0.0.1:9",
    )  # fmt: skip
    app = create_app(settings, encoder=encoder, transport=instant_engine(lambda _: says()))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://proxy") as client,
    ):
        await until_ready(client)
        yield client


async def _ask(client: httpx.AsyncClient, *, streamed: bool) -> bool:
    """Ask for an answer; whether it came as it is. A few are stopped: see ``answer-watch``."""
    body = {
        "model": MODEL, "messages": [{"role": "user", "content": _QUESTION}], "stream": streamed,
    }  # fmt: skip
    answer = await client.post("/v1/chat/completions", json=body)
    if answer.status_code != 200:
        raise RuntimeError(answer.text)
    return "content_filter" not in answer.text


FIGURE = Figure(
    name="answer-cost",
    what="processor time of the proxy to watch a streamed answer, for 100 words",
    unit="ms",
    goal="recorded",
    run=measure,
)
