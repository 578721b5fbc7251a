"""``standing-scale``: the proxy's cost where up to a million phrases are forbidden in every answer.

Each size in a process of its own: invented names, ten a target, every target ``always``, and one
target of ten more that requests touch. Told is the time to make the policy ready to serve, the
memory that this takes, what a request pays to know what holds for it (the verdict, the set of
targets, the plan; the first request that touches the target, and those after), and what a streamed
answer of everyday words pays to be scanned, in pieces of four characters. The value is the scan at
a million phrases over the scan at a hundred.
"""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from load_tests.detecting import everyday
from load_tests.figure import ROOT, Figure, Measured, Options, progress
from load_tests.figures.phrase_scale import PER_TARGET, SIZES, invented_names

_REPEATS: Final = 20
_PIECE: Final = 4
_LETTERS: Final = 20_000
_NOBODY: Final[frozenset[str]] = frozenset()


def measure(options: Options) -> Measured:
    """One process a size."""
    found = []
    for size in [size for size in SIZES if not options.limit or size <= options.limit]:
        done = subprocess.run(
            [sys.executable, "-m", "load_tests.figures.standing_scale", str(size)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        found.append(json.loads(done.stdout.splitlines()[-1]))
        progress(f"{size} phrases: {found[-1]}")
    scan = {size["phrases"]: size["scan_100_words_ms"] for size in found}
    return Measured(
        value=round(scan[max(scan)] / scan[min(scan)], 2), n=max(scan), details={"sizes": found}
    )


def _measure_one(size: int) -> dict[str, Any]:
    from guard.bundle import BundleTarget
    from guard.bundle_loading import load_bundle
    from guard.bundle_writing import write_bundle
    from guard.decision import Detection, Evidence
    from guard.phrase_table import BundlePhrase
    from server.active import ActivePolicy
    from server.detection import Findings
    from server.verdict import judge

    def target(name: str, *, always: bool) -> BundleTarget:
        return BundleTarget(
            id=name, title=name, reason="secret", owner="", mode="enforce", respond="suppress",
            refusal="", context="redact", always=always, expires="", thresholds={}, aliases=(),
        )  # fmt: skip

    names = invented_names(size + PER_TARGET, seed=1)
    count = size // PER_TARGET
    targets = [target(f"t{place}", always=place < count) for place in range(count + 1)]
    phrases = [BundlePhrase(text, place // PER_TARGET, "hard") for place, text in enumerate(names)]
    root = Path(tempfile.mkdtemp(prefix="standing-scale-"))
    try:
        digest = write_bundle(root, targets=targets, phrases=phrases).digest
        del phrases, targets
        began = time.perf_counter()
        bundle = load_bundle(root, digest)
        loaded = time.perf_counter()
        before = _resident_mb()
        policy = ActivePolicy(bundle, None)
        ready = time.perf_counter()
    finally:
        shutil.rmtree(root)

    touched = Detection(f"t{count}", (Evidence("alias", "messages[0].content", 1.0),))
    nothing = Findings()
    one = Findings((touched,))

    async def decide(findings: Findings) -> Any:
        verdict = judge(policy, findings, _NOBODY)
        active = await policy.active_set(verdict.active, _NOBODY, [])
        return policy.plan(active, _NOBODY), active

    async def requests() -> dict[str, float]:
        await decide(nothing)
        first = await _ms(decide, one)
        return {
            "untouched_ms": median([await _ms(decide, nothing) for _ in range(_REPEATS)]),
            "touching_first_ms": first,
            "touching_ms": median([await _ms(decide, one) for _ in range(_REPEATS)]),
        }

    request = asyncio.run(requests())
    _, active = asyncio.run(decide(one))
    text = " ".join(text for own in everyday().values() for text in own)[:_LETTERS]
    pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
    scans = [_scan_s(active.scanner, pieces) for _ in range(5)]
    return {
        "phrases": size,
        "targets": count,
        "load_s": round(loaded - began, 2),
        "ready_s": round(ready - loaded, 2),
        "memory_mb": _resident_mb() - before,
        "peak_mb": _resident_mb(),
        "request": {name: round(ms, 3) for name, ms in request.items()},
        "scan_100_words_ms": round(1000 * median(scans) * 100 / len(text.split()), 2),
    }


async def _ms(decide: Any, findings: Any) -> float:
    began = time.perf_counter()
    await decide(findings)
    return 1000 * (time.perf_counter() - began)


def _scan_s(scanner: Any, pieces: Sequence[str]) -> float:
    """Seconds of one thread to scan an answer; it says nothing that is forbidden."""
    began = time.thread_time()
    scan = scanner.start()
    said = "".join([*map(scan.feed, pieces), scan.flush()])
    took = time.thread_time() - began
    if scan.hit is not None or said != "".join(pieces):
        raise AssertionError("an invented name stands in everyday words")
    return took


def _resident_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


FIGURE = Figure(
    name="standing-scale",
    what="the proxy's scan with a million phrases forbidden in every answer over a hundred",
    unit="ratio",
    goal="recorded; ready < 60 s and < 2 GB at a million",
    run=measure,
)

if __name__ == "__main__":
    print(json.dumps(_measure_one(int(sys.argv[1]))))
