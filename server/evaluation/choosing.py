"""Which suites run: those asked for whose data are there, with as many questions as asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from guard.errors import GuardError
from server.evaluation.fact import Everyday
from server.evaluation.findings import Suite
from server.evaluation.reading import read_tofu
from server.evaluation.rows import Row
from server.evaluation.sampling import sample
from server.evaluation.tofu import PLAIN_FORMAT, Tofu

# Questions of each set, and of a quick run.
_PREFIXED: Final = 200
_QUICK: Final = 40
_QUICK_PREFIXED: Final = 20


@dataclass(frozen=True, slots=True)
class Data:
    """Where the data of the suites lie; None for what is not given."""

    tofu: Path | None = None


@dataclass
class Chosen:
    """The suites that run, and how they were made."""

    suites: list[Suite] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)


def chosen_suites(
    data: Data, names: Sequence[str], *, quick: bool, limit: int, prompt_format: str | None
) -> Chosen:
    """The suites among ``names`` whose data are given.

    Raises:
        GuardError: data that cannot be used, or none for any suite.
    """
    text = prompt_format if prompt_format is not None else PLAIN_FORMAT
    if "{question}" not in text or "{prefix}" not in text:
        raise GuardError(
            "`--prompt-format`: it must hold `{question}` and `{prefix}`",
            fix="write it as the model was trained on, for example "
            "'Question: {question}\\nAnswer: {prefix}'",
        )
    chosen = Chosen(settings={"quick": quick, "limit": limit, "prompt_format": text, "data": {}})
    if data.tofu is not None:
        sets = read_tofu(data.tofu)
        _note(chosen, data.tofu, [f"{name}.jsonl" for name in sets])
        everyday = Everyday.of([row.answer for row in sets.get("retain", ())])
        most = limit or (_QUICK if quick else 0)
        asked = {name: sample(rows, most, _entity) for name, rows in sets.items()}
        begun = sample(asked["forget"], limit or (_QUICK_PREFIXED if quick else _PREFIXED), _entity)
        if "tofu" in names:
            chosen.suites.append(Tofu(asked, everyday, text, begun))
    if not chosen.suites:
        raise GuardError(
            f"there are no data for any of the suites {', '.join(names)}",
            fix="give `--tofu`, `--muse`, `--texts` or `--choices`",
        )
    return chosen


def _entity(row: Row) -> str:
    return row.author or row.id


def _note(chosen: Chosen, folder: Path, names: Sequence[str]) -> None:
    """Keep which data were asked about: by digest, so that a later report can be compared."""
    for name in names:
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        chosen.settings["data"][name] = digest[:16]
