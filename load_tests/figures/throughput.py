"""``throughput``: what the processor costs, in decode tokens a second at 16 streams.

Engines with the guard, with a processor that does nothing, and with none take turns, and within the
guarded one flagged and unflagged requests take turns, so that a machine that slows down slows every
arm. The idle processor tells what vLLM pays for any custom processor from what the guard costs.
The engine without one also answers under vLLM's own ``bad_words``, with 100 of the same phrases.
Requests go straight to the engine: the proxy is not what is measured here. Tokens are those that
the engine reports, over the wall time of the whole batch.

The ratio is of the best run of each arm, as ``timeit`` takes the least time: what disturbs a run on
a shared machine only ever slows it, and runs of one arm differ by more than the goal leaves room
for. The ratio of medians stands beside it in the details; so does the time that the guard takes
inside the sampler, and its share of a step, from engines with a watch on it (``load_tests/timed``),
which noise hardly touches.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any, get_args

from classifiers import load_encoder
from guard.bundle import CANARY_TARGET, Bundle
from guard.plan import BUNDLES_VARIABLE, KEY_VARIABLE, GuardPlan
from guard.policy import compile_policy
from load_tests import stack
from load_tests.chat import Endpoint, Extra, ask_all, nothing_more, with_plan
from load_tests.figure import ROOT, Figure, Measured, Options, progress, work_folder
from load_tests.times import TIMES_VARIABLE, Kind, read_times

IDLE = "load_tests.idle:IdleLogitsProcessor"
TIMED = "load_tests.timed:TimedGuardLogitsProcessor"
STREAMS = 16
TOKENS = 128
BAD_WORDS = 100
# One prompt a stream, of similar length, so that prefill is short and alike.
PROMPTS = [
    f"Write a long story about a day in the life of person number {i}." for i in range(STREAMS)
]


@dataclass(frozen=True, slots=True)
class Spread:
    """Decode tokens a second over the repeats of one arm."""

    runs: int
    median: float
    p25: float
    p75: float
    least: float
    most: float


def spread(rates: list[float]) -> Spread:
    """Of two or more runs."""
    p25, _, p75 = quantiles(rates, n=4)
    return Spread(
        len(rates), *(round(x, 1) for x in (median(rates), p25, p75, min(rates), max(rates)))
    )


def measure(options: Options) -> Measured:
    """Alternate engines, and arms within the guarded one; compare the best of each."""
    folder = work_folder("throughput")
    bundles, key = folder / "bundles", stack.new_key()
    encoder = load_encoder()
    bundle = compile_policy(
        ROOT / "policies", bundles, encode=encoder.encode, encoder=encoder.digest
    )
    bad_words = {"bad_words": bundle.phrases.texts()[:BAD_WORDS]}
    arms_of_guard, times = _arms(bundle, key), folder / "times.txt"
    times.unlink(missing_ok=True)
    # The guard's own variables are set where `guard` is, and its processor is then loaded too.
    watched = {
        **stack.BAD_WORDS_ENVIRON,
        TIMES_VARIABLE: str(times),
        BUNDLES_VARIABLE: str(bundles),
        KEY_VARIABLE: key,
    }
    engines: list[tuple[bool, tuple[str, ...], Mapping[str, Extra]]] = [
        (True, (), arms_of_guard),
        (
            False,
            ("--logits-processors", TIMED),
            {f"{name}, timed": extra for name, extra in arms_of_guard.items()},
        ),
        (False, ("--logits-processors", IDLE), {"idle": nothing_more}),
        (False, (), {"none": nothing_more, "bad_words": lambda _: bad_words}),
    ]
    rates: dict[str, list[float]] = {name: [] for *_, arms in engines for name in arms}
    for round_ in range(options.restarts):
        for guard, extra_arguments, arms in engines:
            progress(f"round {round_ + 1} of {options.restarts}: {', '.join(arms)}")
            with stack.engine(
                stack.demo_model(),
                folder=folder,
                bundles=bundles,
                key=key,
                guard=guard,
                extra=extra_arguments,
                environ=watched if TIMED in extra_arguments else stack.BAD_WORDS_ENVIRON,
            ) as engine:
                for name, extra in arms.items():
                    _rate(engine, extra, f"{name}, warm-up")
                for _ in range(options.repeats):
                    for name, extra in arms.items():
                        rates[name].append(_rate(engine, extra, name))
    spreads = {name: spread(values) for name, values in rates.items()}
    none = spreads["none"]
    with_one = ("flagged", "unflagged", "idle", "bad_words")
    ratios = {name: round(spreads[name].most / none.most, 4) for name in with_one}
    of_medians = {name: round(spreads[name].median / none.median, 4) for name in with_one}
    return Measured(
        value=ratios["flagged"],
        n=sum(map(len, rates.values())),
        details={
            "ratio": ratios,
            "ratio_of_medians": of_medians,
            "flagged_over_bad_words": {
                "best": round(spreads["flagged"].most / spreads["bad_words"].most, 4),
                "median": round(spreads["flagged"].median / spreads["bad_words"].median, 4),
            },
            "inside": {
                kind: {
                    "us_a_step": round(1e6 * inside, 1),
                    "share_of_a_step": round(
                        inside * spreads[f"{kind}, timed"].median / STREAMS, 5
                    ),
                }
                for kind in get_args(Kind)
                for inside in [median(read_times(times, kind))]
            },
            "tokens_per_second": {name: asdict(value) for name, value in spreads.items()},
            "streams": STREAMS,
            "tokens_each": TOKENS,
            "targets": len(bundle.targets) - 1,
            "phrases": len(bundle.phrases) - 1,
            "bad_words": BAD_WORDS,
            "restarts": options.restarts,
        },
    )


def _arms(bundle: Bundle, key: str) -> dict[str, Extra]:
    every_target = tuple(t.id for t in bundle.targets if t.id != CANARY_TARGET)
    return {
        "unflagged": with_plan(GuardPlan(bundle.digest), key.encode()),
        "flagged": with_plan(GuardPlan(bundle.digest, every_target), key.encode()),
    }


def _rate(engine: Endpoint, extra: Extra, label: str) -> float:
    fields: dict[str, Any] = {"max_tokens": TOKENS, "ignore_eos": True, "temperature": 0}
    started = time.perf_counter()
    answers = ask_all(engine, PROMPTS, label=label, concurrency=STREAMS, extra=extra, **fields)
    seconds = time.perf_counter() - started
    tokens = sum(answer.tokens for answer in answers)
    if tokens != STREAMS * TOKENS:
        raise RuntimeError(f"the engine made {tokens} tokens, not {STREAMS * TOKENS}")
    return tokens / seconds


FIGURE = Figure(
    name="throughput",
    what="decode tokens/s at 16 streams, every demo target active, over no processor loaded",
    unit="ratio",
    goal=">= 0.97 flagged, >= 0.99 unflagged; flagged over bad_words > 1",
    run=measure,
)
