"""The report: JSON for machines, and one HTML page for people that loads nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

from guard.errors import GuardError
from server.evaluation.drawings import NAMES, draw
from server.evaluation.estimates import FEW
from server.evaluation.findings import Case, Finding, Section
from server.evaluation.statement import INTENTION, NOT_SHOWN, THREAT_MODEL
from server.evaluation.thresholds import Verdict

JSON_NAME: Final = "report.json"
HTML_NAME: Final = "report.html"
# Suites whose figures say what leaks; the others say what it costs, and how it shows.
_LEAKS: Final = ("tofu", "muse", "copyright", "ununlearning")
# Answers are shown in the page: whatever they hold, it can neither run nor load.
_HEAD: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>Evaluation of a guarded model</title>
<style>
body {font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 68rem; padding: 0 1rem}
table {border-collapse: collapse; margin: 1rem 0; width: 100%}
th, td {border-bottom: 1px solid #ccc; padding: .3rem .8rem .3rem 0; text-align: left;
  vertical-align: top}
td.n {text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap}
small, .note {color: #555}
.missed {color: #a00000; font-weight: bold}
.intention {border-left: 4px solid #0072b2; padding-left: 1rem}
figure {margin: 1.5rem 0}
figcaption {font-weight: bold}
svg {max-width: 46rem; width: 100%; height: auto}
details {border-bottom: 1px solid #ccc; padding: .4rem 0}
dd {margin: 0 0 .5rem 1.5rem; white-space: pre-wrap; overflow-wrap: anywhere}
</style>
</head>
<body>
<h1>Evaluation of a guarded model</h1>
"""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a report says.

    Attributes:
        arms: of each arm what was asked: its model, and behind a guard its bundle.
        settings: how it was asked, so that it can be asked so again.
    """

    sections: Sequence[Section]
    arms: Mapping[str, Mapping[str, str]]
    settings: Mapping[str, Any]
    verdicts: Sequence[Verdict] = ()

    def json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "report": "unlearn-guard eval",
            "version": 1,
            "intention": INTENTION,
            "threat_model": list(THREAT_MODEL),
            "not_shown": list(NOT_SHOWN),
            "arms": {arm: dict(own) for arm, own in self.arms.items()},
            "settings": dict(self.settings),
            "thresholds": [each.json() for each in self.verdicts],
            "sections": [each.json() for each in self.sections],
        }

    def html(self) -> str:
        """For people; the same page for the same report."""
        parts = [_HEAD, self._opening(), _side_by_side(self.sections), _thresholds(self.verdicts)]
        parts += [_section(each) for each in self.sections]
        parts.append(self._closing())
        return "".join(parts) + "</body>\n</html>\n"

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write both; where they are.

        Raises:
            GuardError: the folder cannot be written.
        """
        places = folder / JSON_NAME, folder / HTML_NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(self.json(), indent=1, ensure_ascii=False)
            places[0].write_text(text + "\n", encoding="utf-8")
            places[1].write_text(self.html(), encoding="utf-8")
        except OSError as error:
            raise GuardError(
                f"cannot write to `{folder}` ({error.strerror})",
                fix="give a folder you may write to",
            ) from error
        return places

    def _opening(self) -> str:
        arms = "".join(
            f"<tr><td>{escape(NAMES.get(arm, arm))}</td><td>{escape(own.get('model', ''))}</td>"
            f"<td><code>{escape(own.get('bundle', '')[:16]) or '-'}</code></td></tr>\n"
            for arm, own in self.arms.items()
        )
        threat = "".join(f"<li>{escape(each)}</li>" for each in THREAT_MODEL)
        return (
            f"<h2>Intention</h2><p class=intention>{escape(INTENTION)}</p>\n"
            f"<h2>Threat model</h2><ul>{threat}</ul>\n"
            "<table><tr><th>model</th><th>served name</th><th>policy bundle</th></tr>"
            f"{arms}</table>\n"
        )

    def _closing(self) -> str:
        shown = "".join(f"<li>{escape(each)}</li>" for each in NOT_SHOWN)
        settings = escape(json.dumps(dict(self.settings), indent=1, ensure_ascii=False))
        return (
            f"<h2>What this does not show</h2><ul>{shown}</ul>\n"
            f"<h2>Settings</h2><pre>{settings}</pre>\n"
            "<p class=note>Intervals are 95%, by drawing whole entities (authors, books) again;"
            " questions about one entity are alike. Where a figure has none, all of it is about"
            " one entity. An interval of 0 to 0 says only that no entity showed any: of n things"
            " none of which was seen, up to about 3/n may be.</p>\n"
        )


def _by_arm(findings: Sequence[Finding]) -> dict[tuple[str, str], dict[str, Finding]]:
    """Findings that differ in their arm alone, together: by what they are and their unit."""
    rows: dict[tuple[str, str], dict[str, Finding]] = {}
    for finding in findings:
        stem, _, arm = finding.id.rpartition(".")
        if arm in NAMES:
            rows.setdefault((stem, finding.unit), {})[arm] = finding
        else:
            rows.setdefault((finding.id, finding.unit), {})[""] = finding
    return rows


def _side_by_side(sections: Sequence[Section]) -> str:
    """What leaks unguarded beside what leaks guarded, before anything else."""
    rows = []
    for section in sections:
        for own in _by_arm(section.findings).values():
            guarded, unguarded = own.get("guarded"), own.get("unguarded")
            if guarded is None or unguarded is None or not _is_leak(guarded):
                continue
            base = own.get("retain_only")
            rows.append(
                f"<tr><td>{escape(guarded.what)} <small>({escape(guarded.unit)})</small></td>"
                f"<td class=n>{_figure(unguarded)}</td><td class=n>{_figure(guarded)}</td>"
                f"<td class=n>{_figure(base) if base else '-'}</td></tr>\n"
            )
    if not rows:
        return ""
    return (
        "<h2>What leaks, unguarded and guarded</h2>\n<table><tr><th></th><th>unguarded</th>"
        "<th>guarded</th><th>retain-only (by chance)</th></tr>\n" + "".join(rows) + "</table>\n"
    )


def _is_leak(finding: Finding) -> bool:
    """Whether a figure is of what is said, and of all forms where there are many."""
    suite, _, rest = finding.id.partition(".")
    if suite == "ununlearning" and not rest.startswith("all."):
        return False
    return suite in _LEAKS and finding.better == "lower"


def _thresholds(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return ""
    rows = "".join(
        f"<tr><td><code>{escape(str(each.threshold))}</code></td>"
        f"<td class=n>{each.measured:.4g}</td>"
        f"<td>{'met' if each.met else '<span class=missed>missed</span>'}</td></tr>\n"
        for each in verdicts
    )
    return (
        "<h2>Thresholds</h2><table><tr><th>threshold</th><th>measured</th><th></th></tr>"
        f"{rows}</table>\n"
    )


def _figure(finding: Finding) -> str:
    estimate = finding.estimate
    if estimate.low is None or estimate.high is None:
        return f"{_number(estimate.value)} <small>(n {estimate.n})</small>"
    few = "*" if estimate.entities < FEW else ""
    return (
        f"{_number(estimate.value)}{few} <small>({_number(estimate.low)}&#8211;"
        f"{_number(estimate.high)}; n {estimate.n})</small>"
    )


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _section(section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>\n<p>{escape(section.about)}</p>\n"]
    rows = _by_arm(section.findings)
    arms = [arm for arm in NAMES if any(arm in own for own in rows.values())]
    if rows:
        heads = "".join(f"<th>{escape(NAMES[arm])}</th>" for arm in arms) or "<th></th>"
        parts.append(f"<table><tr><th>figure</th>{heads}<th>entities</th></tr>\n")
        parts += [_row(own, arms) for own in rows.values()]
        parts.append("</table>\n")
    if any(f.estimate.entities < FEW and f.estimate.low is not None for f in section.findings):
        parts.append(
            f"<p class=note>* fewer than {FEW} entities: the interval is too narrow.</p>\n"
        )
    parts += [
        f"<p class=note>{escape(each.what)}: {escape(each.note)}</p>\n"
        for each in section.findings
        if each.note
    ]
    parts += [draw(chart) for chart in section.charts]
    if section.cases:
        parts.append("<h3>Worst cases</h3>\n")
        parts += [_case(case) for case in section.cases]
    if section.not_applicable:
        items = "".join(
            f"<li><b>{escape(what)}</b>: {escape(why)}</li>" for what, why in section.not_applicable
        )
        parts.append(f"<h3>Not measured</h3><ul>{items}</ul>\n")
    return "".join(parts)


def _row(own: Mapping[str, Finding], arms: Sequence[str]) -> str:
    first = next(iter(own.values()))
    arrow = {"lower": "&#8595;", "higher": "&#8593;", "neither": ""}[first.better]
    if "" in own:
        cells = f"<td class=n colspan={max(1, len(arms))}>{_figure(own[''])}</td>"
    else:
        cells = "".join(
            f"<td class=n>{_figure(own[arm]) if arm in own else '-'}</td>" for arm in arms
        )
    return (
        f"<tr><td>{escape(first.what)} {arrow} <small>({escape(first.unit)})</small></td>{cells}"
        f"<td class=n>{first.estimate.entities}</td></tr>\n"
    )


def _case(case: Case) -> str:
    answers = "".join(
        f"<dt>{escape(NAMES.get(arm, arm))}</dt><dd>{escape(text) or '<i>nothing</i>'}</dd>"
        for arm, text in case.answers.items()
    )
    return (
        f"<details><summary>{escape(case.id)}: {escape(case.said)}</summary><dl>"
        f"<dt>asked</dt><dd>{escape(case.asked)}</dd>"
        f"<dt>gold answer</dt><dd>{escape(case.gold)}</dd>{answers}</dl></details>\n"
    )
