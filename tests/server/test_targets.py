from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from starlette.responses import Response

from classifiers.encoder import SentenceEncoder
from guard.plan import GuardPlan
from tests.server.harness import POLICY, TENANTS, FakeEngine, Proxy, proxied

ADMIN = "admin-key-of-the-tests"
KEYED = {"authorization": f"Bearer {ADMIN}"}


def lantern(**fields: Any) -> dict[str, Any]:
    return {
        "id": "lantern",
        "title": "The Lantern papers",
        "reason": "secret",
        "owner": "legal@example.com",
        "detect": {"aliases": ["Lantern papers"]},
        "respond": "refuse",
        "refusal": "I can't discuss those papers.",
        **fields,
    }


async def post(proxy: Proxy, target: Any, **headers: str) -> httpx.Response:
    return await proxy.client.post("/admin/targets", json=target, headers={**KEYED, **headers})


async def said(proxy: Proxy, prompt: str) -> str:
    answer = (await proxy.chat(prompt)).json()
    text: str = answer["choices"][0]["message"]["content"]
    return text


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (folder / "policies").iterdir()}


async def test_a_target_is_in_force_when_the_answer_comes_and_is_a_policy_file(
    tmp_path: Path,
) -> None:
    async with proxied(tmp_path, admin_key=ADMIN) as proxy:
        assert await said(proxy, "What do the Lantern papers say?") == "Hello there."
        answer = await post(proxy, lantern())
        assert answer.status_code == 201, answer.text
        assert answer.json()["bundle"] in proxy.engine.probes
        assert answer.json()["managed"] is True
        assert await said(proxy, "What do the Lantern papers say?") == lantern()["refusal"]
        written = yaml.safe_load((tmp_path / "policies" / "lantern.yaml").read_text())
        assert written == {"version": 1, "targets": [lantern()]}
        assert (await proxy.client.get("/readyz")).json()["policy"]["current"]
    # A restart finds it.
    async with proxied(tmp_path, admin_key=ADMIN) as proxy:
        assert await said(proxy, "What do the Lantern papers say?") == lantern()["refusal"]


async def test_a_target_is_changed_listed_shown_and_removed(tmp_path: Path) -> None:
    async with proxied(tmp_path, admin_key=ADMIN) as proxy:
        await post(proxy, lantern())
        changed = await post(proxy, lantern(detect={"aliases": ["Lamp papers"]}))
        assert changed.status_code == 200
        assert await said(proxy, "What do the Lantern papers say?") == "Hello there."
        assert await said(proxy, "What do the Lamp papers say?") == lantern()["refusal"]
        rows = (await proxy.client.get("/admin/targets", headers=KEYED)).json()["data"]
        managed = {row["id"]: row["managed"] for row in rows}
        assert managed == {
            "harbor": False, "vault": False, "merger": False, "open": False, "watched": False,
            "lantern": True,
        }  # fmt: skip
        one = (await proxy.client.get("/admin/targets/lantern", headers=KEYED)).json()
        assert one["target"] == lantern(detect={"aliases": ["Lamp papers"]})
        assert (
            "target" not in (await proxy.client.get("/admin/targets/harbor", headers=KEYED)).json()
        )
        gone = await proxy.client.delete("/admin/targets/lantern", headers=KEYED)
        assert gone.json()["deleted"] is True
        assert await said(proxy, "What do the Lamp papers say?") == "Hello there."
        assert set(files(tmp_path)) == {"policy.yaml"}
        again = await proxy.client.delete("/admin/targets/lantern", headers=KEYED)
        assert (again.status_code, again.json()["error"]["code"]) == (404, "target_not_found")


@pytest.mark.parametrize(
    "configured", [ADMIN, f"sha256:{hashlib.sha256(ADMIN.encode()).hexdigest()}"]
)
async def test_only_the_admin_key_opens_it(tmp_path: Path, configured: str) -> None:
    async with proxied(tmp_path, admin_key=configured) as proxy:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": ADMIN}):
            answer = await proxy.client.post("/admin/targets", json=lantern(), headers=headers)
            assert answer.status_code == 401
        assert (await post(proxy, lantern())).status_code == 201


async def test_without_an_admin_key_nobody_may_use_it(tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        for headers in ({}, KEYED, {"authorization": "Bearer x"}):
            for method in ("GET", "POST"):
                answer = await proxy.client.request(
                    method, "/admin/targets", json=lantern(), headers=headers
                )
                assert answer.status_code == 403
                assert "UNLEARN_GUARD_ADMIN_KEY" in answer.json()["error"]["message"]
        assert set(files(tmp_path)) == {"policy.yaml"}


async def test_a_tenants_key_does_not_open_it(tmp_path: Path) -> None:
    key = "tenant-key"
    digest = hashlib.sha256(key.encode()).hexdigest()
    policy = POLICY + TENANTS % (digest, "0" * 64)
    async with proxied(tmp_path, admin_key=ADMIN, policy=policy) as proxy:
        answer = await post(proxy, lantern(), authorization=f"Bearer {key}")
        assert answer.status_code == 401


BAD: dict[str, tuple[Any, str | None, str]] = {
    "a choice": (lantern(respond="shrug"), "respond", "must be"),
    "a missing field": ({"id": "x", "title": "X", "reason": "secret"}, None, "owner"),
    "an unknown field": (lantern(detect={"alias": ["A b"]}), "detect.alias", "aliases"),
    "a field of an item": (lantern(detect={"aliases": ["Lamp", 7]}), "detect.aliases[1]", "text"),
    "an id": (lantern(id="../../etc/x"), "id", "a-z"),
    "nothing to detect by": (lantern(detect={}), "detect", "aliases"),
    "a blank alias": (lantern(detect={"aliases": ["..."]}), "detect.aliases[0]", "letter"),
    "a file outside": (
        lantern(detect={"examples": "../../secret.txt"}), "detect.examples", "outside",
    ),
    "an absolute pattern": (
        lantern(forbid={"verbatim": {"corpus": ["/etc/*"], "words": 8}}),
        "forbid.verbatim.corpus", "outside",
    ),
    "a missing file": (lantern(detect={"examples": "none.jsonl"}), "detect.examples", "none.jsonl"),
    "examples without an encoder": (
        lantern(detect={"examples": ["Who wrote the papers?"]}), "detect.examples", "encoder",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_target_is_refused_by_field_and_nothing_is_left_of_it(
    tmp_path: Path, case: str
) -> None:
    target, field, word = BAD[case]
    async with proxied(tmp_path, admin_key=ADMIN) as proxy:
        before = files(tmp_path)
        answer = await post(proxy, target)
        error = answer.json()["error"]
        assert answer.status_code == 400, error
        assert error["param"] == field
        assert word in error["message"]
        assert files(tmp_path) == before
        assert (await proxy.chat("Hi")).status_code == 200


async def test_a_change_that_is_refused_leaves_the_target_as_it_was(tmp_path: Path) -> None:
    async with proxied(tmp_path, admin_key=ADMIN) as proxy:
        await post(proxy, lantern())
        before = files(tmp_path)
        assert (await post(proxy, lantern(detect={"aliases": ["?"]}))).status_code == 400
        assert files(tmp_path) == before
        assert await said(proxy, "What do the Lantern papers say?") == lantern()["refusal"]


async def test_an_operators_own_targets_and_files_are_left_alone(tmp_path: Path) -> None:
    async with proxied(tmp_path, admin_key=ADMIN) as proxy:
        for answer in (
            await post(proxy, lantern(id="harbor")),
            await post(proxy, lantern(id="policy")),
            await proxy.client.delete("/admin/targets/harbor", headers=KEYED),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
            assert "operator's own" in answer.json()["error"]["message"]
        assert files(tmp_path) == {"policy.yaml": POLICY}


async def test_a_single_file_is_no_place_for_more_targets(tmp_path: Path) -> None:
    policy = tmp_path / "policies" / "policy.yaml"
    async with proxied(tmp_path, admin_key=ADMIN, policies=policy) as proxy:
        answer = await post(proxy, lantern())
        assert answer.status_code == 409
        assert "serve a folder" in answer.json()["error"]["message"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    async with proxied(tmp_path, admin_key=ADMIN) as proxy:
        (tmp_path / "policies").chmod(0o500)
        answer = await post(proxy, lantern())
        (tmp_path / "policies").chmod(0o700)
        assert answer.status_code == 409
        assert "cannot be written" in answer.json()["error"]["message"]


async def test_a_target_that_the_engine_does_not_prove_is_taken_back(tmp_path: Path) -> None:
    class Picky(FakeEngine):
        sees: str | None = None

        def _probe(self, plan: GuardPlan) -> Response:
            self.canary = "healthy" if self.sees in (None, plan.bundle) else "ignored"
            return super()._probe(plan)

    engine = Picky()
    async with proxied(tmp_path, engine=engine, admin_key=ADMIN) as proxy:
        engine.sees = (await proxy.client.get("/readyz")).json()["policy"]["bundle"]
        answer = await post(proxy, lantern())
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "guard_unavailable")
        assert "taken back" in answer.json()["error"]["message"]
        assert files(tmp_path) == {"policy.yaml": POLICY}
        assert await said(proxy, "What do the Lantern papers say?") == "Hello there."
        engine.sees = None
        assert (await post(proxy, lantern())).status_code == 201


async def test_a_tenants_exemption_keeps_its_target(tmp_path: Path) -> None:
    async with proxied(tmp_path, admin_key=ADMIN) as proxy:
        await post(proxy, lantern())
        digests = "0" * 64, "1" * 64
        tenants = (TENANTS % digests).replace("[harbor]", "[lantern]")
        (tmp_path / "policies" / "tenants.yaml").write_text(f"version: 1\n{tenants}")
        answer = await proxy.client.delete("/admin/targets/lantern", headers=KEYED)
        assert answer.status_code == 409
        assert "exempt" in answer.json()["error"]["message"]
        assert "lantern.yaml" in files(tmp_path)


async def test_what_is_likely_not_meant_is_told(tmp_path: Path) -> None:
    async with proxied(tmp_path, admin_key=ADMIN) as proxy:
        answer = await post(proxy, lantern(expires="2020-01-01"))
        (warning,) = answer.json()["warnings"]
        assert warning["field"] == "expires"
        assert "expired" in warning["problem"]


async def test_no_log_line_holds_what_a_target_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "unlearn_guard"):
        async with proxied(tmp_path, admin_key=ADMIN) as proxy:
            await post(proxy, lantern())
            await post(proxy, lantern(detect={"aliases": ["Lantern papers"], "examples": ["x"]}))
            await post(proxy, lantern(respond="Lantern papers"))
            await proxy.client.delete("/admin/targets/lantern", headers=KEYED)
    assert "`lantern`" in caplog.text
    assert "papers" not in caplog.text
    assert ADMIN not in caplog.text


async def test_targets_added_at_once_are_all_in_force(tmp_path: Path) -> None:
    async with proxied(tmp_path, admin_key=ADMIN) as proxy:
        names = ["Amber", "Birch", "Cedar", "Dahlia", "Elder"]
        answers = await asyncio.gather(
            *(
                post(proxy, lantern(id=n.lower(), detect={"aliases": [f"{n} papers"]}))
                for n in names
            )
        )
        assert [answer.status_code for answer in answers] == [201] * len(names)
        for name in names:
            assert await said(proxy, f"Tell me of the {name} papers") == lantern()["refusal"]


async def test_examples_detect_at_once(tmp_path: Path, encoder: SentenceEncoder) -> None:
    target = lantern(detect={"examples": ["Which ministers are named in the leaked papers?"]})
    async with proxied(tmp_path, admin_key=ADMIN, encoder=encoder) as proxy:
        assert (await post(proxy, target)).status_code == 201
        refusal = target["refusal"]
        assert await said(proxy, "Which ministers do the leaked papers name?") == refusal
        assert await said(proxy, "How do I poach an egg?") == "Hello there."


async def test_other_methods_are_named(tmp_path: Path) -> None:
    async with proxied(tmp_path, admin_key=ADMIN) as proxy:
        answer = await proxy.client.put("/admin/targets", json=lantern(), headers=KEYED)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
        answer = await proxy.client.patch("/admin/targets/harbor", json={}, headers=KEYED)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, DELETE")
