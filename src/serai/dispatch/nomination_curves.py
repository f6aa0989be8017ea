# SPDX-License-Identifier: Apache-2.0
"""Straight lines around a curve: what a linear program may believe of a law without ever excluding its truth.

A curve is sampled, and every line is moved outwards by what a smooth curve can do between two samples: an eighth of its
largest second difference there; `PAD` times that is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SAMPLES = 33  # of a curve over one interval
PAD = 0.5  # of the largest second difference; 1/8 bounds a smooth curve
FLOOR = 1e-5  # what every line is moved at least: lines nearer than a solver's tolerance contradict each other
STRAIGHT = 1e-3  # a curve this near to its chord gets no tangents
TANGENTS = 5  # lines on each side of a curve over a whole interval


class Line(NamedTuple):
    """slope x + offset."""

    slope: float
    offset: float


class Band(NamedTuple):
    """A curve lies between slope x + below and slope x + above."""

    slope: float
    below: float
    above: float


def sampled(curve: Callable[[Floats], Floats], low: float, high: float, count: int = SAMPLES) -> tuple[Floats, Floats]:
    """Return places (n,) and values (n,) of a curve between two ends."""
    x = np.linspace(low, high, count)
    return x, np.asarray(curve(x), float)


def padding(y: Floats) -> float:
    """Return by how much a curve may leave the straight lines between its samples y (n,)."""
    if len(y) < 3:
        return FLOOR
    return PAD * float(np.max(np.abs(np.diff(y, 2)))) + FLOOR


def band(x: Floats, y: Floats) -> Band:
    """Return the narrowest band along the chord that holds the sampled curve."""
    width = float(x[-1] - x[0])
    slope = float(y[-1] - y[0]) / width if width > 0.0 else 0.0
    off, pad = y - slope * x, padding(y)
    return Band(slope, float(off.min()) - pad, float(off.max()) + pad)


def outside(x: Floats, y: Floats, count: int = TANGENTS) -> tuple[list[Line], list[Line]]:
    """Return lines below and above the sampled curve: its chord and tangents, each moved until it holds everywhere."""
    width = float(x[-1] - x[0])
    if width <= 0.0:
        return [Line(0.0, float(y.min()))], [Line(0.0, float(y.max()))]
    slopes = np.gradient(y, x)[np.linspace(0, len(x) - 1, count).astype(int)]
    chord = float(y[-1] - y[0]) / width
    pad = padding(y)
    below, above = [], []
    if float(np.ptp(y - chord * x)) < STRAIGHT:
        slopes = slopes[:0]
    for s in np.unique(np.round([chord, *slopes], 9)):
        off = y - s * x
        below.append(Line(float(s), float(off.min()) - pad))
        above.append(Line(float(s), float(off.max()) + pad))
    return _tight(below, x, 1.0), _tight(above, x, -1.0)


def _tight(lines: Sequence[Line], x: Floats, sign: float) -> list[Line]:
    """Keep the lines that are the nearest to the curve somewhere."""
    values = np.array([sign * (line.slope * x + line.offset) for line in lines])
    best = np.unique(values.argmax(axis=0))
    return [lines[k] for k in best]
