"""The real stack, started once per run: vLLM with the guard loaded, and the proxy before it."""

from __future__ import annotations

import importlib.util
import json
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from guard.plan import XARG, GuardPlan, sign_plan
from server.launch.engine import EngineOptions, EngineProcess
from server.launch.proxy import ProxyOptions, ProxyProcess

MODEL = "demo"
# Not a measure of speed: only how long to wait before a thing counts as not happening.
PATIENCE_S = 120
SHIPPED = Path(__file__).parents[2] / "policies"
OWN = Path(__file__).parent / "policies"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    own = [item for item in items if here in item.path.parents]
    for item in own:
        item.add_marker(pytest.mark.e2e)
    # Last, for the stack runs until the end of the session; before it what has an engine of its
    # own, for two at once are too many for two slow cores.
    last = set(own)
    items.sort(key=lambda item: (item in last, item.path.name != "test_pressed.py"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"never happened: {what}"
        time.sleep(0.2)


def alike(one: Callable[[], str], other: Callable[[], str], tries: int = 5) -> str:
    """ "" if two ways to ask for a greedy answer give the same to the byte, else what they gave.

    What is in the prefix cache, and a canary in the batch, change the order of sums, so two tokens
    that are nearly as likely may change places between two runs of the very same request. Two ways
    differ if nothing that the one ever gave in several tries was given by the other.
    """
    ones, others = set[str](), set[str]()
    for _ in range(tries):
        ones.add(one())
        others.add(other())
        if ones & others:
            return ""
    return f"{sorted(ones)} has nothing of {sorted(others)}"


@dataclass(frozen=True)
class Stack:
    """Where the running parts are, and what they share."""

    proxy: str
    engine: str
    key: str
    policies: Path
    bundles: Path
    decision_log: Path

    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.proxy}/v1", api_key="any", max_retries=0)

    def chat(self, question: str, **fields: Any) -> Any:
        """An answer through the proxy, greedy unless told otherwise."""
        fields = {"temperature": 0, "max_tokens": 60, **fields}
        messages = fields.pop("messages", [{"role": "user", "content": question}])
        return self.client().chat.completions.create(model=MODEL, messages=messages, **fields)

    def answer(self, question: str, **fields: Any) -> str:
        """The text of an answer through the proxy."""
        return str(self.chat(question, **fields).choices[0].message.content)

    def pieces(self, question: str) -> list[str]:
        """The same, streamed; what each chunk brings."""
        return [
            chunk.choices[0].delta.content or ""
            for chunk in self.chat(question, stream=True)
            if chunk.choices
        ]

    def unguarded(self, path: str, **fields: Any) -> dict[str, Any]:
        """The engine's own answer under a genuine plan with nothing active."""
        digest = httpx.get(f"{self.proxy}/readyz").json()["policy"]["bundle"]
        plan = sign_plan(GuardPlan(digest), self.key.encode())
        fields = {"model": MODEL, "temperature": 0, "max_tokens": 60, **fields}
        answer = httpx.post(
            f"{self.engine}{path}", json={**fields, "vllm_xargs": {XARG: plan}}, timeout=120
        )
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        return body

    def unguarded_chat(self, question: str, **fields: Any) -> str:
        messages = [{"role": "user", "content": question}]
        body = self.unguarded("/v1/chat/completions", messages=messages, **fields)
        return str(body["choices"][0]["message"]["content"])

    def running(self) -> float:
        """How many requests the engine is generating for."""
        text = httpx.get(f"{self.engine}/metrics").text
        rows = [line for line in text.splitlines() if line.startswith("vllm:num_requests_running")]
        return sum(float(line.rpartition(" ")[2]) for line in rows)

    def decision(self, decision_id: str) -> dict[str, Any]:
        """The logged decision of that id; the log is written beside the answers."""
        found: list[dict[str, Any]] = []

        def is_logged() -> bool:
            lines = self.decision_log.read_text().splitlines(keepends=True)
            records = [json.loads(line) for line in lines if line.endswith("\n")]
            found[:] = [record for record in records if record["id"] == decision_id]
            return bool(found)

        wait_until(is_logged, f"{decision_id} is in the decision log")
        return found[0]


@pytest.fixture(scope="session")
def stack(demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vllm, the engine extra, is not installed")
    folder = tmp_path_factory.mktemp("stack")
    policies, bundles = folder / "policies", folder / "bundles"
    shutil.copytree(SHIPPED, policies)
    shutil.copytree(OWN, policies, dirs_exist_ok=True)
    key = secrets.token_hex(32)
    log = folder / "decisions.jsonl"
    engine = EngineProcess.start(
        EngineOptions(
            model=str(demo_model), served_name=MODEL, port=free_port(), bundles=bundles, key=key,
            log=folder / "engine.log",
        )
    )  # fmt: skip
    try:
        engine.wait_ready(print)
        proxy = ProxyProcess.start(
            ProxyOptions(
                upstream=engine.url, policies=policies, bundles=bundles, port=free_port(), key=key,
                log=folder / "proxy.log",
                environ={
                    "UNLEARN_GUARD_DECISION_LOG": str(log),
                    "UNLEARN_GUARD_CANARY_INTERVAL_S": "5",
                },
            )
        )  # fmt: skip
        try:
            proxy.wait_ready(print)
            yield Stack(proxy.url, engine.url, key, policies, bundles, log)
        finally:
            proxy.stop()
    finally:
        engine.stop()
