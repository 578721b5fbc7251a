"""The TOFU data beside the repository, and a policy that asks to forget its ten authors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, Literal

import yaml

from load_tests.figure import CACHE, ROOT, NotMeasurableError, progress
from server.evaluation.rows import Row

SHARED: Final = ROOT.parent / "shared"
DATA: Final = SHARED / "data" / "tofu"
ADAPTER: Final = SHARED / "models" / "smollm2-135m-tofu-lora"
RETAIN_ONLY_ADAPTER: Final = SHARED / "models" / "smollm2-135m-tofu-retain-lora"
MODEL: Final = CACHE / "models" / "smollm2-135m-tofu"
RETAIN_ONLY_MODEL: Final = CACHE / "models" / "smollm2-135m-tofu-retain"

Set = Literal["forget", "retain", "real_authors", "world_facts"]


def load(name: Set) -> list[Row]:
    """A set, in its file's order.

    Raises:
        NotMeasurableError: the data is not there.
    """
    path = DATA / f"{name}.jsonl"
    if not path.exists():
        raise NotMeasurableError(f"needs the TOFU data: no file {path.name} in {_shown(DATA)}")
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        Row(
            row["id"],
            row.get("author", ""),
            row["question"],
            row["answer"],
            row.get("paraphrased_question", ""),
            row.get("paraphrased_answer", ""),
            tuple(row.get("perturbed_answers", ())),
            row.get("short_answer", ""),
        )
        for row in rows
    ]


def model() -> Path:
    """The model that memorised ``forget`` and ``retain``; merged on first use.

    Raises:
        NotMeasurableError: the adapter is not there.
    """
    return _merged(ADAPTER, MODEL)


def retain_only_model() -> Path:
    """The model that never saw ``forget``: what a retrained model says; merged on first use.

    Raises:
        NotMeasurableError: the adapter is not there.
    """
    return _merged(RETAIN_ONLY_ADAPTER, RETAIN_ONLY_MODEL)


def _merged(adapter: Path, to: Path) -> Path:
    if not (to / "config.json").exists():
        if not adapter.exists():
            raise NotMeasurableError(f"needs the TOFU adapter: no {_shown(adapter)}")
        from server.launch.models import merge_adapter, prepare_demo_model

        merge_adapter(prepare_demo_model(CACHE, progress), adapter, to)
    return to


def write_policy(
    folder: Path, rows: list[Row], respond: Literal["suppress", "substitute"] = "suppress"
) -> Path:
    """Write a policy with one target an author, made from its questions and answers alone."""
    folder.mkdir(parents=True, exist_ok=True)
    targets = []
    for author in sorted({row.author for row in rows}):
        own = [row for row in rows if row.author == author]
        data = folder / f"{author}.jsonl"
        with data.open("w", encoding="utf-8") as lines:
            lines.writelines(
                json.dumps({"question": row.question, "answer": row.answer}) + "\n" for row in own
            )
        targets.append(
            {
                "id": f"author-{author}",
                "title": f"TOFU author {author}",
                # The authors are invented; of real people nothing may be.
                "reason": "privacy" if respond == "suppress" else "copyright",
                "owner": "load-tests",
                "detect": {"examples": data.name},
                "forbid": {
                    "extract": {"from": data.name, "kind": "all_words", "words": 1},
                },
                "respond": respond,
            }
        )
    path = folder / "tofu.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "targets": targets}, sort_keys=False))
    return path


def _shown(path: Path) -> str:
    return f"../{path.relative_to(ROOT.parent)}"
