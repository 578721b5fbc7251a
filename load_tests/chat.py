"""Asks many questions of a chat endpoint at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from guard.plan import XARG, GuardPlan, sign_plan
from load_tests.figure import progress

DECISION_HEADER = "x-guard-decision"
_TIMEOUT_S = 600.0

# More fields for the request about the prompt of that index, made when it is sent.
Extra = Callable[[int], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to ask: address without ``/v1``, and the model's served name."""

    url: str
    model: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One request's answers.

    Attributes:
        decision: the proxy's decision id; empty when asked of the engine.
        tokens: completion tokens of all its answers together.
    """

    texts: tuple[str, ...]
    finish: tuple[str, ...]
    decision: str
    tokens: int


def with_plan(plan: GuardPlan, key: bytes, **more: Any) -> Extra:
    """Fields for asking the engine directly, as the proxy would; signed when sent."""
    return lambda _: {"vllm_xargs": {XARG: sign_plan(plan, key)}, **more}


def nothing_more(_: int) -> Mapping[str, Any]:
    """For asking through the proxy, or an engine without guard."""
    return {}


def ask_all(
    endpoint: Endpoint,
    prompts: Sequence[str],
    *,
    label: str,
    concurrency: int,
    extra: Extra = nothing_more,
    **fields: Any,
) -> list[Answer]:
    """The answers to ``prompts``, in their order, each asked as one user message.

    Args:
        label: for the progress lines.
        concurrency: how many requests are in flight at once.
        fields: of every request, such as ``max_tokens``.

    Raises:
        RuntimeError: a request that was not answered; with what the server said.
    """
    return asyncio.run(_ask_all(endpoint, prompts, label, concurrency, extra, fields))


async def _ask_all(
    endpoint: Endpoint,
    prompts: Sequence[str],
    label: str,
    concurrency: int,
    extra: Extra,
    fields: Mapping[str, Any],
) -> list[Answer]:
    gate = asyncio.Semaphore(concurrency)
    started = time.monotonic()
    done = 0

    async with httpx.AsyncClient(
        base_url=endpoint.url,
        timeout=_TIMEOUT_S,
        trust_env=False,
        limits=httpx.Limits(max_connections=concurrency),
    ) as client:

        async def ask(index: int, prompt: str) -> Answer:
            nonlocal done
            async with gate:
                body = {
                    "model": endpoint.model,
                    "messages": [{"role": "user", "content": prompt}],
                    **fields,
                    **extra(index),
                }
                answer = _read(await client.post("/v1/chat/completions", json=body))
            done += 1
            if done % 100 == 0 or done == len(prompts):
                progress(f"{label}: {done}/{len(prompts)} in {time.monotonic() - started:.0f} s")
            return answer

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(i, prompt)) for i, prompt in enumerate(prompts)]
        return [task.result() for task in tasks]


def _read(response: httpx.Response) -> Answer:
    if response.status_code != 200:
        raise RuntimeError(f"the server answered {response.status_code}: {response.text[:500]}")
    body = response.json()
    choices = sorted(body["choices"], key=lambda choice: choice["index"])
    return Answer(
        texts=tuple(choice["message"]["content"] or "" for choice in choices),
        finish=tuple(choice["finish_reason"] or "" for choice in choices),
        decision=response.headers.get(DECISION_HEADER, ""),
        tokens=body["usage"]["completion_tokens"],
    )
