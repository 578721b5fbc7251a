"""What the engine is sent: the allowed fields, and the signed plan."""

from __future__ import annotations

from typing import Any

from guard.plan import XARG
from server.decisions import Decision
from server.wire.answers import to_json
from server.wire.parse import Request

_PROBABILITIES = ("logprobs", "top_logprobs")


def engine_payload(
    request: Request, raw: dict[str, Any], signed_plan: str, decision: Decision
) -> bytes:
    """The body of the request upstream.

    While targets are in force, token probabilities are not asked for: they name tokens that the
    guard keeps from being said. ``decision`` records that.

    Args:
        raw: the client's body, checked and its context edited.
    """
    payload = {
        name: value
        for name, value in raw.items()
        if name in request.FORWARDED and value is not None
    }
    options = request.stream_options.forwarded() if request.stream_options else {}
    if decision.constrained:
        asked = [name for name in _PROBABILITIES if payload.pop(name, None) is not None]
        decision.stripped += asked if request.wants_logprobs else []
        # Counted per chunk, so that an answer that is cut has its usage, too.
        options = {"include_usage": True, "continuous_usage_stats": True}
    payload.pop("stream_options", None)
    if request.stream and options:
        payload["stream_options"] = options
    payload["vllm_xargs"] = {XARG: signed_plan}
    return to_json(payload)
