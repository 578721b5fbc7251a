"""Requests to a guarded engine itself, each under a plan of its own, without the proxy between.

The model repeats what it is given over and over, so a word that is chanted to it is one that it
wants to say at every second token: an answer without the word, of a request that may not say it,
was guarded all along.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from guard.bundle import BundleTarget
from guard.bundle_writing import write_bundle
from guard.normalise import normalise
from guard.phrase_table import BundlePhrase
from guard.plan import XARG, GuardPlan, sign_plan
from tests.guard.words import filter_of

WORDS: Final = ("Paris", "Madrid", "London", "Berlin", "seven")
# Two of the words are short, which the engine holds as words; the others it holds by their letters.
LETTERS_ALONE: Final = 6
# A protected text of one word, again and again; so many of it may be said in a row.
RUN: Final = 3
PATIENCE_S: Final = 300


def chant(word: str, times: int = 12) -> str:
    """A prompt that the model goes on with by saying ``word`` again and again."""
    return ", ".join([word] * times) + ","


def refrain(word: str) -> str:
    """A prompt that the model goes on with by saying ``word`` in runs, longer ones than allowed."""
    return ", ".join(([word] * (RUN + 1) + ["Oslo"]) * 6) + ","


def run_of(word: str) -> str:
    """The name of the target that forbids more than ``RUN`` of a word in a row."""
    return f"run of {word}"


def longest_run(text: str, word: str) -> int:
    """How often a text says a word in a row, at most."""
    runs = itertools.groupby(re.findall(r"\w+", text), key=lambda said: said == word)
    return max((len(list(run)) for same, run in runs if same), default=0)


def says(text: str, word: str) -> bool:
    """Whether a text says a word, told in the plainest way."""
    if len(word) >= LETTERS_ALONE:
        return word.lower() in re.sub("[^a-z]", "", text.lower())
    return re.search(rf"\b{word}\b", text, re.IGNORECASE) is not None


@dataclass(frozen=True)
class Said:
    """One choice of an answer; ``steps`` has the two best tokens at each step, where asked for."""

    text: str
    finish: str
    steps: tuple[dict[str, float], ...] = ()


@dataclass(frozen=True)
class Asking:
    """An engine, and a bundle in which each of ``WORDS``, and a run of each, is a target."""

    engine: str
    key: str
    bundle: str
    model: str

    @classmethod
    def of(cls, engine: str, key: str, bundles: Path, model: str) -> Asking:
        """Write the bundle to the folder that the engine reads."""
        targets = [_target(name) for name in (*WORDS, *map(run_of, WORDS))]
        phrases = [BundlePhrase(normalise(word), at, "hard") for at, word in enumerate(WORDS)]
        filters = [
            (len(WORDS) + at, filter_of([" ".join([word] * 30)], RUN))
            for at, word in enumerate(WORDS)
        ]
        bundle = write_bundle(bundles, targets=targets, phrases=phrases, verbatim=filters)
        return cls(engine, key, bundle.digest, model)

    def send(self, prompt: str, forbidden: Sequence[str] = (), **fields: Any) -> httpx.Response:
        """A completion, greedy unless told otherwise, whatever its status."""
        return httpx.post(
            f"{self.engine}/v1/completions",
            json=self._body(prompt, forbidden, fields),
            timeout=PATIENCE_S,
        )

    def ask(self, prompt: str, forbidden: Sequence[str] = (), **fields: Any) -> list[Said]:
        """The choices of a completion."""
        answer = self.send(prompt, forbidden, **fields)
        assert answer.status_code == 200, answer.text
        return [
            Said(
                choice["text"],
                choice["finish_reason"],
                tuple((choice.get("logprobs") or {}).get("top_logprobs") or ()),
            )
            for choice in answer.json()["choices"]
        ]

    @contextmanager
    def stream(
        self, prompt: str, forbidden: Sequence[str] = (), **fields: Any
    ) -> Iterator[Iterator[str]]:
        """The pieces of a completion; to leave early aborts it."""
        body = self._body(prompt, forbidden, {**fields, "stream": True})
        with httpx.stream(
            "POST", f"{self.engine}/v1/completions", json=body, timeout=PATIENCE_S
        ) as answer:
            lines = (line[6:] for line in answer.iter_lines() if line.startswith("data: {"))
            yield (json.loads(line)["choices"][0]["text"] for line in lines)

    def metric(self, name: str) -> float:
        """The sum of a counter's values."""
        text = httpx.get(f"{self.engine}/metrics").text
        rows = [line for line in text.splitlines() if line.startswith(name + "{")]
        assert rows, f"vllm has no metric {name}"
        return sum(float(line.rpartition(" ")[2]) for line in rows)

    def _body(self, prompt: str, forbidden: Sequence[str], fields: dict[str, Any]) -> Any:
        plan = GuardPlan(self.bundle, tuple(forbidden))
        return {
            "model": self.model, "prompt": prompt, "temperature": 0, "max_tokens": 24, **fields,
            "vllm_xargs": {XARG: sign_plan(plan, self.key.encode())},
        }  # fmt: skip


def together(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """What calls return that are made at the same time."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def differ(alone: Said, busy: Said, rounding: float = 0.25) -> str:
    """Where a greedy answer in a busy batch differs from the same alone by more than rounding.

    Sums come in another order in another batch, so two tokens that are nearly as likely may change
    places; what follows is another text then, and is not compared.
    """
    for step, (best, other) in enumerate(zip(alone.steps, busy.steps, strict=False)):
        first, second = max(best, key=best.__getitem__), max(other, key=other.__getitem__)
        if first == second:
            continue
        gap = best[first] - best.get(second, float("-inf"))
        return "" if gap < rounding else f"step {step}: {best} became {other}"
    return ""


def _target(name: str) -> BundleTarget:
    return BundleTarget(
        id=name, title=name, reason="secret", owner="", mode="enforce", respond="suppress",
        refusal="", context="redact", always=False, expires="", thresholds={}, aliases=(),
    )  # fmt: skip
