from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import get_args

from guard.decision import Outcome
from tests.server.harness import Proxy

OPERATING = Path("docs/OPERATING.md").read_text("utf-8")


async def test_every_guarded_answer_carries_its_decision(proxy: Proxy) -> None:
    answers = [
        await proxy.chat("Tides?"),
        await proxy.chat("Tides?", stream=True),
        await proxy.chat("Project Vault?"),
        await proxy.chat("Tides?", made_up=1),
        await proxy.complete("Tides"),
    ]
    ids = [answer.headers["x-guard-decision"] for answer in answers]
    assert ids == [answer.headers["x-request-id"] for answer in answers]
    assert all(re.fullmatch(r"gd_[0-9a-f]{24}", decision) for decision in ids)
    lines = await proxy.decisions(5)
    assert [line["id"] for line in lines] == ids
    assert [line["status"] for line in lines] == [200, 200, 200, 400, 200]


async def test_the_log_holds_no_protected_text(proxy: Proxy) -> None:
    proxy.engine.pieces = ["It is ", "Saltgate", "."]
    messages = [
        {"role": "system", "content": "Mirelle Quay wrote them."},
        {"role": "user", "content": "The Harbor novels, and Blue Kestrel?"},
    ]
    await proxy.chat(messages=messages)
    await proxy.chat(messages=messages, stream=True)
    for line in await proxy.decisions(2):
        text = json.dumps(line).lower()
        for secret in ("mirelle", "quay", "saltgate", "harbor novels", "kestrel", "wrote"):
            assert secret not in text
        assert line["bundle"]
        assert line["model"] == "demo"
        assert line["outcome"] == "cut"
        assert line["finish"] == ["content_filter"]
        assert line["observed"] == ["watched"]
        assert line["edits"][0]["place"] == "messages[0].content"
        assert line["edits"][0]["start"] == 0
        assert line["tokens"]["completion_tokens"] >= 1
        # What is left of the answer tells nothing, and was not looked at.
        assert set(line["latency_ms"]) == {"detect", "context", "substitute", "first", "total"}
    assert "quay" not in (await proxy.client.get("/metrics")).text.lower()


async def test_metrics_hold_ids_and_no_protected_text(proxy: Proxy) -> None:
    proxy.engine.pieces = ["It is ", "Saltgate", "."]
    await proxy.chat("Harbor novels, Project Vault, the Orrin merger, the Lantern Act of 1911?")
    await proxy.chat("Mirelle Quay?", **{"Saltgate": 1})
    await proxy.client.post("/v1/guard/detect", json={"texts": ["Mirelle Quay, Blue Kestrel"]})
    await proxy.decisions(3)
    text = (await proxy.client.get("/metrics")).text.lower()
    assert 'target="harbor"' in text
    for secret in ("mirelle", "saltgate", "nightjar", "orrin", "lantern", "kestrel", 'vault"'):
        assert secret not in text.replace('target="vault"', "")


async def test_requests_are_counted_by_outcome(proxy: Proxy) -> None:
    await proxy.chat("Tides?")
    await proxy.chat("Harbor novels?")
    await proxy.chat("Harbor novels?", stream=True)
    await proxy.decisions(3)
    for outcome, count in (("passed", 1), ("constrained", 2)):
        labels = f'endpoint="/v1/chat/completions",outcome="{outcome}",status="200"'
        assert await proxy.metric(f"unlearn_guard_requests_total{{{labels}}}") == count
    assert await proxy.metric('unlearn_guard_detections_total{target="harbor"}') == 2
    assert await proxy.metric("unlearn_guard_held_back_characters_count") == 1
    assert await proxy.metric("unlearn_guard_in_flight_requests") == 0
    assert await proxy.metric("unlearn_guard_engine_healthy") == 1


async def test_each_metric_and_each_field_of_the_log_is_explained_to_operators(
    proxy: Proxy,
) -> None:
    page = OPERATING[OPERATING.index("## Watching it") : OPERATING.index("## The sentence encoder")]
    known = set(re.findall(r"`(\w+)`", page))
    exposed = (await proxy.client.get("/metrics")).text
    assert known >= set(re.findall(r"# TYPE (unlearn_guard_\w+?)(?:_total|_created)? ", exposed))
    assert known >= set(get_args(Outcome))
    await proxy.chat("Tides?")
    (line,) = await proxy.decisions(1)
    assert known >= line.keys()


async def test_models_do_not_tell_where_they_are_stored(proxy: Proxy) -> None:
    answer = await proxy.client.get("/v1/models")
    assert [row["id"] for row in answer.json()["data"]] == ["demo"]
    assert "/secret/disk" not in answer.text


async def test_readiness_tells_the_version_and_the_policy_in_force(proxy: Proxy) -> None:
    ready = (await proxy.client.get("/readyz")).json()
    assert ready["version"] == version("unlearn-guard")
    assert (proxy.settings.bundles / ready["policy"]["bundle"]).is_dir()
