"""``views-cost``: what reading hidden texts costs, on texts made to cost much, as they grow.

Every kind of ``load_tests/hostile.py`` at 10, 50 and 200 kB (thousand characters): seconds of one
thread to make all views and to look for names in them, per kB. Beside it what ordinary prose costs.
The value is the worst kind's cost per kB at 200 kB over that at 10 kB.
"""

from __future__ import annotations

import resource
import time
from statistics import median
from typing import Any, Final

from guard.phrases import PhraseAutomaton
from guard.views import ViewSearch, find_views
from load_tests.figure import Figure, Measured, Options, progress
from load_tests.hostile import HOSTILE

SIZES: Final = (10, 50, 200)
_REPEATS: Final = {10: 15, 50: 5, 200: 3}
_NAMES: Final = ("mirelle quay", "saltgate", "harbor novels", "oriel vance", "lee")


def measure(options: Options) -> Measured:
    """Time each kind at each size."""
    automaton = PhraseAutomaton(_NAMES)
    search = ViewSearch(_NAMES)

    def look(text: str) -> int:
        views = find_views(text)
        for view in views:
            search.hidden(view, text, lambda part: automaton.search(part, _NAMES))
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
    worst = max(kinds, key=lambda kind: kinds[kind]["ratio"])
    dearest = max(kinds, key=lambda kind: kinds[kind]["ms_per_kb"]["200"])
    details = {
        "worst_ratio": worst,
        "dearest": {"kind": dearest, "ms_per_kb": kinds[dearest]["ms_per_kb"]["200"]},
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        "kinds": kinds,
    }
    return Measured(value=kinds[worst]["ratio"], n=len(kinds) * len(SIZES), details=details)


def _seconds(look: Any, text: str, repeats: int) -> float:
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
