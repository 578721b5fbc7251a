"""Reads back what the proxy decided, from its decision log."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Decided:
    """One line of the log: the ids of the targets enforced because of the request, and how many
    were because they always are.
    """

    outcome: str
    active: tuple[str, ...]
    standing: int


def read_decisions(log: Path) -> dict[str, Decided]:
    """By decision id; read it once the proxy has stopped, for it writes behind its answers."""
    out: dict[str, Decided] = {}
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            out[row["id"]] = Decided(row["outcome"], tuple(row["active"]), row["standing"])
    return out
