# SPDX-License-Identifier: Apache-2.0
"""What converters share: a network under construction that keeps book of what it could not carry.

A converter never drops an element or a parameter in silence. What changes the physics and has no place in the
tables is `lost`: the converter refuses unless told to go on. What has no place but does not change the physics
(costs, measurements, groups) is a `note`. Texts and numbers that only the source understands travel in `x_` columns.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib import import_module
from math import asin, cos, isnan, radians, sin, sqrt
from typing import TYPE_CHECKING, Any

from serai.errors import SeraiError, Untranslated
from serai.network.network import Network
from serai.network.tables import KINDS, table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


@dataclass(frozen=True)
class Conversion:
    """A converted network, what would change its physics (`lost`) and what would not (`notes`)."""

    network: Network
    lost: tuple[str, ...]
    notes: tuple[str, ...]

    def accept(self, source: str, *, allow_loss: bool) -> Network:
        """Return the network; Untranslated lists `lost` unless the caller allows the loss."""
        if self.lost and not allow_loss:
            raise Untranslated(source, self.lost)
        return self.network


@dataclass
class Draft:
    """Rows and set-points collected by a converter, and the book of what it could not carry."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    setpoints: list[dict[str, Any]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def unique(self, wanted: str) -> str:
        """Return `wanted`, with a number behind it where the name is already taken."""
        name, k = wanted, 1
        while name in self.names:
            k += 1
            name = f"{wanted} ({k})"
        self.names.add(name)
        return name

    def add(self, kind: str, wanted: str, /, **row: Any) -> str:
        """Add a row (SI values; not-a-number and None mean "not given") and return its unique name."""
        name = self.unique(wanted)
        given = {c: v for c, v in row.items() if not is_missing(v)}
        self.rows.setdefault(kind, []).append({"name": name, **given})
        return name

    def know(self, quantity: str, where: str, value: float, unit: str = "") -> None:
        """Add a set-point: `value` in SI, `unit` the suffix that files show it in."""
        self.setpoints.append({"quantity": quantity, "where": where, "value": float(value), "unit": unit})

    def finish(self, **about: Any) -> Conversion:
        """Build the tables; `about` are further fields of Network."""
        tables = {kind: table(kind, rows) for kind, rows in self.rows.items()}
        tables["setpoints"] = table("setpoints", self.setpoints)
        ordered = {kind: tables[kind] for kind in KINDS if kind in tables}
        return Conversion(Network(tables=ordered, **about), tuple(self.lost), tuple(self.notes))


def is_missing(value: Any) -> bool:
    """Tell whether a cell holds nothing: None, not-a-number, pandas' missing values."""
    if value is None:
        return True
    if isinstance(value, float):
        return isnan(value)
    return type(value).__name__ in {"NAType", "NaTType"}


def number(row: Mapping[str, Any], column: str, default: float = float("nan")) -> float:
    """Return a cell as float; `default` where the column or the value is missing."""
    value = row.get(column)
    return default if is_missing(value) else float(value)  # type: ignore[arg-type]


def text(row: Mapping[str, Any], column: str) -> str:
    """Return a cell as text; empty where it is missing."""
    value = row.get(column)
    return "" if is_missing(value) else str(value)


def flag(row: Mapping[str, Any], column: str, *, default: bool) -> bool:
    """Return a cell as truth value; `default` where it is missing."""
    value = row.get(column)
    return default if is_missing(value) else bool(value)


def records(source: Any, name: str) -> list[tuple[Any, dict[str, Any]]]:
    """Return (index, row) of every row of a table of a pandapower or pandapipes network; empty where it has none."""
    frame = source.get(name)
    if frame is None or not hasattr(frame, "columns") or not len(frame):
        return []
    return list(zip(frame.index.tolist(), frame.to_dict("records"), strict=True))


def name_of(kind: str, index: Any, row: Mapping[str, Any]) -> str:
    """Return a name that can be told apart: the table, the index there, and the element's own name."""
    return f"{kind} {index} {text(row, 'name')}".strip()


def carried(index: Any, row: Mapping[str, Any], used: Collection[str]) -> dict[str, Any]:
    """Return the x_ columns of a row: its index, its own name and every cell that `used` does not hold."""
    rest = {f"x_{c}": v for c, v in row.items() if c not in used and is_plain(v)}
    return {"x_index": index, "x_name": text(row, "name"), **rest}


def is_plain(value: Any) -> bool:
    """Tell whether a cell is a text, a number or a truth value that says something."""
    return isinstance(value, (str, int, float, bool)) and not is_missing(value) and value != ""


def is_default(values: Iterable[Any]) -> bool:
    """Tell whether a column says nothing: missing, zero, False or empty throughout."""
    return all(is_missing(v) or (isinstance(v, (bool, int, float, str)) and not v) for v in values)


def point(geo: Any) -> tuple[float, float] | None:
    """Return (x, y) of a GeoJSON point text, or None."""
    if not isinstance(geo, str) or not geo:
        return None
    try:
        x, y = json.loads(geo)["coordinates"][:2]
        return float(x), float(y)
    except (ValueError, KeyError, TypeError):
        return None


def distance_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance of two (longitude, latitude) in degrees: haversine formula, mean earth radius."""
    (xa, ya), (xb, yb) = ((radians(x), radians(y)) for x, y in (a, b))
    h = sin((yb - ya) / 2.0) ** 2 + cos(ya) * cos(yb) * sin((xb - xa) / 2.0) ** 2
    return max(2.0 * 6371.0 * asin(sqrt(min(h, 1.0))), 1e-9)


def places(
    points: Mapping[Any, tuple[float, float] | None], runs: Iterable[tuple[Any, Any, float]]
) -> dict[Any, dict[str, float]]:
    """Return longitude and latitude [rad], or schematic x and y, of every point that has a place.

    Sources do not say which of the two they hold. They are degrees where lines and pipes (`runs`: from, to, length
    in km) are about as long as the earth's surface between their ends.
    """
    found = {k: p for k, p in points.items() if p}
    degrees = bool(found) and all(abs(x) <= 180.0 and abs(y) <= 90.0 for x, y in found.values())
    ratios = sorted(
        length / distance_km(found[a], found[b])
        for a, b, length in runs
        if degrees and a in found and b in found and found[a] != found[b]
    )
    if ratios and 0.3 < ratios[len(ratios) // 2] < 5.0:
        return {k: {"longitude": radians(x), "latitude": radians(y)} for k, (x, y) in found.items()}
    return {k: {"x": x, "y": y} for k, (x, y) in found.items()}


def need(module: str) -> Any:
    """Import an optional peer; say how to install it where it is absent."""
    try:
        return import_module(module)
    except ImportError as error:
        raise SeraiError(f"{module} is not installed; install it with: pip install serai[convert]") from error
