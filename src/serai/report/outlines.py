# SPDX-License-Identifier: Apache-2.0
"""Outlines of countries under the map, where the bundled ones cover it: land, sea and the country at home."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Point = tuple[float, float]


@dataclass(frozen=True)
class Outlines:
    """Countries as rings of (longitude, latitude) in degrees; the one that holds most of the network is `home`."""

    rings: dict[str, list[list[Point]]]
    labels: tuple[tuple[str, float, float], ...]
    home: str


def outlines(west: float, south: float, east: float, north: float, points: Sequence[Point]) -> Outlines | None:
    """Return the outlines of a map with these edges [deg]; None where the bundled ones do not cover it.

    points  of the network, longitude and latitude [deg]
    """
    data = json.loads((files("serai.report") / "outlines.json").read_text(encoding="utf-8"))
    bounds = data["bounds"]
    if not (bounds[0] <= west and bounds[1] <= south and bounds[2] >= east and bounds[3] >= north):
        return None
    rings = {place["name"]: place["rings"] for place in data["places"]}
    counts = {name: sum(any(_inside(p, r) for r in those) for p in points) for name, those in rings.items()}
    home = max(counts, key=lambda name: counts[name])
    return Outlines(rings, tuple(tuple(label) for label in data["labels"]), home if counts[home] else "")


def _inside(point: Point, ring: Sequence[Point]) -> bool:
    """Tell whether a point lies in a ring: an odd number of edges crosses the ray to the east."""
    x, y = point
    corners = np.asarray(ring, float)
    (x1, y1), (x2, y2) = corners.T, np.roll(corners, -1, axis=0).T
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = x1 + (y - y1) / (y2 - y1) * (x2 - x1)
    return bool((((y1 > y) != (y2 > y)) & (crossing > x)).sum() % 2)
