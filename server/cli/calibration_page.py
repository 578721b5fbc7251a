"""The calibration report as one HTML page that loads nothing: text, tables and inline drawings."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import escape
from typing import Any

from server.cli.calibration import TargetReport, percent

# Prompts are shown in the page: whatever they hold, it can neither run nor load.
_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Calibration of detection</title>
<style>
body {font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem}
table {border-collapse: collapse; margin: 1rem 0}
th, td {border-bottom: 1px solid #ccc; padding: .3rem .8rem .3rem 0; text-align: left}
td.n {text-align: right; font-variant-numeric: tabular-nums}
.taken {color: #a00000; font-weight: bold}
svg {max-width: 100%; height: auto}
</style>
</head>
<body>
<h1>Calibration of detection</h1>
<p>A request is taken for a target by similarity where its score reaches the target's threshold.
The threshold is set so that harmless prompts stay below it. Names (<code>detect.aliases</code>) are
found besides, whatever the score.</p>
"""
_KINDS = {"counterexamples": "near misses (your counterexamples)", "general": "everyday prompts"}


def page(targets: Sequence[TargetReport]) -> str:
    """The whole page, the same for the same targets."""
    return _HEAD + "".join(_section(target) for target in targets) + "</body>\n</html>\n"


def _section(target: TargetReport) -> str:
    parts = [f"<h2>{escape(target.title)} <small><code>{escape(target.id)}</code></small></h2>\n"]
    parts += [f"<p>{escape(remark)}</p>\n" for remark in target.remarks]
    if target.threshold is None:
        return "".join(parts)
    how = {"given": "given in the policy", "calibrated": "calibrated"}[target.origin]
    parts.append(
        f"<p>Threshold <b>{target.threshold:.3f}</b>, {how}. Of {target.examples} examples the"
        f" others recognise {percent(target.recognised)}, each left out in turn.</p>\n"
    )
    parts.append(_bounds(target))
    parts.append(_closest(target))
    if target.tradeoffs:
        parts.append(_drawing(target))
    return "".join(parts)


def _bounds(target: TargetReport) -> str:
    rows = [
        f"<tr><td>{_KINDS[kind]}</td><td class=n>{own.n}</td>"
        f"<td class=n>{percent(target.taken[kind])}</td><td class=n>{percent(own.expected)}</td>"
        f"<td class=n>{percent(own.at_most)}</td><td class=n>{own.score:.3f}</td>"
        f"<td>{'yes' if own.holds else 'too few'}</td></tr>\n"
        for kind, own in target.bounds.items()
    ]
    return (
        "<table><tr><th>harmless prompts</th><th>n</th><th>taken for it</th><th>expected at most"
        f"</th><th>at most, 95% sure</th><th>bound</th><th>promises {percent(target.rate)}</th>"
        "</tr>\n" + "".join(rows) + "</table>\n"
    )


def _closest(target: TargetReport) -> str:
    rows = []
    for near in target.closest:
        taken = target.threshold is not None and near.score >= target.threshold
        mark = "<span class=taken>taken for it</span>" if taken else "passes"
        rows.append(
            f"<tr><td class=n>{near.score:.3f}</td><td>{mark}</td>"
            f"<td>{escape(_KINDS[near.kind])}</td><td>{escape(near.prompt)}</td></tr>\n"
        )
    return (
        "<table><tr><th>score</th><th></th><th>kind</th><th>closest harmless prompts</th></tr>\n"
        + "".join(rows)
        + "</table>\n"
    )


def _drawing(target: TargetReport) -> str:
    """Precision by recall, and the false positives that each rate leads to, as inline SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    settings = {"svg.hashsalt": "unlearn-guard", "svg.fonttype": "none"}
    with mpl.rc_context(settings):  # type: ignore[arg-type]
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
        _draw_tradeoffs(left, target)
        _draw_kept(right, target)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
        pyplot.close(figure)
    return _inline(out.getvalue(), target.id) + "\n"


def _draw_tradeoffs(axes: Any, target: TargetReport) -> None:
    shown = [each for each in target.tradeoffs if each.precision is not None]
    axes.plot([each.recall for each in shown], [each.precision for each in shown])
    at = min(shown, key=lambda each: abs(each.threshold - (target.threshold or 0.0)))
    axes.plot([at.recall], [at.precision], "o", label=f"threshold {target.threshold:.3f}")
    axes.set(
        title="precision and recall",
        xlabel="examples recognised by the others",
        ylabel="precision, both sorts weighed alike",
        xlim=(0, 1.02),
        ylim=(0.45, 1.02),
    )
    axes.legend()


def _draw_kept(axes: Any, target: TargetReport) -> None:
    rates = [each.rate for each in target.kept]
    axes.plot(rates, rates, "--", color="grey", label="as asked")
    axes.plot(rates, [each.seen for each in target.kept], "o-", label="seen")
    axes.plot(rates, [each.at_most for each in target.kept], ":", label="at most, 95% sure")
    axes.axvline(target.rate, color="grey", linewidth=0.8)
    axes.set(
        title="rate asked for, and kept on other prompts",
        xlabel="false positives asked for",
        ylabel="everyday prompts above the bound",
        xscale="log",
    )
    axes.legend()


def _inline(svg: str, name: str) -> str:
    """The drawing without the addresses that an SVG file has, and with ids of its own."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'xlink:href="#', f'href="#{name}-', svg)
    return svg.replace("url(#", f"url(#{name}-").strip()
