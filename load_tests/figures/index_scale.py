"""``index-scale``: what comparing texts with 10^3 to 10^6 examples takes, and whether it is exact.

Examples are made of real vectors: a real question's vector a (TOFU's where it is at hand, and the
shipped everyday prompts) is moved by part of the difference of two others, a + 0.45 (b - c), and
scaled to length one; that is a target, and its ten examples are made of it in the same way, with
0.5. So they lie where real vectors lie, and about as near to each other as questions about one
thing (`spread` tells). Texts are everyday prompts, none of which an example is made of, and, one in
eight, an example moved once more, by 0.2 (b - c), which has to be found. Thresholds are spread
evenly over 0.6 to 0.8.

Timed: a short prompt (1 row) and a conversation (25 rows in 25 groups), by ``Neighbours`` as it
serves, with the sieve, and with the whole product in its place. The two must agree.
"""

from __future__ import annotations

import gc
import json
import resource
import time
from statistics import median
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from classifiers import load_encoder
from classifiers.neighbours import SIEVED, Neighbours
from guard.bundle import Bundle, BundleTarget
from guard.phrase_table import PhraseTable
from guard.policy.vectors import general_prompts
from load_tests.detecting import everyday
from load_tests.figure import ROOT, Figure, Measured, Options, progress

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
_EACH: Final = 10
_ROWS: Final = {"prompt": 1, "conversation": 25}
_QUERIES: Final = 24
_TOFU: Final = ROOT.parent / "shared" / "data" / "tofu"
_CHUNK: Final = 50_000

Vectors = npt.NDArray[np.float32]


def measure(options: Options) -> Measured:
    """Compare at each size."""
    encoder = load_encoder()
    made_of = [*general_prompts(), *_tofu()]
    source = encoder.encode(made_of)
    prompts = [prompt for kind in everyday().values() for prompt in kind]
    rng = np.random.default_rng(7)
    real = encoder.encode([prompts[place] for place in rng.permutation(len(prompts))[:600]])
    details: dict[str, Any] = {"source_vectors": len(source)}
    missed = extra = 0
    for size in [each for each in SIZES if not options.limit or each <= options.limit]:
        found = _at(size, source, real, rng)
        details[str(size)] = found
        missed, extra = missed + found["missed"], extra + found["extra"]
        progress(f"{size}: {found}")
        gc.collect()
    last = details[list(details)[-1]]
    details |= {"missed": missed, "extra": extra}
    return Measured(value=last["sieve"]["prompt_ms"], n=_QUERIES * 2, details=details)


def _at(size: int, source: Vectors, real: Vectors, rng: np.random.Generator) -> dict[str, Any]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    examples = _moved(source, source, size // _EACH, 0.45, rng)
    examples = _moved(examples, source, size, 0.5, rng, each=_EACH)
    bundle = _bundle(examples, rng)
    started = time.perf_counter()
    whole = Neighbours(bundle, sieved=size + 1)
    whole_s = time.perf_counter() - started
    started = time.perf_counter()
    sieve = Neighbours(bundle, sieved=0)
    built_s = time.perf_counter() - started
    queries: dict[str, list[Vectors]] = {}
    for kind, rows in _ROWS.items():
        queries[kind] = []
        for number in range(_QUERIES):
            texts = real[rng.integers(0, len(real), rows)]
            if number % 8 == 0:
                texts[:1] = _moved(examples[rng.integers(0, size, 1)], source, 1, 0.2, rng)
            queries[kind].append(texts)
    out: dict[str, Any] = {
        "serves_with": "sieve" if size >= SIEVED else "whole",
        "spread": round(float((examples[:_EACH] @ examples[:_EACH].T).mean()), 3),
        "examples_mb": examples.nbytes >> 20,
        "sieve_mb": sieve._sieve._rows.nbytes >> 20 if sieve._sieve else 0,
        "built_s": {"whole": round(whole_s, 2), "sieve": round(built_s, 2)},
        "found": 0, "missed": 0, "extra": 0,
    }  # fmt: skip
    for name, index in (("whole", whole), ("sieve", sieve)):
        out[name] = {
            f"{kind}_ms": round(1000 * median(_seconds(index, each) for each in asked), 2)
            for kind, asked in queries.items()
        }
    for asked in queries.values():
        for texts in asked:
            sizes = [1] * len(texts)
            for a, b in zip(
                whole.best_of_each(texts, sizes), sieve.best_of_each(texts, sizes), strict=True
            ):
                out["found"] += len(a)
                out["missed"] += len(a.keys() - b.keys())
                out["extra"] += len(b.keys() - a.keys())
    out["peak_mb_more"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    return out


def _seconds(index: Neighbours, texts: Vectors) -> float:
    started = time.perf_counter()
    index.best_of_each(texts, [1] * len(texts))
    return time.perf_counter() - started


def _moved(
    of: Vectors, by: Vectors, count: int, far: float, rng: np.random.Generator, *, each: int = 0
) -> Vectors:
    """``count`` rows of unit length; ``each`` of every row in turn, or any rows if it is 0."""
    out = np.empty((count, of.shape[1]), np.float32)
    for start in range(0, count, _CHUNK):
        places = np.arange(start, min(start + _CHUNK, count))
        chosen = places // each if each else rng.integers(0, len(of), len(places))
        one, other = (by[rng.integers(0, len(by), len(places))] for _ in range(2))
        rows = of[chosen] + np.float32(far) * (one - other)
        out[places] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return out


def _bundle(examples: Vectors, rng: np.random.Generator) -> Bundle:
    """The part of a bundle that is compared with; nothing is written."""
    count = len(examples) // _EACH
    targets = tuple(
        BundleTarget(
            id=f"t{number}", title="", reason="privacy", owner="", mode="enforce",
            respond="refuse", refusal="", context="allow", always=False, expires="",
            thresholds={"neighbour": float(threshold)}, aliases=(),
        )
        for number, threshold in enumerate(rng.permutation(np.linspace(0.6, 0.8, count)))
    )  # fmt: skip
    owners = np.arange(len(examples), dtype=np.int32) // np.int32(_EACH)
    return Bundle(
        "0" * 64, targets, PhraseTable.of([], 0), examples=examples, example_targets=owners
    )


def _tofu() -> list[str]:
    files = [_TOFU / f"{name}.jsonl" for name in ("forget", "retain")]
    return [
        json.loads(line)["question"]
        for file in files
        if file.exists()
        for line in file.read_text("utf-8").splitlines()
    ]


FIGURE = Figure(
    name="index-scale",
    what="comparing a short prompt with 10^6 examples; targets missed must be none",
    unit="ms",
    goal="recorded",
    run=measure,
)
