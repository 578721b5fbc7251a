"""Schemas that leave the model nothing to say but what it must not."""

from __future__ import annotations

from typing import Any

from server.active import ActiveSet
from server.answer_scan import find_in_json
from server.errors import FieldRefusedError
from server.wire.answers import to_json
from server.wire.parse import Request


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
