"""Asks many requests of one endpoint at once, keeps the answers, and asks again what failed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from guard.errors import GuardError
from server.evaluation.requests import CHAT, Answer, Request
from server.evaluation.transcripts import Transcript

_TIMEOUT_S: Final = 600.0
# One more try after each of these waits.
_WAITS_S: Final = (0.5, 2.0, 8.0)
_BUSY: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
# A request that cannot be served as it is: an answer, not a failure.
_REFUSED: Final = frozenset({400, 422})
_NO_SUCH_PATH: Final = frozenset({404, 405, 501})

Tick = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible API.

    Attributes:
        url: its address, without ``/v1``.
        model: the model's served name.
        headers: of every request; the key among them.
    """

    url: str
    model: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def bearer(key: str) -> dict[str, str]:
    """The header that carries an API key; none where there is none."""
    return {"Authorization": f"Bearer {key}"} if key else {}


async def find_endpoint(name: str, url: str, model: str, key: str) -> Endpoint:
    """An endpoint, its model looked up where none is given.

    Args:
        name: the flag it was given by, for errors.

    Raises:
        GuardError: it does not answer, does not serve the model, or serves several and none was
            chosen.
    """
    base = url.rstrip("/").removesuffix("/v1")
    if not base.startswith(("http://", "https://")):
        raise GuardError(
            f"`--{name}`: `{url}` is no http:// or https:// address",
            fix="give the base address of an OpenAI-compatible API",
        )
    try:
        async with _client(base, bearer(key), 30) as client:
            answer = await client.get("/v1/models")
            served = [str(row["id"]) for row in answer.json()["data"]]
    except httpx.HTTPError as error:
        raise GuardError(
            f"`--{name}`: `{base}` does not answer ({type(error).__name__})",
            fix="start it, or leave the flag out if its answers are kept already",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        if model:
            return Endpoint(base, model, bearer(key))
        raise GuardError(
            f"`--{name}`: `{base}/v1/models` answers {answer.status_code} and lists no models",
            fix=f"name the model with `--{name}-model`, and check the address and the key",
        ) from error
    if model and model not in served:
        raise GuardError(
            f"`--{name}` serves no `{model}`, but {', '.join(served[:5]) or 'nothing'}",
            fix=f"correct `--{name}-model`",
        )
    if model:
        return Endpoint(base, model, bearer(key))
    if len(served) != 1:
        raise GuardError(
            f"`--{name}` serves {len(served)} models ({', '.join(served[:5])})",
            fix=f"choose one with `--{name}-model`",
        )
    return Endpoint(base, served[0], bearer(key))


async def identify(endpoint: Endpoint) -> dict[str, str]:
    """Whose answers an endpoint gives: its ``model``, and behind a guard of ours what is in force.

    ``bundle`` is the policy's digest, empty for others; ``guard`` is there only for ours, and says
    its version, since another may decide otherwise by the same policy.
    """
    named = {"model": endpoint.model, "bundle": ""}
    try:
        async with _client(endpoint.url, endpoint.headers, 10) as client:
            body: Any = (await client.get("/readyz")).json()
        return {**named, "bundle": str(body["policy"]["bundle"]), "guard": str(body["version"])}
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return named


async def ask(
    endpoint: Endpoint,
    requests: Sequence[Request],
    kept: Transcript,
    *,
    concurrency: int,
    tick: Tick = lambda: None,
) -> None:
    """Ask what is not kept yet, and keep it. Timed requests come last, one at a time.

    Args:
        tick: called for every answer that came.

    Raises:
        GuardError: the endpoint failed for good; what it said before is kept.
    """
    open_ = [each for each in dict.fromkeys(requests) if kept.get(each) is None]
    gate = asyncio.Semaphore(concurrency)
    async with _client(endpoint.url, endpoint.headers, _TIMEOUT_S, concurrency) as client:

        async def one(request: Request) -> None:
            async with gate:
                kept.add(request, await _answer(client, endpoint, request))
            tick()

        await _all(one, [each for each in open_ if not each.timed])
        for each in open_:
            if each.timed:
                await one(each)


async def ask_in_turn(
    arms: Sequence[tuple[Endpoint, Transcript]], requests: Sequence[Request], tick: Tick
) -> None:
    """Ask each timed request of every arm before the next, so that a slow minute is all arms'.

    Raises:
        GuardError: an endpoint failed for good.
    """
    for place, request in enumerate(requests):
        # Each arm goes first as often as the others.
        for endpoint, kept in (*arms[place % len(arms) :], *arms[: place % len(arms)]):
            if kept.get(request) is None:
                await ask(endpoint, [request], kept, concurrency=1, tick=tick)


async def _all(one: Callable[[Request], Any], requests: Sequence[Request]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for each in requests:
                group.create_task(one(each))
    except* GuardError as errors:
        raise errors.exceptions[0] from None


def _client(
    url: str, headers: Mapping[str, str], timeout: float, connections: int = 4
) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=url,
        headers=dict(headers),
        timeout=timeout,
        trust_env=False,
        limits=httpx.Limits(max_connections=connections),
    )


async def _answer(client: httpx.AsyncClient, endpoint: Endpoint, request: Request) -> Answer:
    body = {"model": endpoint.model, **request.fields()}
    problem = ""
    for wait in (*_WAITS_S, None):
        started = time.perf_counter()
        try:
            response = await client.post(request.path, json=body)
        except httpx.HTTPError as error:
            problem = type(error).__name__
        else:
            seconds = time.perf_counter() - started
            if response.status_code == 200:
                return _read(endpoint, request, response, seconds)
            if response.status_code in _REFUSED:
                return Answer((), refused=response.text[:300] or "400", seconds=seconds)
            if response.status_code in _NO_SUCH_PATH:
                return Answer((), refused=f"{response.status_code}", seconds=seconds)
            problem = f"status {response.status_code}: {response.text[:300]}"
            if response.status_code not in _BUSY:
                break
        if wait is not None:
            await asyncio.sleep(wait)
    raise GuardError(
        f"`{endpoint.url}{request.path}` does not answer ({problem})",
        fix="mend it and run the same command again: what was answered is kept",
    )


def _read(endpoint: Endpoint, request: Request, response: httpx.Response, seconds: float) -> Answer:
    try:
        body: Any = response.json()
        choices = sorted(body["choices"], key=lambda choice: int(choice["index"]))
        refused = ""
        if request.path == CHAT:
            texts = [choice["message"].get("content") or "" for choice in choices]
            refused = next((r for c in choices if (r := c["message"].get("refusal"))), "")
            texts = [text or refused for text in texts]
        else:
            texts = [choice["text"] for choice in choices]
        return Answer(
            texts=tuple(map(str, texts)),
            finish=tuple(str(choice.get("finish_reason") or "") for choice in choices),
            refused=str(refused),
            tokens=int((body.get("usage") or {}).get("completion_tokens") or 0),
            seconds=round(seconds, 4),
            nats=_nats(body, choices),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GuardError(
            f"`{endpoint.url}{request.path}` answers 200 with what is no answer"
            f" ({type(error).__name__}: {error})",
            fix="check that it is an OpenAI-compatible API",
        ) from error


def _nats(body: Mapping[str, Any], choices: Sequence[Mapping[str, Any]]) -> tuple[float, ...]:
    """vLLM's ``prompt_logprobs``: for each token but the first a map from token id."""
    found = choices[0].get("prompt_logprobs") or body.get("prompt_logprobs") or ()
    out = []
    for position in found[1:]:
        # The token that stands there comes first; more likely ones may follow.
        first = next(iter(position.values()))
        out.append(-float(first["logprob"]))
    return tuple(out)
