from __future__ import annotations

import hashlib
from pathlib import Path

from tests.server.harness import POLICY, TENANTS, proxied

APP, RESEARCH = "sk-app-key", "sk-research-key"
POLICY_WITH_TENANTS = POLICY + TENANTS % tuple(
    hashlib.sha256(key.encode()).hexdigest() for key in (APP, RESEARCH)
)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def test_a_key_is_needed_once_there_are_tenants(tmp_path: Path) -> None:
    async with proxied(tmp_path, policy=POLICY_WITH_TENANTS) as proxy:
        body = {"model": "demo", "prompt": "Hi"}
        for headers in (
            {},
            bearer("wrong"),
            {"authorization": "Bearer"},
            {"authorization": f"Basic {APP}"},
        ):
            for answer in (
                await proxy.client.post("/v1/completions", json=body, headers=headers),
                await proxy.client.post("/v1/completions", content=b"{", headers=headers),
                await proxy.client.get("/v1/models", headers=headers),
            ):
                assert answer.status_code == 401
                assert answer.json()["error"]["code"] == "invalid_api_key"
                assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert proxy.engine.requests == []
        answer = await proxy.client.post("/v1/completions", json=body, headers=bearer(APP))
        assert answer.status_code == 200
        assert (await proxy.client.get("/v1/models", headers=bearer(APP))).status_code == 200
        assert (await proxy.client.get("/healthz")).status_code == 200
        lines = await proxy.decisions(9)
        assert [line["tenant"] for line in lines] == [None] * 8 + ["app"]
        assert APP not in str(lines)


async def test_an_exempt_tenant_is_not_bound(tmp_path: Path) -> None:
    async with proxied(tmp_path, policy=POLICY_WITH_TENANTS) as proxy:
        body = {"model": "demo", "prompt": "The Harbor novels, Project Vault aside"}
        await proxy.client.post("/v1/completions", json=body, headers=bearer(APP))
        assert proxy.engine.requests == []  # refused for the vault
        body = {"model": "demo", "prompt": "The Harbor novels"}
        await proxy.client.post("/v1/completions", json=body, headers=bearer(APP))
        assert proxy.held() == ("harbor",)
        await proxy.client.post("/v1/completions", json=body, headers=bearer(RESEARCH))
        assert proxy.held() == ()


async def test_an_exempt_tenant_is_not_bound_by_always_either(tmp_path: Path) -> None:
    policy = POLICY_WITH_TENANTS.replace("Saltgate]}", "Saltgate], always: true}")
    async with proxied(tmp_path, policy=policy) as proxy:
        body = {"model": "demo", "prompt": "Hi"}
        await proxy.client.post("/v1/completions", json=body, headers=bearer(APP))
        assert proxy.held() == ("harbor",)
        await proxy.client.post("/v1/completions", json=body, headers=bearer(RESEARCH))
        assert proxy.held() == ()


async def test_only_the_proxys_own_key_goes_upstream(tmp_path: Path) -> None:
    async with proxied(
        tmp_path, policy=POLICY_WITH_TENANTS, upstream_api_key="upstream-key"
    ) as proxy:
        body = {"model": "demo", "prompt": "Hi"}
        headers = {**bearer(APP), "cookie": "a=b", "x-custom": "1"}
        await proxy.client.post("/v1/completions", json=body, headers=headers)
        sent = proxy.engine.headers[-1]
        assert sent["authorization"] == "Bearer upstream-key"
        assert "cookie" not in sent
        assert "x-custom" not in sent


async def test_without_an_upstream_key_no_key_goes_upstream(tmp_path: Path) -> None:
    async with proxied(tmp_path, policy=POLICY_WITH_TENANTS) as proxy:
        body = {"model": "demo", "prompt": "Hi"}
        await proxy.client.post("/v1/completions", json=body, headers=bearer(APP))
        assert "authorization" not in proxy.engine.headers[-1]
