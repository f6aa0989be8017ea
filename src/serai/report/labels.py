# SPDX-License-Identifier: Apache-2.0
"""Labels that do not cover each other: each takes the best free place around its point, the important ones first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from serai.report.svg import SMALL, Box, tag, text_width, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LINE = 13.0  # px from one line of a label to the next
# where a label may stand: direction from its point, and how much worse than the best
_AROUND = (
    (1, 0, 0.0), (-1, 0, 4.0), (0, -1, 6.0), (0, 1, 8.0), (1, -1, 3.0), (-1, -1, 6.0), (1, 1, 4.0), (-1, 1, 7.0),
)  # fmt: skip
_REACH = (0.0, 10.0, 24.0, 44.0, 70.0)  # px beyond the symbol; from the third on a thin line leads to the label


@dataclass(frozen=True)
class Wish:
    """A label that wants a place: its point, the radius of the symbol there, its lines, its importance."""

    x: float
    y: float
    radius: float
    lines: tuple[str, ...]
    rank: float
    far: bool = False  # may stand away from its point, with a thin line
    cls: str = "name"

    @property
    def size(self) -> tuple[float, float]:
        """Width and height [px]; the first line is bold where there are more."""
        bold = len(self.lines) > 1
        widths = [text_width(t, SMALL, bold=bold and k == 0) for k, t in enumerate(self.lines)]
        return max(widths) + 2.0, LINE * len(self.lines)


@dataclass(frozen=True)
class Label:
    """A label in its place."""

    wish: Wish
    box: Box
    leads: bool

    def draw(self) -> str:
        """Return its SVG."""
        w, b = self.wish, self.box
        anchor, x = "middle", (b.left + b.right) / 2.0
        if b.left >= w.x:
            anchor, x = "start", b.left + 1.0
        elif b.right <= w.x:
            anchor, x = "end", b.right - 1.0
        out = ""
        if self.leads:
            to_x, to_y = min(max(w.x, b.left), b.right), min(max(w.y, b.top), b.bottom)
            out += tag("path", d=f"M{w.x:.1f} {w.y:.1f}L{to_x:.1f} {to_y:.1f}", cls="lead")
        for k, line in enumerate(w.lines):
            cls = f"halo {w.cls}" + (" k" if k == 0 and len(w.lines) > 1 else "")
            out += words(line, x, b.top + LINE * (k + 1) - 3.0, cls, anchor=anchor)
        return out


def arrange(wishes: Sequence[Wish], obstacles: Sequence[Box], strokes: NDArray[np.float64], frame: Box) -> list[Label]:
    """Place as many labels as fit.

    wishes     what wants a label; higher rank first
    obstacles  symbols that no label may cover
    strokes    drawn lines (n, 4) x1 y1 x2 y2 [px]: covered only where nothing better is free
    frame      inside which labels must stay
    """
    placed: list[Label] = []
    taken = list(obstacles)
    for wish in sorted(wishes, key=lambda w: -w.rank):
        best = _best(wish, taken, strokes, frame)
        if best is not None:
            placed.append(best)
            taken.append(best.box)
    return placed


def _best(wish: Wish, taken: Sequence[Box], strokes: NDArray[np.float64], frame: Box) -> Label | None:
    found: tuple[float, Label] | None = None
    for reach in _REACH if wish.far else _REACH[:2]:
        for dx, dy, worse in _AROUND:
            box = _beside(wish, (dx, dy), reach)
            if not box.inside(frame) or any(box.overlap(t) > 0.0 for t in taken):
                continue
            cost = worse + 0.9 * reach + 1.1 * _covered(box, strokes)
            if found is None or cost < found[0]:
                found = (cost, Label(wish, box, leads=reach > _REACH[1]))
    return found[1] if found else None


def _beside(wish: Wish, way: tuple[int, int], reach: float) -> Box:
    (dx, dy), (width, height) = way, wish.size
    gap = wish.radius + 3.0 + reach
    slope = 0.72 if dx and dy else 1.0
    x, y = wish.x + dx * gap * slope, wish.y + dy * gap * slope
    left = x if dx > 0 else x - width if dx < 0 else x - width / 2.0
    top = y - height / 2.0
    if dy:
        top = y if dy > 0 else y - height
        if dx:
            top += -dy * height * 0.3
    return Box(left, top, left + width, top + height)


def _covered(box: Box, strokes: NDArray[np.float64]) -> float:
    """Return the length of strokes under a box [px] (Liang-Barsky clipping)."""
    if not len(strokes):
        return 0.0
    x1, y1, x2, y2 = strokes.T
    dx, dy = x2 - x1, y2 - y1
    enter, leave = np.zeros(len(strokes)), np.ones(len(strokes))
    for p, q in ((-dx, x1 - box.left), (dx, box.right - x1), (-dy, y1 - box.top), (dy, box.bottom - y1)):
        with np.errstate(divide="ignore", invalid="ignore"):
            t = q / p
        enter = np.where(p < 0, np.maximum(enter, t), enter)
        leave = np.where(p > 0, np.minimum(leave, t), leave)
        leave = np.where((p == 0) & (q < 0), -1.0, leave)
    return float((np.maximum(leave - enter, 0.0) * np.hypot(dx, dy)).sum())
