"""READ FIRST: one guarded request, from top to bottom.

Both APIs, streaming and not, take this way. Every step either returns, or raises an ``ApiError``;
any other failure of a step of the guard refuses the request, unless the policy says
``on_error: open``. Nothing is sent upstream before all steps have passed, and nothing of an answer
leaves before it was scanned.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from guard.bundle import BundleTarget
from guard.plan import sign_plan
from server.active import ActivePolicy, PolicyHolder
from server.canary import Canary, ServedModels
from server.context_filter import filter_context
from server.decisions import Decision, DecisionLog
from server.detection import Findings, find_targets
from server.errors import (
    ApiError,
    GuardUnavailableError,
    ModelNotFoundError,
    UpstreamAbandonedError,
)
from server.forcing import forbid_forcing
from server.metrics import Metrics
from server.payload import engine_payload
from server.release import Release
from server.substitute import substitute
from server.upstream import Upstream
from server.verdict import judge
from server.wire.answers import Api, error_events, refusal_answer, refusal_events
from server.wire.parse import Request, parse, request_texts
from server.wire.texts import RequestText

_log = logging.getLogger("unlearn_guard.request")

PATHS: Final[Mapping[Api, str]] = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
DEFAULT_REFUSAL: Final = "I can't help with that."


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    """A JSON body."""

    body: bytes


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """Encoded events, the last of them included; ``aclose`` stops the upstream."""

    events: AsyncIterator[bytes]
    aclose: Callable[[], Awaitable[None]]


Answer = WholeAnswer | StreamedAnswer


@dataclass(frozen=True, slots=True)
class RequestPath:
    """What a request needs on its way; one for the life of the app."""

    policies: PolicyHolder
    upstream: Upstream
    models: ServedModels
    canary: Canary
    log: DecisionLog
    metrics: Metrics
    key: bytes

    async def answer(self, api: Api, authorization: str, body: bytes, decision: Decision) -> Answer:
        """Guard one request and answer it; ``decision`` records what was decided.

        Raises:
            ApiError: the request is refused or cannot be answered; nothing of an answer left.
        """
        try:
            return await self._answer(api, authorization, body, decision)
        except ApiError:
            raise
        except Exception as error:
            _log.exception("%s: a step of the guard failed", decision.id)
            raise GuardUnavailableError("a step of the guard failed; try again later") from error

    async def _answer(
        self, api: Api, authorization: str, body: bytes, decision: Decision
    ) -> Answer:
        policy = self.policies.current
        tenant = policy.tenant(authorization)
        skip = policy.exempt(tenant)
        raw, request = parse(api, body)
        decision.begin(policy.bundle.digest, tenant, stream=bool(request.stream))
        self._require_engine(policy, decision)
        await self._require_model(request.model, decision)

        texts = request_texts(api, raw)
        with self._step("detect", decision):
            findings = await self._detect(policy, texts, skip, decision)
        verdict = judge(policy, findings, skip)
        decision.judged(findings.merged, verdict.active, verdict.observed)
        if verdict.refused_by is not None:
            return self._refuse(api, request, verdict.refused_by, decision)
        with self._step("context", decision):
            turns = [text.text for text in texts if text.kind == "user"]
            active = await policy.active_set(verdict.active, turns)
            filtered = filter_context(policy.bundle, active, texts, findings)
        if filtered.refused_by is not None:
            return self._refuse(api, request, filtered.refused_by, decision)
        decision.edits = filtered.edits
        forbid_forcing(request, raw, active)
        with self._step("substitute", decision):
            touched = [detection.target for detection in findings.merged]
            swapped = substitute(policy, active, touched, api, raw, turns)
        if swapped is not None:
            decision.swapped(swapped.counts)

        plan = policy.plan(active, skip)
        payload = engine_payload(request, raw, sign_plan(plan, self.key), decision)
        return await self._forward(
            api,
            request,
            payload,
            Release.of(
                api, request, policy.bundle, active, decision, swapped.back if swapped else None
            ),
        )

    def finish(self, decision: Decision) -> None:
        """Log and count a decision; once, when its answer has left or failed."""
        labels = (decision.endpoint, decision.outcome, str(decision.status))
        self.metrics.requests.labels(*labels).inc()
        for detection in decision.detections:
            self.metrics.detections.labels(detection.target).inc()
        for cut in decision.cuts:
            self.metrics.cuts.labels(cut.target).inc()
        if decision.stream and decision.active:
            self.metrics.held_characters.observe(decision.held_characters)
        self.metrics.answer_seconds.labels(decision.endpoint).observe(decision.elapsed_ms() / 1000)
        self.log.write(decision.record())

    def _require_engine(self, policy: ActivePolicy, decision: Decision) -> None:
        health = self.canary.health
        if not health.ok:
            self._guard_failed(policy, decision, f"the engine is not guarded: {health.reason}")

    async def _require_model(self, model: str, decision: Decision) -> None:
        if not await self.models.serves(model):
            raise ModelNotFoundError(
                f"the model `{model[:200]}` does not exist; `GET /v1/models` lists those that do",
                param="model",
            )
        decision.model = model

    async def _detect(
        self,
        policy: ActivePolicy,
        texts: list[RequestText],
        skip: frozenset[str],
        decision: Decision,
    ) -> Findings:
        try:
            return await find_targets(policy.detector, texts, skip)
        except Exception:
            _log.exception("%s: detection failed", decision.id)
            self._guard_failed(policy, decision, "detection failed")
            return Findings()

    def _guard_failed(self, policy: ActivePolicy, decision: Decision, reason: str) -> None:
        """Refuse, or under ``on_error: open`` say loudly that the request goes on."""
        if policy.bundle.on_error != "open":
            raise GuardUnavailableError(f"{reason}; nothing was forwarded, so try again later")
        decision.failed_open = True
        self.metrics.unguarded.inc()
        _log.error("%s: let through by `on_error: open`: %s", decision.id, reason)

    def _refuse(
        self, api: Api, request: Request, target: BundleTarget, decision: Decision
    ) -> Answer:
        decision.outcome = "refused"
        text = target.refusal or DEFAULT_REFUSAL
        choices = request.choices
        decision.finish = dict.fromkeys(range(choices), "content_filter")
        head = {"answer_id": decision.id, "model": request.model, "text": text}
        if not request.stream:
            return WholeAnswer(refusal_answer(api, **head, choices=choices))
        return StreamedAnswer(
            _each(refusal_events(api, **head, choices=choices, usage=request.wants_usage)),
            _nothing,
        )

    async def _forward(
        self, api: Api, request: Request, payload: bytes, release: Release
    ) -> Answer:
        decision = release.decision
        if not request.stream:
            try:
                answer = await self.upstream.post(PATHS[api], payload)
            except UpstreamAbandonedError:
                if not release.may_be_empty:
                    raise
                return WholeAnswer(release.nothing_left(request.choices))
            decision.first_ms = decision.elapsed_ms()
            return WholeAnswer(release.whole(answer))
        stream = await self.upstream.stream(PATHS[api], payload)

        async def events() -> AsyncIterator[bytes]:
            try:
                async for event in release.events(stream, choices=request.choices):
                    if decision.first_ms is None:
                        decision.first_ms = decision.elapsed_ms()
                    yield event
            except ApiError as error:
                decision.outcome, decision.error = "failed", error.code
                yield error_events(error)
            except Exception:
                _log.exception("%s: the scan of a stream failed", decision.id)
                failed = GuardUnavailableError("a step of the guard failed; try again later")
                decision.outcome, decision.error = "failed", failed.code
                yield error_events(failed)
            finally:
                await stream.aclose()

        return StreamedAnswer(events(), stream.aclose)

    @contextmanager
    def _step(self, name: str, decision: Decision) -> Iterator[None]:
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        decision.steps_ms[name] = round(seconds * 1000, 3)
        self.metrics.guard_seconds.labels(name).observe(seconds)


async def _each(events: list[bytes]) -> AsyncIterator[bytes]:
    for event in events:
        yield event


async def _nothing() -> None:
    """A stream that nobody has to be told the end of."""
