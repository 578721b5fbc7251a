"""The calibration report as one HTML page that loads nothing: text, tables and inline drawings."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import escape
from typing import Any

from guard.bundle import Method
from guard.policy.calibrate import Kind
from server.cli.calibration import MethodReport, TargetReport, percent

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
<p>A request is taken for a target where its score by one of the methods reaches the threshold that
the target has for that method. Thresholds are set so that harmless prompts stay below them. Names
(<code>detect.aliases</code>) are found besides, whatever the score.</p>
"""
_METHODS: dict[Method, str] = {
    "neighbour": "similarity to the nearest example",
    "contrast": "contrast with the same about others",
    "letters": "letters shared with an example",
}
_KINDS: dict[Kind, str] = {
    "counterexamples": "near misses (your counterexamples)",
    "general": "everyday prompts",
    "others": "your examples, about invented others",
    "places": "everyday questions about places that your examples name",
}


def page(targets: Sequence[TargetReport]) -> str:
    """The whole page, the same for the same targets."""
    return _HEAD + "".join(_section(target) for target in targets) + "</body>\n</html>\n"


def _section(target: TargetReport) -> str:
    parts = [f"<h2>{escape(target.title)} <small><code>{escape(target.id)}</code></small></h2>\n"]
    parts += [f"<p>{escape(remark)}</p>\n" for remark in target.remarks]
    if target.recognised is not None:
        parts.append(
            f"<p>Of {target.examples} examples the others recognise"
            f" {percent(target.recognised)}, each left out in turn.</p>\n"
        )
    parts += [_method(target, method) for method in target.methods]
    return "".join(parts)


def _method(target: TargetReport, method: MethodReport) -> str:
    how = {"given": "given in the policy", "calibrated": "calibrated"}[method.origin]
    parts = [
        f"<h3>By {_METHODS[method.method]}</h3>\n"
        f"<p>Threshold <b>{method.threshold:.3f}</b>, {how}. By this method alone"
        f" {percent(method.recognised)} of the examples are recognised.</p>\n",
        _bounds(method),
        _closest(method),
    ]
    if method.tradeoffs:
        parts.append(_drawing(method, f"{target.id}-{method.method}"))
    return "".join(parts)


def _bounds(method: MethodReport) -> str:
    rows = [
        f"<tr><td>{_KINDS[kind]}</td><td class=n>{own.n}</td>"
        f"<td class=n>{percent(method.taken[kind])}</td><td class=n>{percent(own.expected)}</td>"
        f"<td class=n>{percent(own.at_most)}</td><td class=n>{own.score:.3f}</td>"
        f"<td>{'yes' if own.holds else 'too few'}</td></tr>\n"
        for kind, own in method.bounds.items()
    ]
    return (
        "<table><tr><th>harmless prompts</th><th>n</th><th>taken for it</th><th>expected at most"
        f"</th><th>at most, 95% sure</th><th>bound</th><th>promises {percent(method.rate)}</th>"
        "</tr>\n" + "".join(rows) + "</table>\n"
    )


def _closest(method: MethodReport) -> str:
    rows = []
    for near in method.closest:
        taken = near.score >= method.threshold
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


def _drawing(method: MethodReport, name: str) -> str:
    """Precision by recall, and the false positives that each rate leads to, as inline SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    settings = {"svg.hashsalt": "unlearn-guard", "svg.fonttype": "none"}
    with mpl.rc_context(settings):  # type: ignore[arg-type]
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
        _draw_tradeoffs(left, method)
        _draw_kept(right, method)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
        pyplot.close(figure)
    return _inline(out.getvalue(), name) + "\n"


def _draw_tradeoffs(axes: Any, method: MethodReport) -> None:
    shown = [each for each in method.tradeoffs if each.precision is not None]
    axes.plot([each.recall for each in shown], [each.precision for each in shown])
    at = min(shown, key=lambda each: abs(each.threshold - method.threshold))
    axes.plot([at.recall], [at.precision], "o", label=f"threshold {method.threshold:.3f}")
    axes.set(
        title="precision and recall",
        xlabel="examples recognised by the others",
        ylabel="precision, both sorts weighed alike",
        xlim=(0, 1.02),
        ylim=(0.45, 1.02),
    )
    axes.legend()


def _draw_kept(axes: Any, method: MethodReport) -> None:
    rates = [each.rate for each in method.kept]
    axes.plot(rates, rates, "--", color="grey", label="as asked")
    axes.plot(rates, [each.seen for each in method.kept], "o-", label="seen")
    axes.plot(rates, [each.at_most for each in method.kept], ":", label="at most, 95% sure")
    axes.axvline(method.rate, color="grey", linewidth=0.8)
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
