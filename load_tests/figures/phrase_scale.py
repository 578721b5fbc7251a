"""``phrase-scale``: what a million phrases cost, from compiling them to each step of the sampler.

Each size is measured in a process of its own, on the demo model's tokenizer, with invented names as
phrases, ten a target. The step is timed on texts that stand in the middle of a phrase, with every
target active; the value is the step at a million phrases over the step at a hundred, sixteen rows.
*Led away* is a step of requests that one target with all of the phrases was detected in, so that
penalties grow along them; a target has at most a hundred thousand.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeVar

from load_tests import stack
from load_tests.figure import ROOT, Figure, Measured, Options, progress, work_folder

SIZES: Final = (100, 1_000, 10_000, 100_000, 1_000_000)
ROWS: Final = (1, 16, 256)
PER_TARGET: Final = 10
MOST_LED: Final = 100_000
_STEPS: Final = 100

Made = TypeVar("Made")


def measure(options: Options) -> Measured:
    """One process a size, and a plot of what they found."""
    folder = work_folder("phrase-scale")
    model = stack.demo_model()
    found = []
    for size in [size for size in SIZES if not options.limit or size <= options.limit]:
        done = subprocess.run(
            [sys.executable, "-m", "load_tests.figures.phrase_scale", str(size), str(model)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        found.append(json.loads(done.stdout.splitlines()[-1]))
        progress(f"{size} phrases: {found[-1]}")
    _plot(found, folder / "phrase-scale.svg")
    step = {size["phrases"]: size["step_us"]["16"] for size in found}
    return Measured(
        value=round(step[max(step)] / step[min(step)], 3), n=max(step), details={"sizes": found}
    )


def invented_names(count: int, seed: int) -> list[str]:
    """Invented first and last names, in normalised form."""
    draw = random.Random(seed)
    opens = ("", "b", "br", "d", "g", "k", "l", "m", "n", "r", "s", "st", "t", "v", "z", "sh")
    syllables = [a + b + c for a in opens for b in "aeiou" for c in ("", "l", "n", "r", "s")]
    return [
        " ".join("".join(draw.choices(syllables, k=draw.randint(2, 3))) for _ in range(2))
        for _ in range(count)
    ]


def _measure_one(size: int, model: Path) -> dict[str, Any]:
    import torch
    from transformers import AutoTokenizer

    from guard.bundle import BundleTarget
    from guard.bundle_loading import load_engine_bundle
    from guard.bundle_writing import write_bundle
    from guard.engine.bundles import LoadedBundle
    from guard.engine.matcher import Tokens
    from guard.engine.reader import reader_of
    from guard.engine.store import SegmentStore
    from guard.engine.symbols import symbol_vocabulary
    from guard.engine.vocabulary import token_bytes
    from guard.phrase_table import BundlePhrase
    from guard.plan import GuardPlan

    def target(name: str, always: bool = True) -> BundleTarget:
        return BundleTarget(
            id=name, title=name, reason="secret", owner="", mode="enforce", respond="suppress",
            refusal="", context="redact", always=always, expires="", thresholds={}, aliases=(),
        )  # fmt: skip

    tokenizer = AutoTokenizer.from_pretrained(model)
    symbols = symbol_vocabulary(token_bytes(tokenizer, len(tokenizer)))
    device = torch.device("cpu")
    names = invented_names(size, seed=1)
    targets = [target(f"t{place}") for place in range(size // PER_TARGET)]
    phrases = [BundlePhrase(text, place // PER_TARGET, "hard") for place, text in enumerate(names)]
    root = Path(tempfile.mkdtemp(prefix="phrase-scale-"))
    try:
        tokens = Tokens(symbols, device)
        store = SegmentStore(root, b"k" * 32, symbols)
        write_s, made = _timed(lambda: write_bundle(root, targets=targets, phrases=phrases))
        load_s, bundle = _timed(lambda: load_engine_bundle(root, made.digest))
        before = _resident_mb()
        compile_s, loaded = _timed(lambda: LoadedBundle(bundle, tokens, store=store))
        compiled_mb = _resident_mb()
        map_s, _ = _timed(lambda: LoadedBundle(bundle, tokens, store=store))

        one_more = [*targets, target("new")]
        new = [
            BundlePhrase(text, len(targets), "hard") for text in invented_names(PER_TARGET, seed=2)
        ]
        second = write_bundle(root, targets=one_more, phrases=[*phrases, *new]).digest
        add_s, _ = _timed(
            lambda: LoadedBundle(load_engine_bundle(root, second), tokens, loaded, store)
        )
        reader, active = reader_of(tokens), loaded.active_row(GuardPlan(made.digest))
        steps = {
            str(rows): _step_us(loaded, reader, tokenizer, names, active, rows) for rows in ROWS
        }
        led: dict[str, float] = {}
        if size <= MOST_LED:
            one = [target("one", always=False)]
            own = [BundlePhrase(text, 0, "hard") for text in names]
            digest = write_bundle(root, targets=one, phrases=own).digest
            steered = LoadedBundle(load_engine_bundle(root, digest), tokens)
            active = steered.active_row(GuardPlan(digest, ("one",)))
            led = {
                str(rows): _step_us(steered, reader, tokenizer, names, active, rows)
                for rows in ROWS
            }
    finally:
        shutil.rmtree(root)
    return {
        "phrases": size,
        "targets": len(targets),
        "bundle_write_s": write_s,
        "bundle_load_s": load_s,
        "compile_s": compile_s,
        "map_s": map_s,
        "add_one_s": add_s,
        "peak_mb": compiled_mb,
        "peak_before_compiling_mb": before,
        "step_us": steps,
        "led_away_step_us": led,
    }


def _step_us(
    loaded: Any, reader: Any, tokenizer: Any, names: list[str], active: Any, rows: int
) -> float:
    """Microseconds of one thread to read a token and penalise, the median of some steps."""
    import torch

    # One thread and its own clock: whatever else the machine does, this counts the same.
    torch.set_num_threads(1)
    draw = random.Random(3)
    texts = [tokenizer(f"It was {draw.choice(names)}").input_ids for _ in range(rows)]
    before = reader.read_texts([text[:-2] for text in texts])
    token = torch.tensor([text[-2] for text in texts])
    every, place = active.repeat(rows, 1), torch.arange(rows)
    asked = torch.randn(rows, reader.empty_token, generator=torch.Generator().manual_seed(3))
    logits = asked.clone()
    # What requests pay once, as they join.
    loaded.penalise(logits, place, before, every)
    times = []
    for _ in range(_STEPS):
        state = before.clone()
        logits.copy_(asked)
        started = time.thread_time()
        loaded.penalise(logits, place, reader.advance(state, token), every)
        times.append(time.thread_time() - started)
    return round(1e6 * median(times), 1)


def _timed(make: Callable[[], Made]) -> tuple[float, Made]:
    started = time.perf_counter()
    made = make()
    return round(time.perf_counter() - started, 3), made


def _resident_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def _plot(found: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    sizes = [size["phrases"] for size in found]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for rows in ROWS:
        left.plot(sizes, [size["step_us"][str(rows)] for size in found], "o-", label=f"{rows} rows")
    left.set(xscale="log", yscale="log", xlabel="phrases", ylabel="µs a step", title="sampler step")
    left.legend()
    for name in ("compile_s", "map_s", "add_one_s"):
        right.plot(sizes, [size[name] for size in found], "o-", label=name.removesuffix("_s"))
    right.set(xscale="log", yscale="log", xlabel="phrases", ylabel="seconds", title="bundle")
    right.legend()
    figure.savefig(path)


FIGURE = Figure(
    name="phrase-scale",
    what="sampler step at a million phrases over a hundred; compiling, memory, adding one",
    unit="ratio",
    goal="<= 1.2; compile < 60 s and < 2 GB, add one < 1 s",
    run=measure,
)

if __name__ == "__main__":
    print(json.dumps(_measure_one(int(sys.argv[1]), Path(sys.argv[2]))))
