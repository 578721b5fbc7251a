"""JSON with one byte string per value, for what is signed or named by its digest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeVar

Name = TypeVar("Name", bound=str)


def canonical_json(value: object) -> bytes:
    """Sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def canonical_object(members: Mapping[Name, bytes]) -> bytes:
    """What ``canonical_json`` makes of an object whose members are in that form already."""
    pairs = (b"%b:%b" % (canonical_json(name), own) for name, own in sorted(members.items()))
    return b"{%b}" % b",".join(pairs)
