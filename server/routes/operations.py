"""For operators: ``/healthz`` (it runs), ``/readyz`` (requests are guarded), ``/metrics``.

And for those who write clients, ``/openapi.json``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import Response

from server.active import PolicyHolder
from server.canary import Canary
from server.metrics import CONTENT_TYPE, Metrics
from server.reload import ReloadState
from server.wire.answers import to_json
from server.wire.openapi import openapi


class Operations:
    """The handlers.

    Args:
        reload_state: gives whether the policy on disk is in force.
    """

    def __init__(
        self,
        canary: Canary,
        policies: PolicyHolder,
        metrics: Metrics,
        *,
        reload_state: Callable[[], ReloadState],
    ) -> None:
        self._canary = canary
        self._policies = policies
        self._metrics = metrics
        self._reload_state = reload_state
        self._openapi = to_json(openapi())
        self._version = version("unlearn-guard")

    async def healthz(self, request: Request) -> Response:
        """200 as long as the process can answer."""
        return Response(to_json({"status": "ok"}), media_type="application/json")

    async def readyz(self, request: Request) -> Response:
        """200 while guarded requests are served; else 503 and one sentence.

        A policy edit that was rejected is told here, too, but leaves the proxy ready: the policy
        before it is in force.
        """
        health = self._canary.health
        policy = self._reload_state()
        body = {
            "status": "ready" if health.ok else "not ready",
            "reason": health.reason or None,
            "version": self._version,
            "policy": {
                "bundle": self._policies.current.bundle.digest,
                "current": policy.current,
                "reason": policy.reason or None,
            },
        }
        return Response(
            to_json(body), status_code=200 if health.ok else 503, media_type="application/json"
        )

    async def metrics(self, request: Request) -> Response:
        """Prometheus' text format."""
        return Response(self._metrics.exposition(), media_type=CONTENT_TYPE)

    async def openapi(self, request: Request) -> Response:
        """What is served, as an OpenAPI document; it holds nothing of the policy."""
        return Response(self._openapi, media_type="application/json")
