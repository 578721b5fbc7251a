"""``POST /v1/guard/context`` and ``/v1/guard/detect``: the guard's eyes without a model's answer.

For retrieval pipelines, which want to know what their texts hand back before they make a prompt of
them. Both take the steps of ``server/request_path.py`` with the same policy, tenants and log, as
far as these need no engine; neither replaces it: what the model says is guarded there alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from guard.bundle import BundleTarget
from guard.decision import ContextEdit, Detection
from server.active import ActivePolicy
from server.context_filter import filter_context
from server.decisions import Decision
from server.detection import Findings
from server.request_path import DEFAULT_REFUSAL, WholeAnswer
from server.steps import Steps
from server.verdict import judge
from server.wire.answers import to_json
from server.wire.pipeline import context_texts, detect_texts, parse_context, parse_detect
from server.wire.texts import RequestText

CONTEXT_PATH: Final = "/v1/guard/context"
DETECT_PATH: Final = "/v1/guard/detect"


@dataclass(frozen=True, slots=True)
class PipelinePath:
    """One for the life of the app."""

    steps: Steps

    async def context(self, authorization: str, body: bytes, decision: Decision) -> WholeAnswer:
        """Withhold from texts or documents what they hand back of the targets in force.

        In force is what the query or any of the texts touches, and what always holds.

        Raises:
            ApiError: nothing was edited; nothing of the texts may be used.
        """
        with self.steps.failing_closed(decision):
            policy, skip = self._begin(authorization, decision)
            raw, request = parse_context(body)
            texts = context_texts(raw)
            findings = await self.steps.detect(policy, texts, skip, decision)
            verdict = judge(policy, findings, skip)
            decision.judged(
                findings.merged, verdict.active, verdict.observed, standing=verdict.standing
            )
            with self.steps.timed("context", decision):
                said = [request.query] if request.query else []
                active = await policy.active_set(verdict.active, skip, said)
                filtered = filter_context(policy, active, texts, findings)
            decision.edits = filtered.edits
            if filtered.refused_by is not None:
                decision.outcome = "refused"
            return _reply(
                decision,
                "guard.context",
                refused=_refused(filtered.refused_by),
                **({} if filtered.refused_by else _items(raw, texts, filtered.edits)),
            )

    async def detect(self, authorization: str, body: bytes, decision: Decision) -> WholeAnswer:
        """Tell which targets texts or a conversation touch, and why.

        Raises:
            ApiError: nothing can be said of the texts.
        """
        with self.steps.failing_closed(decision):
            policy, skip = self._begin(authorization, decision)
            raw, _ = parse_detect(body)
            found = await asyncio.gather(
                *(self.steps.detect(policy, own, skip, decision) for own in detect_texts(raw))
            )
            merged = tuple(detection for findings in found for detection in findings.merged)
            decision.detections = merged
            decision.observed = tuple(sorted({detection.target for detection in merged}))
            if merged:
                decision.outcome = "observed"
            results = [
                {"index": index, "detections": _told(policy, findings)}
                for index, findings in enumerate(found)
            ]
            return _reply(decision, "guard.detection", results=results)

    def _begin(self, authorization: str, decision: Decision) -> tuple[ActivePolicy, frozenset[str]]:
        policy = self.steps.policies.current
        tenant = policy.tenant(authorization)
        decision.begin(policy.bundle.digest, tenant, stream=False)
        return policy, policy.exempt(tenant)


def _reply(decision: Decision, kind: str, **fields: Any) -> WholeAnswer:
    head = {
        "id": decision.id,
        "object": kind,
        "bundle": decision.bundle,
        "unguarded": decision.failed_open,
    }
    return WholeAnswer(to_json({**head, **fields}))


def _refused(target: BundleTarget | None) -> dict[str, str] | None:
    if target is None:
        return None
    return {"target": target.id, "message": target.refusal or DEFAULT_REFUSAL}


def _items(
    raw: dict[str, Any], texts: Sequence[RequestText], edits: Sequence[ContextEdit]
) -> dict[str, list[dict[str, Any]]]:
    """Each text or document as it may be used, and what was taken out of it."""
    name, field = ("texts", "text") if raw.get("texts") is not None else ("documents", "document")
    path_of = {text.place: text.path for text in texts}
    made: list[list[ContextEdit]] = [[] for _ in raw[name]]
    for edit in edits:
        number = edit.place.removeprefix(f"{name}[").partition("]")[0]
        made[int(number)].append(edit)
    return {
        name: [
            {
                "index": index,
                field: item,
                "dropped": any(edit.action == "drop" for edit in made[index]),
                "edits": [{**asdict(edit), "path": path_of[edit.place]} for edit in made[index]],
            }
            for index, item in enumerate(raw[name])
        ]
    }


def _told(policy: ActivePolicy, findings: Findings) -> list[dict[str, Any]]:
    asked = {detection.target for detection in findings.user}
    return [_detection(policy, each, by_user=each.target in asked) for each in findings.merged]


def _detection(policy: ActivePolicy, found: Detection, *, by_user: bool) -> dict[str, Any]:
    target = policy.targets[found.target]
    return {
        "target": found.target,
        "score": found.score,
        "threshold": found.threshold,
        "evidence": [
            {"kind": each.kind, "place": each.place, "score": each.score, "via": each.via}
            for each in found.evidence
        ],
        "by": "user" if by_user else "context",
        "respond": "observe" if target.mode == "observe" else target.respond,
        "context": target.context,
    }
