"""READ FIRST: one guarded request, from top to bottom.

Both APIs, streaming and not, take this way. Every step either returns, or raises an ``ApiError``;
any other failure of a step of the guard refuses the request, unless the policy says
``on_error: open``. Nothing is sent upstream before all steps have passed, and nothing of an answer
leaves before it was scanned. Where the answer tells of a target that the question did not show, the
engine is asked again with that in force (``server/answer_watch.py``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from guard.bundle import BundleTarget
from guard.decision import Detection
from guard.plan import sign_plan
from server.active import ActivePolicy
from server.answer_watch import AnswerWatch, WatchedStream
from server.canary import Canary, ServedModels
from server.context_filter import filter_context
from server.decisions import Cut, Decision
from server.detection import Findings
from server.errors import (
    ApiError,
    GuardUnavailableError,
    ModelNotFoundError,
    UpstreamAbandonedError,
)
from server.forcing import forbid_forcing
from server.payload import engine_payload
from server.release import Release
from server.steps import Steps
from server.substitute import substitute
from server.upstream import Upstream
from server.verdict import judge
from server.wire.answers import FILTERED, Api, error_events, refusal_answer, refusal_events
from server.wire.parse import Request, parse, request_texts

_log = logging.getLogger("unlearn_guard.request")

PATHS: Final[Mapping[Api, str]] = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
DEFAULT_REFUSAL: Final = "I can't help with that."
# How often the engine is asked, each time with the targets in force that the answer told of.
ATTEMPTS: Final = 3
# Bytes of an answer.
LONG: Final = 8_000


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
class Told:
    """An answer that must not leave, for what it tells of targets that were not in force."""

    detections: tuple[Detection, ...]


@dataclass(frozen=True, slots=True)
class RequestPath:
    """What a request needs on its way; one for the life of the app."""

    steps: Steps
    upstream: Upstream
    models: ServedModels
    canary: Canary
    key: bytes

    async def answer(self, api: Api, authorization: str, body: bytes, decision: Decision) -> Answer:
        """Guard one request and answer it; ``decision`` records what was decided.

        Raises:
            ApiError: the request is refused or cannot be answered; nothing of an answer left.
        """
        with self.steps.failing_closed(decision):
            return await self._answer(api, authorization, body, decision)

    async def _answer(
        self, api: Api, authorization: str, body: bytes, decision: Decision
    ) -> Answer:
        policy = self.steps.policies.current
        tenant = policy.tenant(authorization)
        skip = policy.exempt(tenant)
        raw, request = parse(api, body)
        decision.begin(policy.bundle.digest, tenant, stream=bool(request.stream))
        self._require_engine(policy, decision)
        await self._require_model(request.model, decision)

        texts = request_texts(api, raw)
        findings = await self.steps.detect(policy, texts, skip, decision)
        for _ in range(ATTEMPTS):
            answer = await self._attempt(policy, skip, api, raw, request, findings, decision)
            if not isinstance(answer, Told):
                return answer
            findings = findings.and_by_answer(answer.detections)
            decision.discarded += 1
            raw, request = parse(api, body)
        return self._give_up(api, request, findings, decision)

    async def _attempt(
        self,
        policy: ActivePolicy,
        skip: frozenset[str],
        api: Api,
        raw: dict[str, Any],
        request: Request,
        findings: Findings,
        decision: Decision,
    ) -> Answer | Told:
        """Ask the engine, with what is known of the request in force."""
        texts = request_texts(api, raw)
        decision.stripped.clear()
        decision.cuts.clear()
        verdict = judge(policy, findings, skip)
        decision.judged(
            findings.merged, verdict.active, verdict.observed, standing=verdict.standing
        )
        if verdict.refused_by is not None:
            return self._refuse(api, request, verdict.refused_by, decision)
        with self.steps.timed("context", decision):
            said = [text.text for text in texts if text.kind == "user"]
            asked = [text.text for text in texts if text.last and text.kind == "user"]
            active = await policy.active_set(verdict.active, skip, asked)
            filtered = filter_context(policy, active, texts, findings)
        if filtered.refused_by is not None:
            return self._refuse(api, request, filtered.refused_by, decision)
        decision.edits = filtered.edits
        # What was withheld of the user's earlier turns is not for the answer to say back.
        active = await policy.active_set(verdict.active, skip, _user_turns(api, raw))
        forbid_forcing(request, raw, active)
        with self.steps.timed("substitute", decision):
            touched = [detection.target for detection in findings.merged]
            swapped = substitute(policy, active, touched, api, raw, said)
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
            self._watch(policy, skip.union(verdict.active, verdict.observed), decision),
        )

    def _watch(
        self, policy: ActivePolicy, skip: frozenset[str], decision: Decision
    ) -> AnswerWatch | None:
        """What looks at the answer; None where it can tell nothing of targets not in ``skip``."""
        if policy.bundle.answers == "pass" or not policy.to_watch(skip):
            return None
        look = partial(self.steps.detect_in_answer, policy, skip=skip, decision=decision)
        return AnswerWatch(policy, look, skip)

    def _require_engine(self, policy: ActivePolicy, decision: Decision) -> None:
        health = self.canary.health
        if not health.ok:
            self.steps.failed(policy, decision, f"the engine is not guarded: {health.reason}")

    async def _require_model(self, model: str, decision: Decision) -> None:
        if not await self.models.serves(model):
            raise ModelNotFoundError(
                f"the model `{model[:200]}` does not exist; `GET /v1/models` lists those that do",
                param="model",
            )
        decision.model = model

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

    def _give_up(
        self, api: Api, request: Request, findings: Findings, decision: Decision
    ) -> Answer:
        """An empty answer: each was about one more target than those before it."""
        last = findings.user[-1]
        decision.detections = findings.merged
        decision.outcome = "cut"
        for index in range(request.choices):
            decision.finish[index] = FILTERED
            decision.cuts.append(Cut(index, last.best.place.rpartition(".")[2], last.target))
        head = {"answer_id": decision.id, "model": request.model, "text": ""}
        return WholeAnswer(refusal_answer(api, **head, choices=request.choices))

    async def _forward(
        self,
        api: Api,
        request: Request,
        payload: bytes,
        release: Release,
        watch: AnswerWatch | None,
    ) -> Answer | Told:
        decision = release.decision
        if not request.stream:
            try:
                answer = await self.upstream.post(PATHS[api], payload)
            except UpstreamAbandonedError:
                if not release.may_be_empty:
                    raise
                return WholeAnswer(release.nothing_left(request.choices))
            except ApiError as error:
                raise release.told(error) from error
            decision.first_ms = decision.elapsed_ms()
            # A long one is read in every code beside the event loop.
            if len(answer.body) > LONG:
                whole = await asyncio.to_thread(release.whole, answer)
            else:
                whole = release.whole(answer)
            if watch is not None and (told := await watch.told(whole)):
                return Told(told)
            return WholeAnswer(whole)
        try:
            stream = await self.upstream.stream(PATHS[api], payload)
        except ApiError as error:
            raise release.told(error) from error

        async def events() -> AsyncIterator[bytes]:
            leaving = release.events(stream, choices=request.choices)
            if watch is not None:
                watched = WatchedStream(watch, api, decision, drain=request.wants_usage)
                leaving = watched.events(leaving, choices=request.choices)
            try:
                async for event in leaving:
                    if decision.first_ms is None:
                        decision.first_ms = decision.elapsed_ms()
                    yield event
            except ApiError as error:
                decision.outcome, decision.error = "failed", error.code
                yield error_events(release.told(error))
            except Exception:
                _log.exception("%s: the scan of a stream failed", decision.id)
                failed = GuardUnavailableError("a step of the guard failed; try again later")
                decision.outcome, decision.error = "failed", failed.code
                yield error_events(failed)
            finally:
                await stream.aclose()

        return StreamedAnswer(events(), stream.aclose)


def _user_turns(api: Api, raw: dict[str, Any]) -> list[str]:
    return [text.text for text in request_texts(api, raw) if text.kind == "user"]


async def _each(events: list[bytes]) -> AsyncIterator[bytes]:
    for event in events:
        yield event


async def _nothing() -> None:
    """A stream that nobody has to be told the end of."""
