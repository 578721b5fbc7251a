from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from guard.context import DROPPED, REDACTED
from tests.server.harness import POLICY, TENANTS, Proxy, proxied
from tests.server.test_fail_closed import OPEN

APP, RESEARCH = "sk-app-key", "sk-research-key"
CONTEXT, DETECT = "/v1/guard/context", "/v1/guard/detect"
NAMED = "Tides rise. Mirelle Quay wrote of them. Tides fall."
KEPT = f"Tides rise. {REDACTED} Tides fall."


async def context(proxy: Proxy, **body: Any) -> Any:
    answer = await proxy.client.post(CONTEXT, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def detect(proxy: Proxy, **body: Any) -> Any:
    answer = await proxy.client.post(DETECT, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_texts_come_back_without_what_touches_a_target(proxy: Proxy) -> None:
    body = await context(proxy, texts=["How tides work.", NAMED, ""])
    assert [item["text"] for item in body["texts"]] == ["How tides work.", KEPT, ""]
    assert [item["edits"] for item in body["texts"]][::2] == [[], []]
    (edit,) = body["texts"][1]["edits"]
    assert NAMED[edit["start"] : edit["end"]] == "Mirelle Quay wrote of them."
    assert (edit["target"], edit["action"]) == ("harbor", "redact")
    assert body["refused"] is None
    assert body["unguarded"] is False


async def test_documents_of_any_shape_come_back_edited_in_place(proxy: Proxy) -> None:
    documents: list[dict[str, Any]] = [
        {"page_content": NAMED, "metadata": {"source": "a", "page": 3, "tags": ["x", NAMED]}},
        {"title": "Mirelle Quay", "text": "Tides.", "score": 0.5, "none": None},
        {"name": "Mirelle Quay", "type": "Mirelle Quay"},
    ]
    first, second, third = (await context(proxy, documents=documents))["documents"]
    assert first["document"] == {
        "page_content": KEPT,
        "metadata": {"source": "a", "page": 3, "tags": ["x", KEPT]},
    }
    assert [edit["path"] for edit in first["edits"]] == [["page_content"], ["metadata", "tags", 1]]
    assert second["document"] == {"title": REDACTED, "text": "Tides.", "score": 0.5, "none": None}
    assert third["document"] == {"name": REDACTED, "type": REDACTED}


async def test_a_query_says_which_targets_hold(proxy: Proxy) -> None:
    text = "The town is called Saltgate. It has a wall."
    assert (await context(proxy, texts=[text]))["texts"][0]["text"] == text
    body = await context(proxy, texts=[text], query="Where are the Harbor novels set?")
    assert body["texts"][0]["text"] == f"{REDACTED} It has a wall."


async def test_a_dropped_text_says_so(proxy: Proxy) -> None:
    body = await context(proxy, texts=["Fine.", "Fine. Project Vault is run by Ann."])
    assert [item["dropped"] for item in body["texts"]] == [False, True]
    assert body["texts"][1]["text"] == DROPPED


async def test_a_refusing_target_gives_nothing_back(proxy: Proxy) -> None:
    body = await context(proxy, texts=["Fine.", "The Orrin merger is on."])
    assert body["refused"] == {"target": "merger", "message": "I can't discuss the merger."}
    assert "texts" not in body
    (line,) = await proxy.decisions()
    assert line["outcome"] == "refused"


async def test_what_is_allowed_or_only_watched_stays(proxy: Proxy) -> None:
    texts = ["The Lantern Act of 1911 says so.", "A Blue Kestrel is a bird."]
    assert [item["text"] for item in (await context(proxy, texts=texts))["texts"]] == texts


async def test_the_decision_log_and_the_metrics_know_of_it_and_hold_no_text(proxy: Proxy) -> None:
    answer = await proxy.client.post(
        CONTEXT, json={"documents": [{"Mirelle": NAMED}], "query": "Harbor novels?"}
    )
    await proxy.client.post(DETECT, json={"texts": ["Harbor novels?", "Tides?"]})
    first, second = await proxy.decisions(2)
    assert first["id"] == answer.headers["x-guard-decision"] == answer.json()["id"]
    assert (first["endpoint"], first["outcome"]) == (CONTEXT, "constrained")
    assert (first["active"], first["standing"]) == (["harbor"], 0)
    assert [edit["place"] for edit in first["edits"]] == ["documents[0]#0"]
    assert {place["place"] for found in first["detections"] for place in found["evidence"]} == {
        "query", "documents[0]#0"
    }  # fmt: skip
    assert (second["endpoint"], second["outcome"]) == (DETECT, "observed")
    assert second["observed"] == ["harbor"]
    assert "Mirelle" not in str([first, second])
    labels = f'{{endpoint="{CONTEXT}",outcome="constrained",status="200"}}'
    assert await proxy.metric(f"unlearn_guard_requests_total{labels}") == 1
    assert await proxy.metric('unlearn_guard_detections_total{target="harbor"}') == 2


async def test_each_text_is_detected_by_itself(proxy: Proxy) -> None:
    body = await detect(proxy, texts=["Tides?", "Project Vault and the Harbor novels", "Harbor"])
    assert [[found["target"] for found in each["detections"]] for each in body["results"]] == [
        [], ["harbor", "vault"], []
    ]  # fmt: skip
    harbor = body["results"][1]["detections"][0]
    assert harbor["evidence"] == [{"kind": "alias", "place": "texts[1]", "score": 1.0, "via": ""}]
    assert (harbor["by"], harbor["respond"], harbor["context"]) == ("user", "suppress", "redact")


async def test_a_conversation_is_detected_as_one(proxy: Proxy) -> None:
    messages = [
        {"role": "system", "content": "Project Vault is secret."},
        {"role": "user", "content": "I like the Harbor"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "novels, and the Blue Kestrel"},
    ]
    (result,) = (await detect(proxy, messages=messages))["results"]
    assert {found["target"]: (found["by"], found["respond"]) for found in result["detections"]} == {
        "harbor": ("user", "suppress"),
        "watched": ("user", "observe"),
        "vault": ("context", "refuse"),
    }


@pytest.mark.parametrize(
    ("path", "body", "param", "says"),
    [
        (CONTEXT, {}, "texts", "give `texts` or `documents`: neither"),
        (CONTEXT, {"texts": ["a"], "documents": [{}]}, "documents", "both are there"),
        (CONTEXT, {"texts": "a"}, "texts", "valid list"),
        (CONTEXT, {"texts": [1]}, "texts[0]", "valid string"),
        (CONTEXT, {"texts": []}, "texts", "at least 1"),
        (CONTEXT, {"documents": ["a"]}, "documents[0]", "valid dictionary"),
        (CONTEXT, {"texts": ["a"], "query": ["b"]}, "query", "valid string"),
        (CONTEXT, {"texts": ["a"], "model": "m"}, "model", "unknown field"),
        (CONTEXT, {"documents": [{"Mirelle Quay": "x"}]}, "documents[0]#names", "leave it out"),
        (DETECT, {}, "texts", "give `texts` or `messages`: neither"),
        (DETECT, {"messages": []}, "messages", "at least 1"),
        (DETECT, {"messages": [{"role": "king", "content": ""}]}, "messages[0].role", "system"),
        (
            DETECT,
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0]",
            "only text",
        ),
    ],
)
async def test_what_cannot_be_looked_at_is_named(
    proxy: Proxy, path: str, body: Any, param: str, says: str
) -> None:
    answer = await proxy.client.post(path, json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] == param
    assert says in error["message"]
    assert answer.headers["x-guard-decision"].startswith("gd_")


@pytest.mark.parametrize("path", [CONTEXT, DETECT])
async def test_bodies_are_json_and_have_a_limit(tmp_path: Path, path: str) -> None:
    async with proxied(tmp_path, max_body_bytes=2048) as proxy:
        assert (await proxy.client.post(path, content=b"[]")).status_code == 400
        assert (await proxy.client.post(path, content=b"{")).status_code == 400
        large = await proxy.client.post(path, json={"texts": ["x" * 3000]})
        assert large.status_code == 413
        assert (await proxy.client.get(path)).status_code == 405


async def test_tenants_bind_here_too(tmp_path: Path) -> None:
    keys = tuple(hashlib.sha256(key.encode()).hexdigest() for key in (APP, RESEARCH))
    async with proxied(tmp_path, policy=POLICY + TENANTS % keys) as proxy:

        async def ask(path: str, key: str = "") -> httpx.Response:
            headers = {"authorization": f"Bearer {key}"} if key else {}
            return await proxy.client.post(path, json={"texts": [NAMED]}, headers=headers)

        for path in (CONTEXT, DETECT):
            assert (await ask(path)).status_code == 401
            assert (await ask(path, "wrong")).status_code == 401
        assert (await ask(CONTEXT, APP)).json()["texts"][0]["text"] == KEPT
        assert (await ask(CONTEXT, RESEARCH)).json()["texts"][0]["text"] == NAMED
        assert (await ask(DETECT, RESEARCH)).json()["results"][0]["detections"] == []
        assert [line["tenant"] for line in await proxy.decisions(7)][-1] == "research"


def _broken(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("Saltgate: internals")


@pytest.mark.parametrize("path", [CONTEXT, DETECT])
async def test_failed_detection_gives_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    async with proxied(tmp_path) as proxy:
        monkeypatch.setattr("server.steps.find_targets", _broken)
        answer = await proxy.client.post(path, json={"texts": [NAMED]})
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "guard_unavailable"
        assert "Saltgate" not in answer.text


@pytest.mark.parametrize("step", ["judge", "filter_context", "context_texts"])
async def test_any_other_step_that_fails_gives_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    async with proxied(tmp_path, policy=OPEN) as proxy:
        monkeypatch.setattr(f"server.pipeline_path.{step}", _broken)
        answer = await proxy.client.post(CONTEXT, json={"texts": [NAMED]})
        assert answer.status_code == 503
        assert "Saltgate" not in answer.text


async def test_on_error_open_says_that_texts_are_unguarded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxied(tmp_path, policy=OPEN) as proxy:
        monkeypatch.setattr("server.steps.find_targets", _broken)
        body = await context(proxy, texts=[NAMED])
        assert body["unguarded"] is True
        assert body["texts"][0]["text"] == NAMED
        (line,) = await proxy.decisions()
        assert line["failed_open"] is True
        assert await proxy.metric("unlearn_guard_failed_open_total") == 1


async def test_the_engine_is_not_needed(tmp_path: Path) -> None:
    async with proxied(tmp_path, upstream="http://127.0.0.1:9", wait=False) as proxy:
        assert (await context(proxy, texts=[NAMED]))["texts"][0]["text"] == KEPT
