from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest
import yaml
from starlette.responses import Response

import server.app
import server.policies
import server.reload
from guard.plan import GuardPlan
from guard.policy.load import load_policy
from guard.policy.train import train
from guard.policy.trained import trained_path, write_trained
from server.app import create_app
from server.policies import CompiledPolicy
from tests.guard.policy.test_vectors import encode_words
from tests.guard.policy.writing import target
from tests.server.harness import POLICY, FakeEngine, Proxy, proxied, serve, until

TIDES = POLICY.replace("aliases: [Harbor novels,", "aliases: [Harbor novels, tides,")


def write(folder: Path, text: str, name: str = "policy.yaml") -> None:
    """As editors do: beside, then renamed into place."""
    aside = folder / "policies" / f".{name}.new"
    aside.write_text(text)
    aside.rename(folder / "policies" / name)


async def bundle(proxy: Proxy) -> str:
    digest: str = (await proxy.client.get("/readyz")).json()["policy"]["bundle"]
    return digest


async def changed(proxy: Proxy, before: str) -> str:
    while True:
        now = await bundle(proxy)
        if now != before:
            return now
        await asyncio.sleep(0.02)


async def current(proxy: Proxy) -> None:
    while True:
        if (await proxy.client.get("/readyz")).json()["policy"]["current"]:
            return
        await asyncio.sleep(0.02)


async def stale(proxy: Proxy) -> str:
    while True:
        policy = (await proxy.client.get("/readyz")).json()["policy"]
        if not policy["current"]:
            reason: str = policy["reason"]
            return reason
        await asyncio.sleep(0.02)


async def test_an_edit_goes_live_after_the_engine_has_proved_it(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        await proxy.chat("How do tides work?")
        assert proxy.held() == ()
        before = await bundle(proxy)
        write(tmp_path, TIDES)
        now = await changed(proxy, before)
        assert now in proxy.engine.probes
        await proxy.chat("How do tides work?")
        assert proxy.held() == ("harbor",)
        assert proxy.engine.plans[-1].bundle == now
        assert await proxy.metric('unlearn_guard_policy_reloads_total{result="applied"}') == 1


class Words:
    """An encoder that sees the words of a text and nothing else."""

    digest = "w" * 64
    parallel = 1

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return encode_words(texts)


async def test_what_is_trained_goes_live_like_an_edit(tmp_path: Path) -> None:
    asked = "Which novelist of lanterns once rode a whale?"
    near = [f"Which novelist of the {number}th village once rode home?" for number in range(200)]
    examples = ["Who described lanterns on a frigate?", "Who drew the whale?"]
    detect = {"examples": examples, "counterexamples": near}
    policy = {"version": 1, "targets": [target(detect=detect)]}
    async with proxied(tmp_path, policy=yaml.safe_dump(policy), encoder=Words()) as proxy:
        before = await bundle(proxy)
        await proxy.chat(asked)
        assert proxy.held() == ()
        folder = tmp_path / "policies"
        write_trained(train(load_policy(folder)).trained, trained_path(folder))
        await changed(proxy, before)
        await proxy.chat(asked)
        assert proxy.held() == ("harbor",)


async def test_what_the_owner_should_know_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def told() -> list[str]:
        return [r.getMessage() for r in caplog.records if r.name == "unlearn_guard.policies"]

    answer = {"question": "Who kept the light?", "answer": "Zandor Pell kept the Saltgate light."}
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "answers.jsonl").write_text(json.dumps(answer))
    extract = {"from": "answers.jsonl", "kind": "key_facts"}
    own = target(detect={"aliases": ["Harbor novels", "Harbor"]}, forbid={"extract": extract})
    policy = {"version": 1, "targets": [own]}
    async with proxied(tmp_path, policy=yaml.safe_dump(policy)) as proxy:
        quoting, line = told()
        assert "policy.yaml:" in quoting
        assert "`targets[0].detect.aliases[1]`; `unlearn-guard check` says" in quoting
        assert "Harbor" not in quoting
        assert "`targets[0].forbid.extract`: there is no sentence encoder" in line
        assert "`--encoder`" in line
        before = await bundle(proxy)
        own["title"] = "Another title"
        write(tmp_path, yaml.safe_dump(policy))
        await changed(proxy, before)
        assert told() == [quoting, line]


async def test_a_broken_edit_leaves_the_old_policy_and_says_why(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        before = await bundle(proxy)
        write(tmp_path, POLICY.replace("respond: refuse", "respond: shrug"))
        reason = await stale(proxy)
        assert "policy.yaml:" in reason
        assert "respond" in reason
        ready = await proxy.client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["policy"]["bundle"] == before
        assert await proxy.metric("unlearn_guard_policy_stale") == 1
        await proxy.chat("Who wrote the Harbor novels?")
        assert proxy.held() == ("harbor",)
        write(tmp_path, TIDES)
        await changed(proxy, before)
        assert await proxy.metric("unlearn_guard_policy_stale") == 0


@pytest.mark.parametrize("name", ["policy.yaml", "trained.safetensors"])
async def test_a_file_that_cannot_be_read_at_all_is_named(tmp_path: Path, name: str) -> None:
    async with proxied(tmp_path) as proxy:
        (tmp_path / "policies" / name).write_bytes(b"\xff\xfe junk")
        reason = await stale(proxy)
        assert reason.endswith(f"{name} cannot be used; the proxy's log says why")
        await proxy.chat("Who wrote the Harbor novels?")
        assert proxy.held() == ("harbor",)


async def test_a_policy_that_vanishes_leaves_the_old_one(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        before = await bundle(proxy)
        (tmp_path / "policies" / "policy.yaml").unlink()
        await stale(proxy)
        assert await bundle(proxy) == before
        write(tmp_path, POLICY)
        await current(proxy)


async def test_an_edit_that_the_engine_does_not_prove_waits(tmp_path: Path) -> None:
    class Picky(FakeEngine):
        sees: str | None = None

        def _probe(self, plan: GuardPlan) -> Response:
            self.canary = "healthy" if self.sees in (None, plan.bundle) else "ignored"
            return super()._probe(plan)

    engine = Picky()
    async with proxied(tmp_path, engine=engine) as proxy:
        before = engine.sees = await bundle(proxy)
        write(tmp_path, TIDES)
        assert "not loaded" in await stale(proxy)
        assert await bundle(proxy) == before
        assert (await proxy.chat("Hi")).status_code == 200
        engine.sees = None
        await changed(proxy, before)
        await current(proxy)


async def test_data_files_beside_the_policy_are_followed(tmp_path: Path) -> None:
    data = tmp_path / "elsewhere"
    data.mkdir()
    (data / "answers.jsonl").write_text('{"question": "Who?", "answer": "It was Tobias Wren."}\n')
    policy = POLICY.replace(
        "forbid: {phrases: [Mirelle Quay, Saltgate]}",
        "forbid: {phrases: [Mirelle Quay], extract: {from: ../elsewhere/answers.jsonl,"
        " kind: key_facts}}",
    )
    async with proxied(tmp_path, policy=policy) as proxy:
        before = await bundle(proxy)
        (data / "answers.jsonl").write_text('{"question": "Who?", "answer": "It was Ada Finch."}\n')
        await changed(proxy, before)


@pytest.mark.parametrize("pattern", ["../books/*.txt", "../books/**/*.txt"])
async def test_a_text_that_joins_a_protected_corpus_is_protected(
    tmp_path: Path, pattern: str
) -> None:
    (tmp_path / "books" / "second").mkdir(parents=True)
    (tmp_path / "books" / "first.txt").write_text("The tide that rose at noon was not a tide.")
    policy = POLICY.replace("forbid: {", f'forbid: {{verbatim: {{corpus: "{pattern}", words: 5}}, ')
    joining = "second/book.txt" if "**" in pattern else "second.txt"
    async with proxied(tmp_path, policy=policy) as proxy:
        before = await bundle(proxy)
        (tmp_path / "books" / joining).write_text("No bell in that valley ever rang a second time.")
        await changed(proxy, before)


async def test_requests_run_through_reloads_unharmed(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        proxy.engine.pieces = ["In ", "Salt", "gate", " now"]
        proxy.engine.delay = 0.01
        stop = asyncio.Event()

        async def client(number: int) -> list[httpx.Response]:
            answers = []
            while not stop.is_set():
                answers.append(await proxy.chat("Harbor novels?", stream=number % 2 == 0))
            return answers

        clients: list[Awaitable[list[httpx.Response]]] = [
            asyncio.create_task(client(number)) for number in range(6)
        ]
        seen = await bundle(proxy)
        for text in (TIDES, "version: broken", POLICY, TIDES):
            write(tmp_path, text)
            if "broken" in text:
                await stale(proxy)
            else:
                seen = await changed(proxy, seen)
        stop.set()
        answers = [answer for got in await asyncio.gather(*clients) for answer in got]
        assert len(answers) > 6
        assert {answer.status_code for answer in answers} == {200}
        assert all("Salt" not in answer.text for answer in answers)
        assert len({plan.bundle for plan in proxy.engine.plans}) == 2


async def test_a_request_in_flight_keeps_its_policy(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        proxy.engine.pieces = ["In ", "Saltgate now"]
        proxy.engine.hold = True
        running = asyncio.create_task(proxy.chat("Harbor novels?", stream=True))
        before = await bundle(proxy)
        await until(lambda: bool(proxy.engine.requests))
        write(tmp_path, POLICY.replace("Mirelle Quay, Saltgate]", "Mirelle Quay]"))
        await changed(proxy, before)
        proxy.engine.hold = False
        answer = await running
        assert "Salt" not in answer.text


async def test_an_edit_made_while_the_proxy_started_goes_live(tmp_path: Path) -> None:
    async with proxied(tmp_path, wait=False) as proxy:
        before = await bundle(proxy)
    settings = proxy.settings
    app = create_app(settings)
    write(tmp_path, TIDES)
    async with serve(FakeEngine().app()), serve(app) as url, httpx.AsyncClient() as client:
        while True:
            policy = (await client.get(f"{url}/readyz")).json()["policy"]
            if policy["bundle"] == before and not policy["current"]:
                break  # seen, and waiting for an engine to prove it
            await asyncio.sleep(0.05)


async def test_a_policy_that_did_not_change_is_not_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[float] = []
    original = server.policies.compile_files

    def counting(*args: Any, **kwargs: Any) -> CompiledPolicy:
        compiled.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(server.reload, "WATCH_MS", 50)
    monkeypatch.setattr(server.app, "compile_files", counting)
    async with proxied(tmp_path) as proxy:
        await asyncio.sleep(0.5)
        assert len(compiled) == 1
        write(tmp_path, "version: broken")
        await stale(proxy)
        tries = await proxy.metric('unlearn_guard_policy_reloads_total{result="rejected"}')
        assert tries == 1


async def test_what_the_admin_api_changes_is_compiled_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[CompiledPolicy] = []
    original = server.policies.compile_files

    def slow(*args: Any, **kwargs: Any) -> CompiledPolicy:
        compiled.append(original(*args, **kwargs))
        if len(compiled) > 1:
            time.sleep(1)  # long enough for the watcher to see the file that is being compiled
        return compiled[-1]

    monkeypatch.setattr(server.reload, "WATCH_MS", 50)
    monkeypatch.setattr(server.app, "compile_files", slow)
    added = target(id="lantern", detect={"aliases": ["Lantern papers"]})
    async with proxied(tmp_path, admin_key="k" * 32) as proxy:
        admin = {"authorization": f"Bearer {'k' * 32}"}
        answer = await proxy.client.post("/admin/targets", json=added, headers=admin)
        assert answer.status_code == 201, answer.text
        await asyncio.sleep(0.5)
        assert len(compiled) == 2
        before = await bundle(proxy)
        write(tmp_path, TIDES)
        await changed(proxy, before)
