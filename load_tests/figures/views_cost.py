"""``views-cost``: what reading hidden texts costs, on texts made to cost much, as they grow.

Every kind of ``load_tests/hostile.py`` at 10, 50 and 200 kB (thousand characters): seconds of one
thread to make all views and to look for names in them, per kB. The value is the worst kind's cost
per kB at 200 kB over that at 10 kB. Beside it: what ordinary prompts cost, and how many pieces more
of them the sentence encoder gets because of views.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from statistics import mean, median
from typing import Any, Final

from guard.phrases import SortedPhrases
from guard.pieces import pieces_of
from guard.views import ViewSearch, find_views
from load_tests.figure import ROOT, Figure, Measured, Options, progress
from load_tests.hostile import HOSTILE

SIZES: Final = (10, 50, 200)
_REPEATS: Final = {10: 15, 50: 5, 200: 3}
_PROMPTS: Final = (ROOT / "guard/policy/general_prompts.txt", ROOT / "load_tests/everyday.txt")
_NAMES: Final = ("mirelle quay", "saltgate", "harbor novels", "oriel vance", "lee")


def measure(options: Options) -> Measured:
    """Time each kind at each size."""
    names = SortedPhrases(_NAMES)
    search = ViewSearch(_NAMES)

    def look(text: str) -> int:
        views = find_views(text)
        for view in views:
            search.hidden(view, text, names.search)
        return len(views)

    find_views("Ünïcode")  # tables that are made once
    kinds: dict[str, Any] = {}
    for kind, make in list(HOSTILE.items())[: options.limit or None]:
        costs = {size: _seconds(look, make(size * 1000), _REPEATS[size]) / size for size in SIZES}
        kinds[kind] = {
            "ms_per_kb": {str(size): round(1000 * cost, 3) for size, cost in costs.items()},
            "ratio": round(costs[200] / costs[10], 3),
            "views": look(make(10_000)),
        }
        progress(f"{kind}: {kinds[kind]}")
    ordinary = _ordinary(look)
    progress(f"ordinary prompts: {ordinary}")
    worst = max(kinds, key=lambda kind: kinds[kind]["ratio"])
    dearest = max(kinds, key=lambda kind: kinds[kind]["ms_per_kb"]["200"])
    details = {
        "worst_ratio": worst,
        "dearest": {"kind": dearest, "ms_per_kb": kinds[dearest]["ms_per_kb"]["200"]},
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        "ordinary": ordinary,
        "kinds": kinds,
    }
    return Measured(value=kinds[worst]["ratio"], n=len(kinds) * len(SIZES), details=details)


def _ordinary(look: Callable[[str], int]) -> dict[str, Any]:
    lines = "\n".join(path.read_text() for path in _PROMPTS).splitlines()
    prompts = [line for line in lines if line and not line.startswith("#")]
    more = 0
    for prompt in prompts:
        plain = set(pieces_of(prompt))
        read = [view.text[p.start : p.end] for view in find_views(prompt) for p in view.readable]
        more += len({piece for text in read for piece in pieces_of(text)} - plain)
    times = [_seconds(look, prompt, 3) for prompt in prompts]
    return {
        "prompts": len(prompts),
        "pieces_more": more,
        "characters": round(mean(map(len, prompts))),
        "ms_each": round(1000 * mean(times), 3),
    }


def _seconds(look: Callable[[str], int], text: str, repeats: int) -> float:
    """Seconds of one thread and its own clock, the median of some runs."""
    times = []
    for _ in range(repeats):
        started = time.thread_time()
        look(text)
        times.append(time.thread_time() - started)
    return median(times)


FIGURE = Figure(
    name="views-cost",
    what="reading hidden texts: cost per kB at 200 kB over 10 kB, the worst of hostile kinds",
    unit="ratio",
    goal="<= 1.5",
    run=measure,
)
