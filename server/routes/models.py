"""``GET /v1/models``: what the upstream serves, as it says it."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from server.active import PolicyHolder
from server.errors import ApiError, ModelNotFoundError
from server.routes.replies import header, send_body, send_error
from server.upstream import Upstream
from server.wire.answers import to_json

# A model's place on the upstream's disk, and its permissions there, are not the client's business.
_HIDDEN = ("root", "permission")


class ModelsEndpoint:
    """ASGI app of ``/v1/models`` and ``/v1/models/NAME``."""

    def __init__(self, policies: PolicyHolder, upstream: Upstream) -> None:
        self._policies = policies
        self._upstream = upstream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            self._policies.current.tenant(header(scope, b"authorization"))
            answer = await self._upstream.get("/v1/models")
            rows = [
                {name: value for name, value in row.items() if name not in _HIDDEN}
                for row in answer.json.get("data") or ()
                if isinstance(row, dict)
            ]
            name = scope.get("path_params", {}).get("model")
            if name is None:
                await send_body(send, 200, to_json({"object": "list", "data": rows}))
                return
            for row in rows:
                if row.get("id") == name:
                    await send_body(send, 200, to_json(row))
                    return
            raise ModelNotFoundError(f"the model `{name[:200]}` does not exist", param="model")
        except ApiError as error:
            await send_error(send, error)
