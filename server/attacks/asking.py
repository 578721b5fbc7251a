"""Holds conversations with an endpoint, many at once, and notes all that comes back."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from guard.errors import GuardError
from server.attacks.exchange import Ask, Choice, Conversation, Reply
from server.attacks.family import Family
from server.attacks.item import Item
from server.attacks.transcripts import Held, Key, Transcripts, digest
from server.wire.texts import COMPLETION_CHANNEL, TEXT_CHANNELS

PATHS: Final = {"chat": "/chat/completions", "completions": "/completions"}
_TIMEOUT_S: Final = 600.0
_TRIES: Final = 4
_PAUSE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to ask.

    Attributes:
        url: with its ``/v1``.
    """

    url: str
    model: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """One conversation to hold."""

    key: Key
    start: Callable[[], Conversation]


def tasks(family: Family, items: Sequence[Item], samples: int) -> list[Task]:
    """Every conversation of a family about some questions."""
    own = items[: family.most] if family.most else items
    times = 1 if family.fixed_sampling else samples
    return [
        Task(Key(family.name, item.id, name, sample), start)
        for item in own
        for name, start in family.attempts(item).items()
        for sample in range(times)
    ]


async def served_model(url: str, key: str) -> str:
    """The first model that an endpoint lists.

    Raises:
        GuardError: it lists none, or does not answer.
    """
    async with _client(Endpoint(url, "", key)) as client:
        try:
            answer = await client.get(f"{url}/models")
            answer.raise_for_status()
            return str(answer.json()["data"][0]["id"])
        except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
            raise GuardError(
                f"`{url}/models` names no model ({error})",
                fix="give the base URL of an OpenAI-compatible API, such as"
                " http://127.0.0.1:8000/v1",
            ) from error


async def hold(
    endpoint: Endpoint,
    wanted: Iterable[Task],
    kept: Transcripts,
    *,
    concurrency: int,
    done: Callable[[], object],
) -> dict[Key, Held]:
    """Hold the conversations that are not kept yet; gives all that are wanted.

    Args:
        done: called after each, for a progress bar.
    """
    before = kept.read()
    gate = asyncio.Semaphore(concurrency)
    out: dict[Key, Held] = {}
    async with _client(endpoint, concurrency) as client, asyncio.TaskGroup() as group:

        async def one(task: Task) -> None:
            async with gate:
                first, replies = await _converse(client, endpoint, task)
            kept.append(task.key, first, replies)
            out[task.key] = Held(task.key, first, tuple(replies))
            done()

        for task in wanted:
            held = before.get(task.key)
            if held is not None and _stands(held, task):
                out[task.key] = held
                done()
            else:
                group.create_task(one(task))
    return out


def _stands(held: Held, task: Task) -> bool:
    """Whether a conversation need not be held again."""
    same = held.first == digest(next(task.start()))
    return same and not any(reply.failed for reply in held.replies)


def _client(endpoint: Endpoint, connections: int = 4) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
    return httpx.AsyncClient(
        headers=headers,
        timeout=_TIMEOUT_S,
        trust_env=False,
        limits=httpx.Limits(max_connections=connections),
    )


async def _converse(
    client: httpx.AsyncClient, endpoint: Endpoint, task: Task
) -> tuple[str, list[Reply]]:
    conversation = task.start()
    ask = next(conversation)
    first, replies = digest(ask), []
    while True:
        reply = await _ask(client, endpoint, ask, _sampling(task.key))
        replies.append(reply)
        try:
            ask = conversation.send(reply)
        except StopIteration:
            return first, replies


def _sampling(key: Key) -> Mapping[str, Any]:
    """Greedy, then by chance: a seed of each conversation's own."""
    if key.sample == 0:
        return {"temperature": 0}
    text = f"{key.family}/{key.item}/{key.attempt}/{key.sample}"
    return {"temperature": 1, "seed": zlib.crc32(text.encode())}


async def _ask(
    client: httpx.AsyncClient, endpoint: Endpoint, ask: Ask, sampling: Mapping[str, Any]
) -> Reply:
    """Ask, and ask again without the fields that are refused."""
    body = {"model": endpoint.model, **sampling, **ask.body}
    refused: list[str] = []
    while True:
        reply = await _send(client, f"{endpoint.url}{PATHS[ask.api]}", body, ask.leave_after)
        again = [name for name in ask.forcing if name in body and name not in refused]
        if reply.status != 400 or not again or reply.too_long:
            return Reply(reply.status, reply.choices, tuple(refused), reply.error)
        refused += again
        body = {name: value for name, value in body.items() if name not in again}


async def _send(
    client: httpx.AsyncClient, url: str, body: Mapping[str, Any], leave_after: int | None
) -> Reply:
    for tries in range(_TRIES):
        try:
            if body.get("stream"):
                reply = await _stream(client, url, body, leave_after)
            else:
                answer = await client.post(url, content=_encoded(body), headers=_JSON)
                reply = _whole(answer.status_code, answer.content)
        except httpx.TransportError as error:
            reply = Reply(0, error=f"{type(error).__name__}: {error}")
        if reply.status in (200, 400, 401, 403, 404, 413, 422) or tries == _TRIES - 1:
            return reply
        await asyncio.sleep(_PAUSE_S * (tries + 1))
    raise AssertionError("unreachable")


_JSON: Final = {"Content-Type": "application/json"}


def _encoded(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body).encode()


def _whole(status: int, content: bytes) -> Reply:
    try:
        value = json.loads(content)
    except ValueError:
        return Reply(status, error=content.decode("utf-8", "replace")[:2000])
    if status != 200:
        return Reply(status, error=json.dumps(value)[:2000])
    top = value.get("prompt_logprobs")
    return Reply(
        status,
        tuple(
            Choice(
                _channels(choice.get("message") or choice),
                choice.get("finish_reason") or "",
                _top(choice.get("logprobs")),
                _prompt(choice.get("prompt_logprobs") or top),
            )
            for choice in value.get("choices", ())
        ),
    )


async def _stream(
    client: httpx.AsyncClient, url: str, body: Mapping[str, Any], leave_after: int | None
) -> Reply:
    pieces: dict[int, dict[str, list[str]]] = {}
    tops: dict[int, list[tuple[tuple[str, float], ...]]] = {}
    finish: dict[int, str] = {}
    error, seen = "", 0
    async with client.stream("POST", url, content=_encoded(body), headers=_JSON) as answer:
        if answer.status_code != 200:
            return _whole(answer.status_code, await answer.aread())
        async for line in answer.aiter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            event = json.loads(line[6:])
            error = json.dumps(event["error"]) if "error" in event else error
            for choice in event.get("choices", ()):
                index = choice["index"]
                for name, text in _channels(choice.get("delta") or choice).items():
                    pieces.setdefault(index, {}).setdefault(name, []).extend(text)
                tops.setdefault(index, []).extend(_top(choice.get("logprobs")))
                finish[index] = choice.get("finish_reason") or finish.get(index, "")
            seen += 1
            if leave_after is not None and seen >= leave_after:
                break
    return Reply(
        200,
        tuple(
            Choice(
                {name: tuple(texts) for name, texts in pieces.get(index, {}).items()},
                finish[index],
                tuple(tops.get(index, ())),
            )
            for index in sorted(finish)
        ),
        error=error,
    )


def _channels(said: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name in (*TEXT_CHANNELS, COMPLETION_CHANNEL, "stop_reason"):
        if isinstance(said.get(name), str) and said[name]:
            found[name] = (said[name],)
    calls = "".join(
        f"{(call.get('function') or {}).get(part) or ''}"
        for call in said.get("tool_calls") or ()
        for part in ("name", "arguments")
    )
    return {**found, "tool_calls": (calls,)} if calls else found


def _top(given: Any) -> tuple[tuple[tuple[str, float], ...], ...]:
    """Token probabilities of either API, best first."""
    if not isinstance(given, dict):
        return ()
    rows: list[list[tuple[str, float]]] = []
    if isinstance(given.get("content"), list):
        for each in given["content"]:
            own = each.get("top_logprobs") or [each]
            rows.append([(other["token"], float(other["logprob"])) for other in own])
    elif isinstance(given.get("top_logprobs"), list):
        rows = [[(t, float(p)) for t, p in (each or {}).items()] for each in given["top_logprobs"]]
    return tuple(tuple(sorted(row, key=lambda pair: -pair[1])) for row in rows)


def _prompt(given: Any) -> tuple[float, ...]:
    """The log probability of each token of the prompt but the first."""
    if not isinstance(given, list):
        return ()
    return tuple(
        float(next(iter(each.values()))["logprob"])
        for each in given
        if isinstance(each, dict) and each
    )
