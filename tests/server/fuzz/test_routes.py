"""Every route, with what its own OpenAPI document allows and with what it does not."""

from __future__ import annotations

from typing import Any, Final

import httpx
import pytest
import schemathesis
from hypothesis import given
from schemathesis import GenerationMode

from server.wire.openapi import openapi
from tests.server.fuzz.live import ADMIN, Live, fuzzed
from tests.server.harness import MODEL

DOCUMENT: Final = openapi()
SCHEMA: Final = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS: Final = [
    (method.upper(), path)
    for path, members in DOCUMENT["paths"].items()
    for method in members
    if method != "parameters"
]
MODES: Final = {"allowed": GenerationMode.POSITIVE, "not allowed": GenerationMode.NEGATIVE}
# A change of the policy is compiled and proved; a body is what there is most to vary of.
SHARES: Final = {"/v1/chat/completions": 0.1, "/v1/responses": 0.08, "/v1/completions": 0.06,
                 "/v1/guard/context": 0.05, "/v1/guard/detect": 0.05,
                 "/admin/targets": 0.02}  # fmt: skip
FEW: Final = 0.01


def send(proxy: Live, method: str, path: str, case: Any) -> httpx.Response:
    """A case as schemathesis would send it, by our own client."""
    if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
        case.body["model"] = MODEL  # which the engine serves; of others the proxy says so at once
    made = case.as_transport_kwargs(base_url=proxy.url)
    given_headers = {k: str(v) for k, v in (made.get("headers") or {}).items()}
    headers = {k: v for k, v in given_headers.items() if k.lower() != "authorization"}
    if path.startswith("/admin"):
        headers["Authorization"] = f"Bearer {ADMIN}"
    return proxy.client.request(
        made["method"],
        made["url"],
        params=made.get("params"),
        headers=[(k.encode("latin-1", "replace"), v.encode("latin-1", "replace"))
                 for k, v in headers.items()],
        **({"json": made["json"]} if "json" in made else {}),
        **({"content": made["data"]} if isinstance(made.get("data"), bytes | str) else {}),
    )  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_no_request_makes_a_fault_or_gets_what_is_forbidden(
    proxy: Live, method: str, path: str, mode: str
) -> None:
    operation = SCHEMA[path][method]
    if mode == "not allowed" and method != "POST":
        pytest.skip("whatever it is sent is allowed")

    @fuzzed(SHARES.get(path, FEW))
    @given(case=operation.as_strategy(generation_mode=MODES[mode]))
    def each(case: Any) -> None:
        answer = send(proxy, method, path, case)
        proxy.check(answer)
        if answer.status_code == 201:
            proxy.client.delete(
                f"/admin/targets/{answer.json()['id']}",
                headers={"Authorization": f"Bearer {ADMIN}"},
            ).raise_for_status()

    each()


def test_much_of_what_is_allowed_is_answered_by_the_engine(proxy: Live) -> None:
    # Or else the test above would try little more than refusals.
    before = len(proxy.engine.requests)
    statuses = []

    @fuzzed(0.04)
    @given(case=SCHEMA["/v1/completions"]["POST"].as_strategy())
    def each(case: Any) -> None:
        statuses.append(send(proxy, "POST", "/v1/completions", case).status_code)

    each()
    assert statuses.count(200) >= len(statuses) // 4
    assert len(proxy.engine.requests) - before >= statuses.count(200) // 2
