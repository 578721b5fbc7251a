"""``throughput``: what the processor costs, in decode tokens a second at 16 streams.

One engine runs every arm, in turns, batch after batch: ``load_tests/switched.py`` takes the guard's
processor out of vLLM's batch and puts it back, so that the arm without one has none. Two engines
with the same processor differ by more than the goal leaves room for, and so do two minutes of one
engine on a shared machine; a batch and the next but few do not. Each batch is compared with the one
without a processor in its own round, the order turns from round to round, and the value is the
median of those ratios, with a bootstrap interval. Engines that never had a processor are measured
beside it, to tell whether taking it out leaves what they are.

An idle processor tells what vLLM pays for any custom processor from what the guard costs, and the
arm without one also answers under vLLM's own ``bad_words``, with 100 of the same phrases. Requests
go straight to the engine: the proxy is not what is measured here. Tokens are those that the engine
reports, over the wall time of the whole batch. What the guard takes inside the sampler is timed by
itself (``load_tests/timed.py``).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final, get_args

from classifiers import load_encoder
from guard.bundle import CANARY_TARGET, Bundle
from guard.plan import BUNDLES_VARIABLE, KEY_VARIABLE, GuardPlan
from guard.policy import compile_policy
from load_tests import stack
from load_tests.chat import Endpoint, Extra, ask_all, nothing_more, with_plan
from load_tests.figure import ROOT, Figure, Measured, Options, progress, work_folder
from load_tests.intervals import of_median
from load_tests.switch import SWITCH_VARIABLE, Arm, Switch
from load_tests.times import TIMES_VARIABLE, Kind, read_times

SWITCHED: Final = "load_tests.switched:SwitchedLogitsProcessor"
STREAMS: Final = 16
TOKENS: Final = 64
# Of every arm, an engine and unit of `Options.repeats`.
ROUNDS: Final = 5
BAD_WORDS: Final = 100
# One prompt a stream, of similar length, so that prefill is short and alike.
PROMPTS: Final = [
    f"Write a long story about a day in the life of person number {i}." for i in range(STREAMS)
]
WITHOUT: Final = "none"


@dataclass(frozen=True, slots=True)
class Spread:
    """Decode tokens a second over the batches of one arm."""

    runs: int
    median: float
    p25: float
    p75: float
    least: float
    most: float


def spread(rates: Sequence[float]) -> Spread:
    """Of two or more batches."""
    p25, _, p75 = quantiles(rates, n=4)
    return Spread(
        len(rates), *(round(x, 1) for x in (median(rates), p25, p75, min(rates), max(rates)))
    )


@dataclass(frozen=True, slots=True)
class Ratio:
    """One arm's rate over another's of the same round: the median, and its 95% interval."""

    median: float
    low: float
    high: float


def ratio(rates: Sequence[float], over: Sequence[float]) -> Ratio:
    """Of two arms, round by round."""
    ratios = [one / other for one, other in zip(rates, over, strict=True)]
    return Ratio(*(round(x, 4) for x in (median(ratios), *of_median(ratios))))


def turned(names: Sequence[str], round_: int) -> list[str]:
    """The arms in another order each round: each takes each place as often as any other."""
    start = round_ % len(names)
    order = [*names[start:], *names[:start]]
    return order if (round_ // len(names)) % 2 == 0 else order[::-1]


def measure(options: Options) -> Measured:
    """Arms in turns within each engine; each batch over the one without of its round."""
    folder = work_folder("throughput")
    bundles, key = folder / "bundles", stack.new_key()
    encoder = load_encoder()
    bundle = compile_policy(
        ROOT / "policies", bundles, encode=encoder.encode, encoder=encoder.digest
    )
    arms = _arms(bundle, key)
    times, switch_file = folder / "times.txt", folder / "switch"
    times.unlink(missing_ok=True)
    switch = Switch.create(switch_file)
    # The guard's own variables are set where `guard` is, and its processor is then loaded too.
    environ = {
        **stack.BAD_WORDS_ENVIRON,
        TIMES_VARIABLE: str(times),
        SWITCH_VARIABLE: str(switch_file),
        BUNDLES_VARIABLE: str(bundles),
        KEY_VARIABLE: key,
    }
    rates: dict[str, list[float]] = defaultdict(list)
    never: list[float] = []
    rounds = ROUNDS * options.repeats
    for start in range(options.restarts):
        label = f"engine {start + 1} of {options.restarts}"
        with _engine(folder, bundles, key, ("--logits-processors", SWITCHED), environ) as engine:
            for name, (arm, extra) in arms.items():
                switch.arm = arm
                _rate(engine, extra, f"{label}, {name}, warm-up")
            for round_ in range(rounds):
                progress(f"{label}: round {round_ + 1} of {rounds}")
                for name in turned(list(arms), round_):
                    switch.arm, extra = arms[name]
                    rates[name].append(_rate(engine, extra, name))
        with _engine(folder, bundles, key, (), stack.BAD_WORDS_ENVIRON) as engine:
            _rate(engine, nothing_more, f"{label}, never one, warm-up")
            never += [_rate(engine, nothing_more, "never one") for _ in range(rounds)]
    ratios = {
        name: ratio(rates[name], rates[WITHOUT])
        for name in ("flagged", "unflagged", "idle", "bad_words")
    }
    spreads = {name: spread(values) for name, values in rates.items()}
    return Measured(
        value=ratios["flagged"].median,
        n=sum(map(len, rates.values())),
        details={
            "ratio": {name: asdict(value) for name, value in ratios.items()},
            "flagged_over_bad_words": asdict(ratio(rates["flagged"], rates["bad_words"])),
            "unflagged_over_idle": asdict(ratio(rates["unflagged"], rates["idle"])),
            "inside": _inside(times, spreads),
            "tokens_per_second": {
                name: asdict(value) for name, value in (*spreads.items(), ("never", spread(never)))
            },
            "streams": STREAMS,
            "tokens_each": TOKENS,
            "targets": len(bundle.targets) - 1,
            "phrases": len(bundle.phrases) - 1,
            "bad_words": BAD_WORDS,
            "restarts": options.restarts,
            "rounds_each": rounds,
        },
    )


def _arms(bundle: Bundle, key: str) -> dict[str, tuple[Arm, Extra]]:
    every_target = tuple(t.id for t in bundle.targets if t.id != CANARY_TARGET)
    bad_words = {"bad_words": bundle.phrases.texts()[:BAD_WORDS]}
    return {
        WITHOUT: ("none", nothing_more),
        "idle": ("idle", nothing_more),
        "unflagged": ("guard", with_plan(GuardPlan(bundle.digest), key.encode())),
        "flagged": ("guard", with_plan(GuardPlan(bundle.digest, every_target), key.encode())),
        "bad_words": ("none", lambda _: bad_words),
    }


def _engine(
    folder: Path,
    bundles: Path,
    key: str,
    extra: tuple[str, ...],
    environ: Mapping[str, str],
) -> AbstractContextManager[Endpoint]:
    return stack.engine(
        stack.demo_model(),
        folder=folder,
        bundles=bundles,
        key=key,
        guard=False,
        extra=extra,
        environ=environ,
    )


def _inside(times: Path, spreads: Mapping[str, Spread]) -> dict[Kind, dict[str, float]]:
    """What the guard takes of a step, timed where it is called."""
    inside = {kind: median(read_times(times, kind)) for kind in get_args(Kind)}
    return {
        kind: {
            "us_a_step": round(1e6 * seconds, 1),
            "share_of_a_step": round(seconds * spreads[kind].median / STREAMS, 5),
        }
        for kind, seconds in inside.items()
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
