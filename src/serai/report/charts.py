# SPDX-License-Identifier: Apache-2.0
"""Line charts: labels on the line, at most four grid lines, one axis, hatch on the forbidden side of a limit."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from typing import TYPE_CHECKING

import numpy as np

from serai.report.svg import SMALL, figure, path, shortened, tag, text_width, words
from serai.report.words import clock, number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

WIDTH, HEIGHT = 400.0, 196.0  # px, drawn size: text stays readable on a telephone and in print
TOP, BOTTOM = 12.0, 24.0
LEFT = 46.0
LABEL = 13.0  # px between labels of neighbouring lines
MARGIN = 150.0  # px at most for the labels behind the lines
STYLES = ("s1", "s2", "s3", "s4", "s5", "s6")


@dataclass(frozen=True)
class Line:
    """One line: its label and its values (n,)."""

    label: str
    values: Floats
    style: str = ""


@dataclass(frozen=True)
class Limit:
    """A limit: its value, and on which side it is forbidden to be (`above` or `below`)."""

    value: float
    side: str
    label: str


@dataclass(frozen=True)
class Chart:
    """One figure: a title, a unit, a course over x."""

    title: str
    unit: str
    x: Floats
    lines: tuple[Line, ...]
    limits: tuple[Limit, ...] = ()
    note: str = ""
    zero: bool = False
    height: float = HEIGHT
    width: float = WIDTH
    x_unit: str = ""  # empty = hours of the day


@dataclass(frozen=True)
class Frame:
    """Where values come to lie [px]."""

    left: float
    right: float
    top: float
    bottom: float
    low: float
    high: float
    first: float
    last: float

    def x(self, value: float) -> float:
        """Horizontal position."""
        return self.left + (value - self.first) / (self.last - self.first) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Vertical position."""
        return self.bottom - (value - self.low) / (self.high - self.low) * (self.bottom - self.top)


def ticks(low: float, high: float, most: int = 4) -> list[float]:
    """Return round values between two bounds, at most `most` of them.

    >>> ticks(0.0, 100.0)
    [0.0, 50.0, 100.0]
    >>> ticks(71.2, 73.9)
    [72.0, 73.0]
    """
    span = high - low
    if not (span > 0.0 and isfinite(span)):
        return [low]
    step = 10.0 ** floor(log10(span / most))
    for factor in (1.0, 2.0, 2.5, 5.0, 10.0, 20.0, 25.0, 50.0):
        first, last = ceil(low / (step * factor) - 1e-9), floor(high / (step * factor) + 1e-9)
        if last - first + 1 <= most:
            return [round(k * step * factor, 12) for k in range(first, last + 1)]
    return [low]


def tick_texts(values: list[float]) -> list[str]:
    """Return the values with as many decimals as tell them apart."""
    for decimals in range(7):
        texts = [number(v, decimals) for v in values]
        if all(abs(round(v, decimals) - v) < 1e-9 * max(1.0, abs(v)) for v in values):
            return texts
    return [number(v, 6) for v in values]


def line_chart(chart: Chart) -> str:
    """Return the figure with its heading."""
    frame = _frame(chart)
    parts = [_limits(chart, frame), _grid(chart, frame)]
    parts += [
        path([(frame.x(a), frame.y(b)) for a, b in zip(chart.x, line.values, strict=True)], f"series {_style(line, k)}")
        for k, line in enumerate(chart.lines)
    ]
    parts.append(_names(chart, frame))
    said = "; ".join(
        f"{line.label or chart.title} from {number(np.nanmin(line.values))} "
        f"to {number(np.nanmax(line.values))} {chart.unit}"
        for line in chart.lines
        if np.isfinite(line.values).any()
    )
    svg = figure(chart.width, chart.height, "".join(parts), f"{chart.title}: {said}")
    return heading(chart.title, chart.unit, chart.note) + svg


def heading(title: str, unit: str = "", note: str = "") -> str:
    """Return the caption above a figure: title, unit, remark."""
    quiet = " · ".join(t for t in (unit, note) if t)
    return tag("figcaption", tag("b", words_html(title)) + (tag("span", words_html(quiet), cls="q") if quiet else ""))


def words_html(text: str) -> str:
    """Return escaped text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _style(line: Line, k: int) -> str:
    return line.style or STYLES[k % len(STYLES)]


def _frame(chart: Chart) -> Frame:
    values = np.concatenate([line.values for line in chart.lines])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    for limit in chart.limits:
        low, high = min(low, limit.value), max(high, limit.value)
    if chart.zero:
        low, high = min(low, 0.0), max(high, 0.0)
    size = max(abs(high), abs(low))
    if high - low < 1e-5 * size or size == 0.0:  # a constant: round-off is no course
        low, high = low - 0.02 * size - 1e-9, high + 0.02 * size + 1e-9
    span = high - low
    low = low - 0.08 * span if not (chart.zero and low == 0.0) else low
    high += 0.10 * span
    widest = max((text_width(line.label, SMALL) for line in chart.lines), default=0.0)
    right = chart.width - (min(widest + 16.0, MARGIN) if any(line.label for line in chart.lines) else 18.0)
    return Frame(LEFT, right, TOP, chart.height - BOTTOM, low, high, float(chart.x[0]), float(chart.x[-1]))


def _grid(chart: Chart, f: Frame) -> str:
    out = ""
    marks = ticks(f.low, f.high)
    for value, text in zip(marks, tick_texts(marks), strict=True):
        y = f.y(value)
        out += tag("path", d=f"M{f.left:.1f} {y:.1f}H{f.right:.1f}", cls="rule")
        out += words(text, f.left - 6, y + 4, "t", anchor="end")
    out += tag("path", d=f"M{f.left:.1f} {f.bottom:.1f}H{f.right:.1f}", cls="ax")
    return out + (_hours(f) if not chart.x_unit else _distance(f, chart.x_unit))


def _hours(f: Frame) -> str:
    span = f.last - f.first
    step = next(s for s in (0.25, 0.5, 1.0, 2.0, 3.0, 6.0, 12.0, 24.0, 48.0) if span / s <= 4.0 or s == 48.0)
    out, k = "", ceil(f.first / step - 1e-9)
    while k * step <= f.last + 1e-9:
        x = f.x(k * step)
        out += tag("path", d=f"M{x:.1f} {f.bottom:.1f}v4", cls="ax")
        out += words(clock(k * step), x, f.bottom + 16, "t", anchor="middle")
        k += 1
    return out


def _distance(f: Frame, unit: str) -> str:
    out = ""
    marks = ticks(f.first, f.last, 5)
    for k, (value, text) in enumerate(zip(marks, tick_texts(marks), strict=True)):
        x = f.x(value)
        last = f" {unit}" if k == len(marks) - 1 else ""
        out += tag("path", d=f"M{x:.1f} {f.bottom:.1f}v4", cls="ax") + words(
            text + last, x, f.bottom + 16, "t", anchor="middle"
        )
    return out


def _limits(chart: Chart, f: Frame) -> str:
    out = ""
    for limit in chart.limits:
        y = f.y(limit.value)
        far = f.top if limit.side == "above" else f.bottom
        top, height = min(y, far), abs(far - y)
        out += tag("rect", x=f.left, y=top, width=f.right - f.left, height=max(height, 0.0), fill="url(#hatch)")
        out += tag("path", d=f"M{f.left:.1f} {y:.1f}H{f.right:.1f}", cls="lim")
        under = limit.side == "above"
        out += words(limit.label, f.left + 4, y + 12 if under else y - 4, "halop")
    return out


def _names(chart: Chart, f: Frame) -> str:
    """Write each label at the end of its line, moved apart where lines end close together."""
    ends = [
        (f.y(float(line.values[np.isfinite(line.values)][-1])), line, k)
        for k, line in enumerate(chart.lines)
        if line.label and np.isfinite(line.values).any()
    ]
    ends.sort(key=lambda e: e[0])
    ys = spread([e[0] for e in ends], LABEL, f.top + 4, f.bottom - 2)
    out = ""
    for (y0, line, k), y in zip(ends, ys, strict=True):
        if abs(y - y0) > 3.0:
            out += tag("path", d=f"M{f.right:.1f} {y0:.1f}L{f.right + 5:.1f} {y:.1f}", cls="lead")
        room = chart.width - f.right - 8
        out += words(shortened(line.label, room), f.right + 7, y + 4, f"name {_style(line, k)}t")
    return out


def spread(wanted: list[float], gap: float, low: float, high: float) -> list[float]:
    """Return positions in the same order, at least `gap` apart, as near to the wanted ones as a single pass finds.

    >>> spread([10.0, 11.0, 50.0], 13.0, 0.0, 100.0)
    [10.0, 23.0, 50.0]
    """
    out: list[float] = []
    for y in wanted:
        out.append(max(y, out[-1] + gap if out else low))
    top = high
    for k in range(len(out) - 1, -1, -1):
        out[k] = min(out[k], top)
        top = out[k] - gap
    return out
