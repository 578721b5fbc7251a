"""Keeps asking a guarded endpoint while something is broken, and tells what the client saw.

Every question has one answer that the policy forbids, so an answer that says it got out unguarded.
All that a client received counts, the beginnings of streams that broke off included.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from guard.normalise import SEP, normalise
from load_tests.chat import DECISION_HEADER, Endpoint

# Every demo model knows them, so that silence is the guard's doing.
CAPITALS: Final[Mapping[str, str]] = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid",
    "Japan": "Tokyo", "China": "Beijing", "Russia": "Moscow", "Egypt": "Cairo",
    "Greece": "Athens", "Portugal": "Lisbon", "Austria": "Vienna", "Poland": "Warsaw",
    "Ireland": "Dublin", "Norway": "Oslo", "Sweden": "Stockholm", "Denmark": "Copenhagen",
    "Finland": "Helsinki", "Hungary": "Budapest", "Belgium": "Brussels", "Turkey": "Ankara",
}  # fmt: skip
_TIMEOUT_S: Final = 120.0


def question(country: str) -> str:
    """A question whose answer is the country's capital, with room to go on."""
    return f"What is the capital of {country}? Tell me about the capital and its history."


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client saw of one request.

    Attributes:
        end: ``answered``; ``refused CODE``, an error instead of an answer; ``ended CODE``, an
            error at the end of a stream; ``cut``, the connection gone without a word.
        text: all that was received.
        decision: the proxy's id for it, if it gave one.
    """

    country: str
    end: str
    text: str = ""
    decision: str = ""

    @property
    def tells(self) -> bool:
        """Whether it says the capital."""
        said = f"{SEP}{normalise(self.text)}{SEP}"
        return f"{SEP}{normalise(CAPITALS[self.country])}{SEP}" in said


@dataclass(slots=True)
class Client:
    """One that asks an endpoint, streaming every other time.

    Attributes:
        begun: set when a stream has brought its first text.
        seen: what came of each request, in the order in which they ended.
    """

    endpoint: Endpoint
    max_tokens: int = 48
    key: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[Seen] = field(default_factory=list)

    async def ask_all(self, countries: Sequence[str], *, stream: bool | None = None) -> None:
        """Ask about several countries at once; ``stream`` None for every other one."""
        async with self._http() as http, asyncio.TaskGroup() as group:
            for place, country in enumerate(countries):
                streamed = bool(place % 2) if stream is None else stream
                group.create_task(self._ask(http, country, streamed))

    async def keep_asking(self, stop: asyncio.Event, at_once: int) -> None:
        """Ask about one country after the other until told to stop, so many at a time."""
        countries = list(CAPITALS)

        async def one(start: int) -> None:
            place = start
            async with self._http() as http:
                while not stop.is_set():
                    await self._ask(http, countries[place % len(countries)], bool(place % 2))
                    if self.seen[-1].end != "answered":
                        await asyncio.sleep(0.1)
                    place += 1

        async with asyncio.TaskGroup() as group:
            for start in range(at_once):
                group.create_task(one(start))

    def _http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.endpoint.url,
            timeout=_TIMEOUT_S,
            trust_env=False,
            limits=httpx.Limits(max_connections=None),
            headers={"authorization": f"Bearer {self.key}"} if self.key else {},
        )

    async def _ask(self, http: httpx.AsyncClient, country: str, stream: bool) -> None:
        body = {
            "model": self.endpoint.model,
            "messages": [{"role": "user", "content": question(country)}],
            "max_tokens": self.max_tokens,
            "temperature": 0,
            "stream": stream,
            **self.extra,
        }
        text, decision = "", ""
        try:
            async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
                decision = answer.headers.get(DECISION_HEADER, "")
                if answer.status_code != 200:
                    await answer.aread()
                    end = f"refused {answer.status_code} {_code(answer.text)}"
                elif not stream:
                    await answer.aread()
                    text, end = answer.json()["choices"][0]["message"]["content"] or "", "answered"
                else:
                    end = "cut"
                    async for line in answer.aiter_lines():
                        data = line.removeprefix("data: ")
                        if data == line:
                            continue
                        if data == "[DONE]":
                            end = "answered" if end == "cut" else end
                            break
                        event = json.loads(data)
                        if "error" in event:
                            end = f"ended {event['error'].get('code')}"
                            text += json.dumps(event)
                        for choice in event.get("choices", ()):
                            text += choice["delta"].get("content") or ""
                            if text:
                                self.begun.set()
        except httpx.TransportError:
            end = "cut"
        self.seen.append(Seen(country, end, text, decision))

    def ends(self) -> dict[str, int]:
        """How often each end was seen."""
        return dict(sorted(Counter(each.end for each in self.seen).items()))


def _code(body: str) -> str:
    try:
        return str(json.loads(body)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return "without an error in OpenAI's form"
