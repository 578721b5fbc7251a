"""A large invented corpus, compiled in a process of its own, so that time and memory are its own.

Words are drawn from an invented vocabulary by Zipf's law, as in real text; what matters to the
compiler is how many words, letters and distinct runs there are.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import yaml

from guard.bundle_loading import load_bundle
from guard.hashing import Int64Array
from guard.policy.corpus import Folding, WordHasher
from guard.verbatim import FORBIDDEN, run_keys, run_length
from load_tests.figure import ROOT

WORDS: Final = 10_000_000
FILES: Final = 20
BOUND: Final = 8
_VOCABULARY: Final = 60_000
_LINE: Final = 12


@dataclass(frozen=True, slots=True)
class Compiled:
    """How a corpus compiled.

    Attributes:
        seconds: from the start of the command to its end.
        processor_seconds: of one processor, those of it that the command had.
        peak_bytes: most memory that its process held at a time.
    """

    digest: str
    seconds: float
    processor_seconds: float
    peak_bytes: int
    bundle_bytes: int
    corpus_words: int


def _vocabulary(draw: np.random.Generator) -> list[str]:
    letters = np.array(list("etaoinshrdlucmfwypvbgkqjxz"))
    weights = 1 / np.arange(1, 27)
    lengths = draw.integers(2, 11, _VOCABULARY)
    spelt = draw.choice(letters, int(lengths.sum()), p=weights / weights.sum())
    ends = np.cumsum(lengths)
    return ["".join(spelt[end - n : end]) for n, end in zip(lengths, ends, strict=True)]


def texts(seed: int, words: int, files: int) -> Iterator[str]:
    """Invented texts of so many words in all; another seed gives others of the same vocabulary."""
    vocabulary = np.array(_vocabulary(np.random.default_rng(0)), dtype=object)
    draw = np.random.default_rng(seed)
    weights = 1 / (np.arange(_VOCABULARY) + 2.7)
    for _ in range(files):
        chosen: npt.NDArray[np.object_] = vocabulary[
            draw.choice(_VOCABULARY, words // files, p=weights / weights.sum())
        ]
        lines = (
            " ".join(chosen[at : at + _LINE]).capitalize() for at in range(0, len(chosen), _LINE)
        )
        yield ".\n".join(lines)


def write_policy(folder: Path) -> Path:
    """Write the corpus, and a policy that protects it."""
    book = folder / "book"
    book.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(texts(1, WORDS, FILES)):
        (book / f"{number:02}.txt").write_text(text, encoding="utf-8")
    target = {
        "id": "book",
        "title": "An invented book",
        "reason": "copyright",
        "owner": "load-tests",
        "detect": {"aliases": ["the invented book"]},
        "forbid": {"verbatim": {"corpus": "book/*.txt", "words": BOUND}},
    }
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "targets": [target]}))
    return path


def compile_aside(policy: Path, bundles: Path) -> Compiled:
    """Compile in a process of its own, as ``unlearn-guard compile`` does."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "load_tests.big_corpus", str(policy), str(bundles)],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    seconds = time.monotonic() - started
    told = json.loads(done.stdout.splitlines()[-1])
    members = (bundles / told["digest"]).iterdir()
    return Compiled(
        told["digest"], seconds, told["processor_seconds"], told["peak_bytes"],
        sum(member.stat().st_size for member in members), told["corpus_words"],
    )  # fmt: skip


def false_positives(bundles: Path, digest: str, words: int) -> tuple[int, int]:
    """Runs of another text of that vocabulary that the filter takes for the corpus's.

    Chance gives two such texts no run of nine words in common.

    Returns:
        How many, and of how many.
    """
    ((_, made),) = load_bundle(bundles, digest).verbatim.of_targets([0])
    length = run_length(FORBIDDEN, made.words)
    mistaken = asked = 0
    for text in texts(2, words, max(1, words // 1_000_000)):
        for keys in run_keys(hashes_of(text), length):
            mistaken += int(made.holds(keys).sum())
            asked += len(keys)
    return mistaken, asked


def hashes_of(text: str) -> Int64Array:
    """[n] hashes of the words of a text, as the policy compiler makes them."""
    hasher = WordHasher(Folding())
    return np.concatenate([hasher.feed(text), hasher.flush()])


def _main(policy: Path, bundles: Path) -> None:
    from guard.policy.compile import compile_policy

    bundle = compile_policy(policy, bundles, encode=None)
    told = {
        "digest": bundle.digest,
        "processor_seconds": time.process_time(),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "corpus_words": int(bundle.verbatim.corpus_words[0]),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    _main(*map(Path, sys.argv[1:3]))
