"""Charts as inline SVG, drawn by hand so that a report needs no library to read or to make.

Every figure shows its interval. Colours are told apart by people who see red and green alike (Okabe
and Ito 2008), and each arm has a mark of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from server.evaluation.findings import Chart

Point = tuple[str | float, float, float | None, float | None]

NAMES: Final[Mapping[str, str]] = {
    "guarded": "guarded",
    "unguarded": "unguarded",
    "retain_only": "retain-only",
}
# Series that are no arms: what is asked at each step of `stepping.py`.
STEPPED: Final[Mapping[str, str]] = {
    "forgotten": "what is forgotten by then",
    "first": "what was forgotten first",
    "not_yet": "what is to be forgotten later",
    "retain": "what is retained",
}
_COLOURS: Final = {
    "guarded": "#0072b2", "unguarded": "#d55e00", "retain_only": "#666666",
    "forgotten": "#0072b2", "first": "#cc79a7", "not_yet": "#d55e00", "retain": "#009e73",
}  # fmt: skip
_OTHER: Final = "#117733"
_WIDTH: Final = 720
_LABELS: Final = 230
_ROW: Final = 17


def draw(chart: Chart) -> str:
    """A chart; empty if it has nothing to show."""
    if not any(chart.series.values()):
        return ""
    body = {"bars": _bars, "lines": _lines, "shares": _shares}[chart.kind](chart)
    return f"<figure><figcaption>{escape(chart.title)}</figcaption>{body}</figure>\n"


def _colour(arm: str) -> str:
    return _COLOURS.get(arm, _OTHER)


def _mark(arm: str, x: float, y: float) -> str:
    colour = _colour(arm)
    if arm in ("unguarded", "not_yet"):
        return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{colour}"/>'
    if arm in ("retain_only", "first"):
        corners = f"{x:.1f},{y - 5:.1f} {x + 5:.1f},{y + 4:.1f} {x - 5:.1f},{y + 4:.1f}"
        return f'<polygon points="{corners}" fill="{colour}"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>'


def _legend(arms: Sequence[str], y: float) -> str:
    out, x = [], float(_LABELS)
    for arm in arms:
        name = NAMES.get(arm) or STEPPED.get(arm, arm)
        out.append(_mark(arm, x, y))
        out.append(_text(x + 10, y + 4, name))
        x += 30 + 7.5 * len(name)
    return "".join(out)


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">'
        f"{escape(text)}</text>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1.0) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"'
        f' stroke-width="{width}"/>'
    )


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}"'
        f' font-family="system-ui, sans-serif">{"".join(parts)}</svg>'
    )


def _scale(values: Sequence[float], percent: bool) -> tuple[float, float]:
    low, high = min([0.0, *values]), max([0.0, *values])
    if percent and high > 60:
        high = max(high, 100.0)
    return low, high if high > low else low + 1.0


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    step = 10 ** math.floor(math.log10(rough))
    step *= next(m for m in (1, 2, 5, 10) if m * step >= rough)
    first = math.ceil(low / step)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _is_percent(unit: str) -> bool:
    return "%" in unit or "0-100" in unit


def _bars(chart: Chart) -> str:
    labels = list(dict.fromkeys(str(p[0]) for own in chart.series.values() for p in own))
    arms = list(chart.series)
    every = [v for own in chart.series.values() for p in own for v in p[1:] if v is not None]
    low, high = _scale(every, _is_percent(chart.unit))
    left, right = float(_LABELS), _WIDTH - 60.0

    def at(value: float) -> float:
        return left + (value - low) / (high - low) * (right - left)

    top, parts = 30.0, [_legend(arms, 12)]
    height = top + len(labels) * (_ROW * len(arms) + 8) + 34
    for tick in _ticks(low, high):
        parts.append(_line(at(tick), top - 6, at(tick), height - 32, "#ddd"))
        parts.append(_text(at(tick), height - 18, f"{tick:g}", "middle", 11))
    parts.append(_text((left + right) / 2, height - 3, chart.unit, "middle", 11))
    y = top
    for label in labels:
        parts.append(_text(left - 10, y + _ROW * len(arms) / 2 + 2, label, "end"))
        for arm in arms:
            for point in chart.series[arm]:
                if str(point[0]) == label:
                    parts += _whisker(arm, point, at, y + _ROW / 2)
                    parts.append(_text(right + 8, y + _ROW / 2 + 4, f"{point[1]:.3g}", size=11))
            y += _ROW
        y += 8
    return _svg(height, chart.title, parts)


def _whisker(arm: str, point: Point, at: object, y: float) -> list[str]:
    assert callable(at)
    _, value, low, high = point
    parts = []
    if low is not None and high is not None:
        parts.append(_line(at(low), y, at(high), y, _colour(arm), 2))
    return [*parts, _mark(arm, at(value), y)]


def _frame(
    chart: Chart, xs: Sequence[float], ys: Sequence[float], height: float
) -> tuple[list[str], object, object]:
    left, right, top, bottom = 60.0, _WIDTH - 30.0, 30.0, height - 46
    x_low, x_high = min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1
    y_low, y_high = _scale(ys, _is_percent(chart.unit))

    def x_at(value: float) -> float:
        return left + (value - x_low) / (x_high - x_low) * (right - left)

    def y_at(value: float) -> float:
        return bottom - (value - y_low) / (y_high - y_low) * (bottom - top)

    parts = [_legend(list(chart.series), 12)]
    for tick in _ticks(y_low, y_high):
        parts.append(_line(left, y_at(tick), right, y_at(tick), "#ddd"))
        parts.append(_text(left - 6, y_at(tick) + 4, f"{tick:g}", "end", 11))
    ticks = sorted(set(xs)) if len(set(xs)) <= 8 else _ticks(x_low, x_high)
    for tick in ticks:
        parts.append(_text(x_at(tick), bottom + 16, f"{tick:g}", "middle", 11))
    parts.append(_text((left + right) / 2, height - 12, chart.x_label, "middle", 11))
    parts.append(_text(left, top - 8, chart.unit, "start", 11))
    return parts, x_at, y_at


def _lines(chart: Chart) -> str:
    height = 280.0
    xs = [float(p[0]) for own in chart.series.values() for p in own]
    ys = [v for own in chart.series.values() for p in own for v in p[1:] if v is not None]
    parts, x_at, y_at = _frame(chart, xs, ys, height)
    assert callable(x_at)
    assert callable(y_at)
    for arm, own in chart.series.items():
        points = " ".join(f"{x_at(float(x)):.1f},{y_at(value):.1f}" for x, value, _, _ in own)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{_colour(arm)}" stroke-width="1.5"/>'
        )
        for x, value, low, high in own:
            place = x_at(float(x))
            if low is not None and high is not None:
                parts.append(_line(place, y_at(low), place, y_at(high), _colour(arm), 2))
            parts.append(_mark(arm, place, y_at(value)))
    return _svg(height, chart.title, parts)


def _shares(chart: Chart) -> str:
    height = 280.0
    xs = [float(p[0]) for own in chart.series.values() for p in own]
    low, high = min([0.0, *xs]), max(xs)
    parts, x_at, y_at = _frame(chart, [low, high], [0.0, 1.0], height)
    assert callable(x_at)
    assert callable(y_at)
    for arm, own in chart.series.items():
        values = sorted(float(p[0]) for p in own)
        corners = [(low, 0.0)]
        for place, value in enumerate(values, 1):
            corners += [(value, (place - 1) / len(values)), (value, place / len(values))]
        corners.append((high, 1.0))
        points = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in corners)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{_colour(arm)}" stroke-width="2"/>'
        )
    return _svg(height, chart.title, parts)
