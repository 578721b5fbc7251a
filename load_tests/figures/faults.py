"""``faults``: the real stack, broken in nine ways while it is asked.

Every question names the guarded target and has one answer, which the policy forbids; the model
knows it (asked without the guard it says it; that share stands beside the table). For each fault:
what clients saw, how many answers got out unguarded (goal: none, beginnings of streams included),
and how many requests are answered again once it is over. Answers given while the policy changes
are held against the very bundle that their decision names.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from guard.bundle_loading import load_bundle
from guard.bundle_writing import write_bundle
from guard.normalise import normalise
from guard.plan import XARG, GuardPlan, sign_plan
from load_tests import stack
from load_tests.chat import Endpoint
from load_tests.figure import Figure, Measured, Options, progress, work_folder
from load_tests.ports import free_port
from load_tests.pressing import CAPITALS, Client, Seen
from server.launch.engine import EngineOptions, EngineProcess
from server.launch.proxy import ProxyOptions, ProxyProcess

COUNTRIES: Final = tuple(CAPITALS)
# The two versions of the policy, by the countries whose capitals they forbid; in turns.
VERSIONS: Final = (COUNTRIES[:12], COUNTRIES[8:])
RELOADS: Final = 100
AT_ONCE: Final = 8
FLOOD: Final = 150
LONG: Final = 200
# Short, so that a frozen engine is told from a slow one while the measurement lasts.
UPSTREAM_TIMEOUT_S: Final = 20
SEQUENCES: Final = 16
KEY: Final = "a-client-key-that-is-revoked"


@dataclass(slots=True)
class Bench:
    """The stack, its parts one by one, so that each can be broken."""

    folder: Path
    key: str = field(default_factory=stack.new_key)
    engine_port: int = field(default_factory=free_port)
    proxy_port: int = field(default_factory=free_port)
    engine: EngineProcess | None = None
    proxy: ProxyProcess | None = None

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(f"http://127.0.0.1:{self.proxy_port}", stack.SERVED_NAME)

    @property
    def direct(self) -> Endpoint:
        return Endpoint(f"http://127.0.0.1:{self.engine_port}", stack.SERVED_NAME)

    @property
    def bundles(self) -> Path:
        return self.folder / "bundles"

    @property
    def policy(self) -> Path:
        return self.folder / "policy" / "capitals.yaml"

    @property
    def log(self) -> Path:
        return self.folder / "decisions.jsonl"

    def write_policy(self, countries: Sequence[str], *, tenants: Sequence[str] = ()) -> None:
        """Put a version of the policy in force, whole."""
        self.policy.parent.mkdir(parents=True, exist_ok=True)
        aside = self.policy.with_suffix(".new")
        aside.write_text(yaml.safe_dump(_policy(countries, tenants), sort_keys=False))
        aside.replace(self.policy)

    async def change_policy(self, countries: Sequence[str], tenants: Sequence[str] = ()) -> None:
        """Put a version of the policy in force, and wait until it is."""
        before = await self.digest()
        self.write_policy(countries, tenants=tenants)
        await _until(lambda: self._differs(before))

    async def _differs(self, digest: str) -> bool:
        return await self.digest() != digest

    def start_engine(self) -> None:
        self.engine = EngineProcess.start(
            EngineOptions(
                model=str(stack.demo_model()), served_name=stack.SERVED_NAME,
                port=self.engine_port, bundles=self.bundles, key=self.key,
                log=self.folder / "engine.log", extra=("--max-num-seqs", str(SEQUENCES)),
            )
        )  # fmt: skip
        self.engine.wait_ready(progress)

    def start_proxy(self) -> None:
        self.proxy = ProxyProcess.start(
            ProxyOptions(
                upstream=self.direct.url, policies=self.policy, bundles=self.bundles,
                port=self.proxy_port, key=self.key, log=self.folder / "proxy.log",
                environ={
                    "UNLEARN_GUARD_DECISION_LOG": str(self.log),
                    "UNLEARN_GUARD_UPSTREAM_TIMEOUT_S": str(UPSTREAM_TIMEOUT_S),
                    "UNLEARN_GUARD_CANARY_INTERVAL_S": "2",
                },
            )
        )  # fmt: skip
        self.proxy.wait_ready(progress)

    def restart_engine(self) -> None:
        if self.engine is not None:
            self.engine.stop()
        self.start_engine()

    def stop(self) -> None:
        for part in (self.proxy, self.engine):
            if part is not None:
                part.stop()

    async def ready(self, want: bool = True) -> None:
        """Wait until the proxy says that it guards, or that it does not."""

        async def said() -> bool:
            with contextlib.suppress(httpx.TransportError):
                async with httpx.AsyncClient(trust_env=False) as http:
                    answer = await http.get(f"{self.endpoint.url}/readyz", timeout=5)
                return (answer.status_code == 200) == want
            return False

        await _until(said)

    def client(self, max_tokens: int = 48, key: str = "") -> Client:
        return Client(self.endpoint, max_tokens, key)

    async def digest(self) -> str:
        """Of the bundle in force."""
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(f"{self.endpoint.url}/readyz")
        return str(answer.json()["policy"]["bundle"])

    def memory_mb(self) -> dict[str, float]:
        """Resident memory of each part, with all of its processes."""
        parts = {"engine": self.engine, "proxy": self.proxy}
        return {
            name: round(sum(map(_rss_kb, _tree(part.pid))) / 1024, 1)
            for name, part in parts.items()
            if part is not None
        }


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to break the stack: tells what was seen, and more for the table."""

    name: str
    run: Callable[[Bench], Awaitable[tuple[list[Seen], dict[str, Any]]]]


async def _until(met: Callable[[], Awaitable[bool]]) -> None:
    while True:
        if await met():
            return
        await asyncio.sleep(0.1)


def _policy(countries: Sequence[str], tenants: Sequence[str]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "version": 1,
        "targets": [
            {
                "id": "capitals",
                "title": "Capitals",
                "reason": "secret",
                "owner": "load-tests",
                "detect": {"aliases": ["capital"]},
                "forbid": {"phrases": [CAPITALS[country] for country in countries]},
                "respond": "suppress",
            }
        ],
    }
    if tenants:
        keys = [f"sha256:{hashlib.sha256(key.encode()).hexdigest()}" for key in tenants]
        made["tenants"] = [{"name": "app", "keys": keys}]
    return made


async def _killed(bench: Bench) -> tuple[list[Seen], dict[str, Any]]:
    client = bench.client(LONG)
    asking = asyncio.create_task(client.ask_all(COUNTRIES[:AT_ONCE], stream=True))
    await client.begun.wait()
    assert bench.engine is not None
    await asyncio.to_thread(bench.engine.kill)
    await asking
    await bench.ready(want=False)
    await client.ask_all(COUNTRIES)
    await asyncio.to_thread(bench.restart_engine)
    return client.seen, {}


async def _frozen(bench: Bench) -> tuple[list[Seen], dict[str, Any]]:
    client = bench.client(LONG)
    asking = asyncio.create_task(client.ask_all(COUNTRIES[:AT_ONCE]))
    await client.begun.wait()
    assert bench.engine is not None
    processes = _tree(bench.engine.pid)[1:]
    _signal(processes, signal.SIGSTOP)
    try:
        await asking
        await bench.ready(want=False)
        await client.ask_all(COUNTRIES)
    finally:
        _signal(processes, signal.SIGCONT)
    return client.seen, {}


async def _flooded(bench: Bench) -> tuple[list[Seen], dict[str, Any]]:
    client = bench.client(24)
    await client.ask_all([COUNTRIES[i % len(COUNTRIES)] for i in range(FLOOD)])
    return client.seen, {}


async def _corrupted(bench: Bench) -> tuple[list[Seen], dict[str, Any]]:
    own = bench.bundles / await bench.digest()
    return await _spoiled(bench, own, lambda: _flip(_largest(own)))


async def _exchanged(bench: Bench) -> tuple[list[Seen], dict[str, Any]]:
    own = bench.bundles / await bench.digest()
    other = write_bundle(bench.folder / "others", targets=[], phrases=[])

    def exchange() -> None:
        shutil.rmtree(own)
        shutil.copytree(bench.folder / "others" / other.digest, own)

    return await _spoiled(bench, own, exchange)


async def _spoiled(
    bench: Bench, own: Path, spoil: Callable[[], None]
) -> tuple[list[Seen], dict[str, Any]]:
    """An engine that has to load a bundle that is not what its name says."""
    kept = bench.folder / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(own, kept)
    spoil()
    client = bench.client()
    # It is in the running engine's memory, and what is on the disk is not asked.
    await client.ask_all(COUNTRIES)
    await asyncio.to_thread(bench.restart_engine)
    await bench.ready(want=False)
    await client.ask_all(COUNTRIES)
    shutil.rmtree(own)
    kept.rename(own)
    return client.seen, {}


async def _revoked(bench: Bench) -> tuple[list[Seen], dict[str, Any]]:
    await bench.change_policy(VERSIONS[0], tenants=[KEY, "another-key-that-stays"])
    client, stop = bench.client(key=KEY), asyncio.Event()
    asking = asyncio.create_task(client.keep_asking(stop, AT_ONCE))
    await client.begun.wait()
    await bench.change_policy(VERSIONS[0], tenants=["another-key-that-stays"])
    stop.set()
    await asking
    late = bench.client(key=KEY)
    await late.ask_all(COUNTRIES)
    await bench.change_policy(VERSIONS[0])
    return [*client.seen, *late.seen], {"once it was revoked": late.ends()}


async def _other_key(bench: Bench) -> tuple[list[Seen], dict[str, Any]]:
    """The engine trusts another signing key than the proxy signs with."""
    client, own = bench.client(), bench.key
    bench.key = stack.new_key()
    await asyncio.to_thread(bench.restart_engine)
    await bench.ready(want=False)
    await client.ask_all(COUNTRIES)
    bench.key = own
    await asyncio.to_thread(bench.restart_engine)
    return client.seen, {}


async def _reloaded(bench: Bench) -> tuple[list[Seen], dict[str, Any]]:
    client, stop = bench.client(24), asyncio.Event()
    memory = [bench.memory_mb()]
    asking = asyncio.create_task(client.keep_asking(stop, AT_ONCE))
    served: set[str] = set()
    for turn in range(RELOADS):
        await bench.change_policy(VERSIONS[(turn + 1) % 2])
        served.add(await bench.digest())
        if turn + 1 in (RELOADS // 2, RELOADS):
            memory.append(bench.memory_mb())
    stop.set()
    await asking
    return client.seen, {"memory_mb": memory, "bundles": len(served), "reloads": RELOADS}


async def _restarted(bench: Bench) -> tuple[list[Seen], dict[str, Any]]:
    client, stop = bench.client(), asyncio.Event()
    asking = asyncio.create_task(client.keep_asking(stop, AT_ONCE))
    await client.begun.wait()
    assert bench.proxy is not None
    await asyncio.to_thread(bench.proxy.kill)
    await asyncio.to_thread(bench.start_proxy)
    enough = len(client.seen) + 2 * AT_ONCE

    async def asked_enough() -> bool:
        return len(client.seen) >= enough

    await _until(asked_enough)
    stop.set()
    await asking
    return client.seen, {}


FAULTS: Final = (
    Fault("engine killed while streams run", _killed),
    Fault("engine frozen", _frozen),
    Fault("queue filled", _flooded),
    Fault("a byte of the bundle flipped", _corrupted),
    Fault("another bundle under its name", _exchanged),
    Fault("a client's key revoked", _revoked),
    Fault("engine with another signing key", _other_key),
    Fault("policy reloaded a hundred times", _reloaded),
    Fault("proxy killed and started again", _restarted),
)


def measure(options: Options) -> Measured:
    """Break the stack in one way after the other."""
    return asyncio.run(_measure())


async def _measure() -> Measured:
    bench = Bench(work_folder("faults"))
    shutil.rmtree(bench.folder)
    bench.folder.mkdir(parents=True)
    bench.write_policy(VERSIONS[0])
    table: dict[str, dict[str, Any]] = {}
    try:
        await asyncio.to_thread(bench.start_engine)
        await asyncio.to_thread(bench.start_proxy)
        knows = await _without_guard(bench)
        for fault in FAULTS:
            progress(fault.name)
            seen, more = await fault.run(bench)
            await bench.ready()
            after = bench.client()
            await after.ask_all(COUNTRIES)
            table[fault.name] = {"seen": seen, "after": after, **more}
    finally:
        await asyncio.to_thread(bench.stop)
    decided = _decided(bench)
    rows = {name: _row(bench, decided, own) for name, own in table.items()}
    unguarded = sum(row["unguarded"] for row in rows.values())
    return Measured(
        value=unguarded,
        n=sum(row["requests"] for row in rows.values()),
        details={
            "said_without_guard": knows,
            "answered_again": all(set(row["after"]) == {"answered"} for row in rows.values()),
            "faults": rows,
        },
    )


async def _without_guard(bench: Bench) -> float:
    """Share of the questions whose answer the model gives where nothing is guarded."""
    nothing = GuardPlan(write_bundle(bench.bundles, targets=[], phrases=[]).digest)
    plan = {"vllm_xargs": {XARG: sign_plan(nothing, bench.key.encode())}}
    client = Client(bench.direct, extra=plan)
    await client.ask_all(COUNTRIES, stream=False)
    return sum(each.tells for each in client.seen) / len(client.seen)


def _row(bench: Bench, decided: Mapping[str, Sequence[str]], own: dict[str, Any]) -> dict[str, Any]:
    seen, after = own.pop("seen"), own.pop("after")
    ends = Client(bench.endpoint, seen=seen).ends()
    every = [*seen, *after.seen]
    unguarded = [each for each in every if _got_out(decided, each)]
    return {
        "requests": len(every),
        "seen": ends,
        "after": after.ends(),
        "unguarded": len(unguarded),
        "examples": [f"{each.country}: {each.text}" for each in unguarded[:3]],
        **own,
    }


def _got_out(decided: Mapping[str, Sequence[str]], seen: Seen) -> bool:
    """Whether an answer says what is forbidden by the bundle that its decision names."""
    return seen.tells and seen.country in decided.get(seen.decision, COUNTRIES)


def _decided(bench: Bench) -> dict[str, Sequence[str]]:
    """By decision, the countries whose capitals its bundle forbids."""
    with bench.log.open(encoding="utf-8") as lines:
        bundles = {row["id"]: row["bundle"] for row in map(json.loads, lines)}
    forbidden = {}
    for digest in filter(None, set(bundles.values())):
        phrases = set(load_bundle(bench.bundles, digest).phrases.texts())
        forbidden[digest] = [c for c in COUNTRIES if normalise(CAPITALS[c]) in phrases]
    return {id_: forbidden.get(digest, COUNTRIES) for id_, digest in bundles.items()}


def _largest(folder: Path) -> Path:
    return max(
        (path for path in folder.iterdir() if path.is_file()), key=lambda p: p.stat().st_size
    )


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o640)
    path.write_bytes(data)


def _tree(pid: int) -> list[int]:
    """A process and all that it started, itself first."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += _tree(int(child))
    return found


def _rss_kb(pid: int) -> int:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])
    return 0


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


FIGURE = Figure(
    name="faults",
    what="answers that got out unguarded while the stack was broken in nine ways",
    unit="answers",
    goal="0, and every request answered again once a fault is over",
    run=measure,
)
