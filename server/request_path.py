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
from typing import Any, Final

from pydantic_core import from_json

from guard.bundle import BundleTarget
from guard.plan import XARG, GuardPlan, sign_plan
from server.active import ActivePolicy, ActiveSet, PolicyHolder
from server.answer_scan import find_in_json
from server.canary import Canary, ServedModels
from server.context_filter import ContextRefusedError, filter_context
from server.decisions import Decision, DecisionLog
from server.detection import Findings, find_targets
from server.errors import (
    ApiError,
    FieldRefusedError,
    GuardUnavailableError,
    InternalError,
    MalformedBodyError,
    ModelNotFoundError,
)
from server.metrics import Metrics
from server.release import Release
from server.upstream import Upstream
from server.verdict import Verdict, judge
from server.wire.answers import Api, error_events, refusal_answer, refusal_events, to_json
from server.wire.chat import ChatRequest, parse_chat
from server.wire.completions import CompletionRequest, parse_completion
from server.wire.texts import RequestText, chat_texts, completion_texts

_log = logging.getLogger("unlearn_guard.request")

PATHS: Final[Mapping[Api, str]] = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
DEFAULT_REFUSAL: Final = "I can't help with that."

Request = ChatRequest | CompletionRequest


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    """A JSON body."""

    body: bytes


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """Encoded events, the last of them included; ``aclose`` stops the upstream."""

    events: AsyncIterator[bytes]
    aclose: Callable[[], Awaitable[None]]


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

    async def answer(
        self, api: Api, authorization: str, body: bytes, decision: Decision
    ) -> WholeAnswer | StreamedAnswer:
        """Guard one request and answer it; ``decision`` records what was decided.

        Raises:
            ApiError: the request is refused or cannot be answered; nothing of an answer left.
        """
        policy = self.policies.current
        decision.bundle = policy.bundle.digest
        tenant = policy.tenant(authorization)
        decision.tenant = tenant.name if tenant else ""
        raw, request = parse(api, body)
        decision.stream = bool(request.stream)
        self._require_engine(policy, decision)
        await self._require_model(request.model, decision)

        skip = policy.exempt(tenant)
        texts = chat_texts(raw) if api == "chat" else completion_texts(raw)
        with self._step("detect", decision):
            findings = await self._detect(policy, texts, skip, decision)
        verdict = judge(policy, findings, skip)
        self._record(decision, findings, verdict)
        active = await policy.active_set(verdict.active)
        if verdict.refused_by is not None:
            return self._refuse(api, request, verdict.refused_by, decision)
        try:
            with self._step("context", decision):
                decision.edits = filter_context(policy.bundle, active, texts, findings)
        except ContextRefusedError as error:
            return self._refuse(api, request, policy.targets[error.target], decision)
        forbid_forcing(request, raw, active)

        payload = self._payload(policy, request, raw, active, decision)
        release = Release(
            api,
            policy.bundle,
            decision,
            active.scanner if active.targets else None,
            json_content=request.wants_json and active.scanner.active,
            usage=request.wants_usage,
            running_usage=bool(
                request.stream_options and request.stream_options.continuous_usage_stats
            ),
        )
        return await self._forward(api, request, payload, release)

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

    def _record(self, decision: Decision, findings: Findings, verdict: Verdict) -> None:
        decision.detections = findings.merged
        decision.observed = verdict.observed
        decision.active = verdict.active
        if verdict.active:
            decision.outcome = "constrained"
        elif verdict.observed:
            decision.outcome = "observed"

    def _refuse(
        self, api: Api, request: Request, target: BundleTarget, decision: Decision
    ) -> WholeAnswer | StreamedAnswer:
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

    def _payload(
        self,
        policy: ActivePolicy,
        request: Request,
        raw: dict[str, Any],
        active: ActiveSet,
        decision: Decision,
    ) -> bytes:
        """The engine's request: allowed fields, and the signed plan."""
        payload = {
            name: value
            for name, value in raw.items()
            if name in request.FORWARDED and value is not None
        }
        if active.targets:
            if request.wants_logprobs:
                decision.stripped += [n for n in ("logprobs", "top_logprobs") if n in payload]
            payload.pop("logprobs", None)
            payload.pop("top_logprobs", None)
        if request.stream:
            # Counted per chunk, so that an answer that is cut has its usage, too.
            options = {"include_usage": True, "continuous_usage_stats": True}
            if not active.targets:
                options = request.stream_options.forwarded() if request.stream_options else {}
            payload["stream_options"] = options
        if not payload.get("stream_options"):
            payload.pop("stream_options", None)
        plan = GuardPlan(bundle=policy.bundle.digest, targets=active.targets)
        payload["vllm_xargs"] = {XARG: sign_plan(plan, self.key)}
        return to_json(payload)

    async def _forward(
        self, api: Api, request: Request, payload: bytes, release: Release
    ) -> WholeAnswer | StreamedAnswer:
        decision = release.decision
        if not request.stream:
            answer = await self.upstream.post(PATHS[api], payload)
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
                _log.exception("%s: the stream failed", decision.id)
                decision.outcome, decision.error = "failed", "internal_error"
                yield error_events(InternalError())
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


def parse(api: Api, body: bytes) -> tuple[dict[str, Any], Request]:
    """The body decoded and checked, once.

    Raises:
        RequestError: not a JSON object, or a field that is unknown, refused, missing or invalid.
    """
    try:
        raw = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        where = str(error).rpartition(" at ")[2]
        raise MalformedBodyError(f"the body is not valid JSON (at {where})") from error
    if not isinstance(raw, dict):
        raise MalformedBodyError("the body must be one JSON object")
    return raw, parse_chat(raw) if api == "chat" else parse_completion(raw)


def forbid_forcing(request: Request, raw: dict[str, Any], active: ActiveSet) -> None:
    """Refuse a schema that leaves the model nothing to say but what it must not.

    JSON without a schema, and schemas that name nothing forbidden, stay usable: the engine's ban
    holds within them, and the answer is scanned unescaped before it leaves.

    Raises:
        FieldRefusedError: targets are in force, and a schema holds one of their phrases or a
            ``pattern``, which could spell one out.
    """
    if not active.scanner.active:
        return
    schemas: list[tuple[str, Any]] = []
    if request.wants_json:
        schemas.append(("response_format", raw.get("response_format")))
    if request.forces_tool:
        schemas.append(("tools", raw.get("tools")))
    for name, schema in schemas:
        text = to_json(schema).decode()
        if _has_pattern(schema) or find_in_json(active.scanner, text) is not None:
            raise FieldRefusedError(
                f"`{name}` could force a text that this model must not write; leave out"
                " `pattern`, and fixed values that concern the topic",
                param=name,
            )


def _has_pattern(value: object) -> bool:
    if isinstance(value, dict):
        # A property that is called `pattern` holds a schema, not a text.
        spelled = isinstance(value.get("pattern"), str) or "patternProperties" in value
        return spelled or any(_has_pattern(member) for member in value.values())
    return isinstance(value, list) and any(_has_pattern(member) for member in value)


async def _each(events: list[bytes]) -> AsyncIterator[bytes]:
    for event in events:
        yield event


async def _nothing() -> None:
    """A stream that nobody has to be told the end of."""
