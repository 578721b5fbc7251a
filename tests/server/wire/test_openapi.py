"""The document names every route and field that the proxy takes, and nothing of the policy."""

from __future__ import annotations

from starlette.routing import Route

from server.wire.chat import ChatRequest
from server.wire.completions import CompletionRequest
from server.wire.fields import REFUSED
from server.wire.openapi import OPENAPI_PATH, openapi
from tests.server.harness import Proxy


async def test_it_is_served_and_names_every_route(proxy: Proxy) -> None:
    served = (await proxy.client.get(OPENAPI_PATH)).json()
    assert served == openapi()
    routes = {route.path for route in proxy.app.routes if isinstance(route, Route)}
    routes = {path.replace(":path", "") for path in routes}
    assert routes - {OPENAPI_PATH} == set(served["paths"])
    assert "harbor" not in (await proxy.client.get(OPENAPI_PATH)).text.lower()


def test_it_names_the_fields_that_are_taken_and_no_other() -> None:
    schemas = openapi()["components"]["schemas"]
    for model in (ChatRequest, CompletionRequest):
        made = schemas[model.__name__]
        assert set(made["properties"]) == set(model.model_fields)
        assert made["additionalProperties"] is False
        # Switches of the template are taken; all else that a template may be told is refused.
        assert set(made["properties"]) & set(REFUSED) <= {"chat_template_kwargs"}
