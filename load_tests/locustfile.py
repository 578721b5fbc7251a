"""One locust scenario against the real stack: flagged and unflagged chats, streamed and not.

Started by ``python -m load_tests load``, which starts the stack and names it. A request fails here
unless it is answered wholly, carries a decision id and says no phrase that its target forbids.
"""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from locust import HttpUser, between, events, task
from locust.env import Environment

from guard.normalise import SEP, normalise

SCENARIO_VARIABLE = "UNLEARN_GUARD_LOAD_SCENARIO"
MAX_TOKENS = 48


@dataclass(frozen=True, slots=True)
class Scenario:
    """What users ask, and what no answer to a flagged question may say (normalised)."""

    model: str
    flagged: tuple[str, ...]
    unflagged: tuple[str, ...]
    forbidden: tuple[str, ...]


def read_scenario() -> Scenario:
    """The file that ``SCENARIO_VARIABLE`` names."""
    row = json.loads(Path(os.environ[SCENARIO_VARIABLE]).read_text(encoding="utf-8"))
    return Scenario(
        row["model"], tuple(row["flagged"]), tuple(row["unflagged"]), tuple(row["forbidden"])
    )


def check_host(host: str | None) -> None:
    """Refuse to load any machine but this one.

    Raises:
        ValueError: another host, or none.
    """
    if urlsplit(host or "").hostname != "127.0.0.1":
        raise ValueError(
            "this scenario loads 127.0.0.1 only; start it with `python -m load_tests load`"
        )


@events.init.add_listener
def _on_init(environment: Environment, **_: Any) -> None:
    check_host(environment.host)


class ChatUser(HttpUser):
    """Asks as an application does, with thinking time."""

    wait_time = between(0.1, 1.0)

    def on_start(self) -> None:
        self.client.trust_env = False
        self.scenario = read_scenario()

    @task(3)
    def unflagged(self) -> None:
        self._whole("unflagged", random.choice(self.scenario.unflagged))

    @task(3)
    def unflagged_streamed(self) -> None:
        self._streamed("unflagged, streamed", random.choice(self.scenario.unflagged))

    @task(2)
    def flagged(self) -> None:
        self._whole("flagged", random.choice(self.scenario.flagged), flagged=True)

    @task(2)
    def flagged_streamed(self) -> None:
        self._streamed("flagged, streamed", random.choice(self.scenario.flagged), flagged=True)

    def _body(self, prompt: str, stream: bool) -> dict[str, Any]:
        return {
            "model": self.scenario.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": MAX_TOKENS,
            "stream": stream,
        }

    def _whole(self, name: str, prompt: str, *, flagged: bool = False) -> None:
        with self.client.post(
            "/v1/chat/completions", json=self._body(prompt, False), name=name, catch_response=True
        ) as response:
            if response.status_code == 200:
                text = response.json()["choices"][0]["message"]["content"] or ""
                self._judge(response, text, prompt if flagged else None)

    def _streamed(self, name: str, prompt: str, *, flagged: bool = False) -> None:
        with self.client.post(
            "/v1/chat/completions",
            json=self._body(prompt, True),
            name=name,
            stream=True,
            catch_response=True,
        ) as response:
            if response.status_code != 200:
                return
            text, ended = "", False
            for line in response.iter_lines():
                data = line.decode().removeprefix("data: ")
                if data == "[DONE]":
                    ended = True
                elif data:
                    for choice in json.loads(data).get("choices", ()):
                        text += choice["delta"].get("content") or ""
            if not ended:
                response.failure("the stream did not end with [DONE]")
            else:
                self._judge(response, text, prompt if flagged else None)

    def _judge(self, response: Any, text: str, flagged: str | None) -> None:
        """
        Args:
            flagged: the prompt, if it touches a target. It is one of the target's own examples, so
                what it names may be said back.
        """
        said = f"{SEP}{normalise(text)}{SEP}"
        asked = normalise(flagged or "")
        if "x-guard-decision" not in response.headers:
            response.failure("no decision id")
        elif flagged and any(
            f"{SEP}{phrase}{SEP}" in said and phrase not in asked
            for phrase in self.scenario.forbidden
        ):
            response.failure("a forbidden phrase was said")
        else:
            response.success()
