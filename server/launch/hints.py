"""The three lines to try that ``serve`` prints once it is up."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Final

from guard.policy.model import Policy, PolicyTarget

PLAIN_QUESTION: Final = "What is the capital of France?"


def shown_target(policy: Policy) -> tuple[PolicyTarget, str] | None:
    """A target that says what to ask about it, and a question that it should catch."""
    # A suppressed answer shows more than a fixed refusal does.
    for target in sorted(policy.targets, key=lambda target: target.respond != "suppress"):
        if (question := _question(target)) is not None:
            return target, question
    return None


def _question(target: PolicyTarget) -> str | None:
    for test in target.spec.tests:
        if test.expect == "detected":
            return test.prompt
    if target.examples:
        return target.examples[0]
    aliases = target.spec.detect.aliases
    return f"What do you know about {aliases[0]}?" if aliases else None


def curl(url: str, model: str, question: str, *, needs_key: bool) -> str:
    """A command line that asks the question."""
    body = {
        "model": model,
        "max_tokens": 80,
        "temperature": 0,
        "messages": [{"role": "user", "content": question}],
    }
    key = ' -H "authorization: Bearer $API_KEY"' if needs_key else ""
    data = shlex.quote(json.dumps(body, ensure_ascii=False))
    return f"curl -s {url}/v1/chat/completions -H 'content-type: application/json'{key} -d {data}"


def to_try(url: str, model: str, policy: Policy, policies: Path) -> tuple[str, str, str]:
    """A guarded question, an unaffected one, and the policy to edit."""
    needs_key = bool(policy.tenants)
    shown = shown_target(policy)
    question = shown[1] if shown else PLAIN_QUESTION
    edited = shown[0].place.source.file if shown else policies
    return (
        "guarded:  " + curl(url, model, question, needs_key=needs_key),
        "as ever:  " + curl(url, model, PLAIN_QUESTION, needs_key=needs_key),
        f"edit:     {edited} (changes go live when the file is saved)",
    )
