"""``fuzz``: 10,000 requests of any shape, and streams of any shape, before a live proxy.

The tests of ``tests/server/fuzz`` with other cases each time: every route from the proxy's own
OpenAPI document, bodies of any bytes and characters, and an engine that says what is forbidden in
every channel, cut anywhere, or sends what is no stream at all. Counted are answers looked at; a
fault is a 5xx, a traceback, something logged as a fault, or a forbidden phrase.
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Final

from load_tests.figure import (
    ROOT,
    Figure,
    Measured,
    NotMeasurableError,
    Options,
    progress,
    work_folder,
)

CASES: Final = 10_000


def measure(options: Options) -> Measured:
    """Run the tests with many cases, and read what they found."""
    folder = work_folder("fuzz")
    count, report = folder / "count", folder / "report.xml"
    for file in (count, report):
        file.unlink(missing_ok=True)
    log = folder / "pytest.log"
    progress(f"{options.limit or CASES} cases; their log is {log.relative_to(ROOT)}")
    with log.open("w", encoding="utf-8") as out:
        subprocess.run(
            [
                sys.executable, "-m", "pytest", "-q", "tests/server/fuzz", f"--junit-xml={report}",
            ],
            cwd=ROOT, check=False, stdout=out, stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "UNLEARN_GUARD_FUZZ_CASES": str(options.limit or CASES),
                "UNLEARN_GUARD_FUZZ_COUNT": str(count),
            },
        )  # fmt: skip
    if not count.exists() or not report.exists():
        raise NotMeasurableError(f"could not run its tests: see {log}")
    failed = failures(report)
    answers = int(count.read_text(encoding="utf-8"))
    return Measured(float(len(failed)), answers, {"answers": answers, "failed": failed})


def failures(report: Path) -> list[str]:
    """The names of the tests of a JUnit report that failed."""
    suites = ET.parse(report).getroot()  # our own pytest wrote it
    return [
        case.get("name", "")
        for case in suites.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]


FIGURE = Figure(
    name="fuzz",
    what="kinds of requests and streams by which 10,000 of them made a fault or got a phrase",
    unit="tests",
    goal="0",
    run=measure,
)
