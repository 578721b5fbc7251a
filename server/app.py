"""Wires the proxy together. No module globals: every part is made here and handed on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from classifiers import BatchingEncoder, Encoder, load_encoder
from guard.policy.compile import KnownTargets
from server.active import ActivePolicy, PolicyHolder
from server.bundle_upkeep import BundleUpkeep
from server.canary import Canary, ServedModels
from server.decisions import DecisionLog
from server.errors import (
    ApiError,
    InternalError,
    MethodNotAllowedError,
    RequestError,
    UnknownPathError,
)
from server.kept_encodings import ENCODINGS, kept_encodings
from server.metrics import Metrics
from server.pipeline_path import CONTEXT_PATH, DETECT_PATH, PipelinePath
from server.policies import compile_files, encode_from_thread, log_warnings
from server.reload import Reloader, ReloadState
from server.request_path import PATHS, RequestPath
from server.responses.path import RESPONSES_PATH, ResponsesPath
from server.routes.guarded import AnswerRequest, GuardedEndpoint
from server.routes.models import ModelsEndpoint
from server.routes.operations import Operations
from server.routes.targets import TargetsEndpoint
from server.settings import NO_ENCODER, Settings
from server.steps import Steps
from server.target_files import TargetFiles
from server.upstream import Upstream
from server.wire.openapi import OPENAPI_PATH


def create_app(
    settings: Settings,
    *,
    encoder: Encoder | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> FastAPI:
    """The proxy as an ASGI app.

    The policy is compiled here, so that a bad one is an error at start. The engine is only asked
    once the app runs; until it has proved itself, ``/readyz`` fails and requests are refused.

    Args:
        encoder: to use instead of the one that the settings name.
        transport: what carries requests upstream; for tests.

    Raises:
        GuardError: a policy, key, encoder or setting that cannot be used, with the fix.
    """
    key = settings.signing_key()
    admin_digest = settings.admin_digest()
    metrics = Metrics()
    chosen = encoder or _load_encoder(settings)
    known = KnownTargets()
    with kept_encodings(settings.bundles / ENCODINGS, chosen) as encode:
        compiled = compile_files(
            settings.policies,
            settings.bundles,
            encode=encode,
            encoder=chosen.digest if chosen else "",
            known=known,
        )
    log_warnings(compiled)
    batching = BatchingEncoder(chosen) if chosen else None
    policies = PolicyHolder(ActivePolicy(compiled.bundle, batching))
    api_key = settings.upstream_api_key.get_secret_value() if settings.upstream_api_key else ""
    upstream = Upstream(
        settings.upstream,
        api_key=api_key,
        timeout_s=settings.upstream_timeout_s,
        transport=transport,
    )
    models = ServedModels(upstream)
    canary = Canary(
        upstream,
        models,
        key=key,
        digest=lambda: policies.current.bundle.digest,
        metrics=metrics,
        interval_s=settings.canary_interval_s,
    )
    log = DecisionLog(settings.decision_log, on_lost=metrics.lost_decisions.inc)
    steps = Steps(policies, log, metrics)
    path = RequestPath(steps, upstream, models, canary, key)
    pipeline = PipelinePath(steps)
    guarded: dict[str, AnswerRequest] = {
        **{url: partial(path.answer, api) for api, url in PATHS.items()},
        RESPONSES_PATH: ResponsesPath(path).answer,
        CONTEXT_PATH: pipeline.context,
        DETECT_PATH: pipeline.detect,
    }
    reloaders: list[Reloader] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        encode = encode_from_thread(batching, loop) if batching else None
        reloader = Reloader(
            settings.policies,
            policies,
            compile_policy=partial(
                compile_files,
                settings.policies,
                settings.bundles,
                encode=encode,
                encoder=batching.digest if batching else "",
                known=known,
            ),
            compiled=compiled,
            encoder=batching,
            prove=canary.probe,
            metrics=metrics,
            retry_s=settings.canary_interval_s,
        )
        reloaders.append(reloader)
        upkeep = BundleUpkeep(
            settings.bundles, lambda: policies.current.bundle.digest, reloader.write_again
        )
        tasks = [asyncio.create_task(each.run()) for each in (canary, reloader, upkeep)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await upstream.aclose()
            if batching:
                await batching.aclose()
            await asyncio.to_thread(log.close)

    def reload_state() -> ReloadState:
        return reloaders[-1].state if reloaders else ReloadState(current=True)

    targets = TargetsEndpoint(
        TargetFiles(settings.policies),
        policies,
        lambda: reloaders[-1],
        key_digest=admin_digest,
        max_body_bytes=settings.max_body_bytes,
    )
    operations = Operations(canary, policies, metrics, reload_state=reload_state)
    app = FastAPI(
        title="unlearn-guard",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        routes=[
            *(
                Route(
                    url,
                    GuardedEndpoint(url, answer, steps, max_body_bytes=settings.max_body_bytes),
                    methods=["POST"],
                )
                for url, answer in guarded.items()
            ),
            Route("/v1/models", ModelsEndpoint(policies, upstream), methods=["GET"]),
            Route("/v1/models/{model:path}", ModelsEndpoint(policies, upstream), methods=["GET"]),
            Route("/admin/targets", targets),
            Route("/admin/targets/{target}", targets),
            Route("/healthz", operations.healthz, methods=["GET"]),
            Route("/readyz", operations.readyz, methods=["GET"]),
            Route("/metrics", operations.metrics, methods=["GET"]),
            Route(OPENAPI_PATH, operations.openapi, methods=["GET"]),
        ],
    )
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _internal_error)
    return app


def _load_encoder(settings: Settings) -> Encoder | None:
    if settings.encoder == NO_ENCODER:
        return None
    key = settings.encoder_api_key.get_secret_value() if settings.encoder_api_key else ""
    return load_encoder(settings.encoder, api_key=key)


async def _http_error(request: Request, error: Exception) -> Response:
    """What the router itself refuses."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    where = f"`{request.method} {request.url.path[:200]}`"
    answer: ApiError
    if status == 404:
        answer = UnknownPathError(
            f"unknown path: {where}; served are `/v1/chat/completions`, `/v1/responses`,"
            f" `/v1/completions`, `/v1/models` and what `{OPENAPI_PATH}` lists: the model server's"
            " other paths would not be guarded"
        )
    elif status == 405:
        allow = (error.headers or {}).get("Allow", "") if isinstance(error, HTTPException) else ""
        answer = MethodNotAllowedError(f"{where} is not allowed; use {allow}", allow=allow)
    elif status < 500:
        answer = RequestError(f"{where} cannot be served")
    else:
        answer = InternalError()
    return _reply(answer)


async def _internal_error(request: Request, error: Exception) -> Response:
    return _reply(InternalError())


def _reply(error: ApiError) -> Response:
    return Response(
        error.body(),
        status_code=error.http_status,
        headers=dict(error.headers),
        media_type="application/json",
    )
