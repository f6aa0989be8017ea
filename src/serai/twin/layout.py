# SPDX-License-Identifier: Apache-2.0
"""The layout of everything live: which value stands where in the arrays of a snapshot, its unit, its limits.

One place serves estimate, standard deviation, measured value, quality and source. Values are SI up to here; they leave
in display units, rounded to what a person can use.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.network.quantities import MEASURABLE
from serai.simulate.limits import CHECKED
from serai.units import unit_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from serai.network import Network
    from serai.network.instruments import Instrument

    Floats = NDArray[np.float64]

Key = tuple[str, str]  # quantity, element
SHOWN: Mapping[str, tuple[str, int]] = {  # dimension -> unit and decimals of what a person sees
    "pressure": ("bara", 2), "pressure difference": ("bar", 3), "mass flow": ("million_m3_per_day", 4),
    "power": ("mw", 2), "reactive power": ("mvar", 2), "angle": ("deg", 3), "per unit": ("pu", 4),
    "temperature": ("degc", 1), "ratio": ("percent", 1), "": ("", 4),
}  # fmt: skip
WORDS: Mapping[str, str] = {  # how units are written; the same in every language of the room
    "bara": "bar", "bar": "bar", "million_m3_per_day": "million m³/d", "million_m3": "million m³", "mw": "MW",
    "mvar": "Mvar", "deg": "°", "pu": "pu", "degc": "°C", "percent": "%", "": "", "million_m3_per_h": "million m³/h",
}  # fmt: skip
_QUANTITY = {"supplied": "supply", "delivered": "withdrawal"}  # of results, as instruments call them


@dataclass(frozen=True)
class Value:
    """One live value: what it is, its unit, the tag that measures it, its limits [SI, nan = none]."""

    quantity: str
    where: str
    unit: str
    decimals: int
    tag: str
    low: float
    high: float


class Layout:
    """The order of all live values.

    values    (n_value,)
    place     (quantity, element) -> where it stands
    tag_at    instrument of each value (n_value,), -1 = none: number in the list of instruments it was made of
    factor, offset   SI = factor x shown + offset, (n_value,)
    """

    def __init__(self, network: Network, keys: Iterable[Key], instruments: Sequence[Instrument]) -> None:
        """Lay out the values `keys` that something estimates and those that instruments read."""
        tagged: dict[Key, int] = {}
        for k, i in enumerate(instruments):
            tagged.setdefault((i.quantity, i.where), k)
        limits = limits_of(network)
        density = network.gas.standard_density
        self.values: list[Value] = []
        self.place: dict[Key, int] = {}
        factors = []
        for key in dict.fromkeys([*keys, *tagged]):
            unit, decimals = shown_in(key[0])
            low, high = limits.get(key, (nan, nan))
            tag = instruments[tagged[key]].tag if key in tagged else ""
            self.place[key] = len(self.values)
            self.values.append(Value(*key, unit, decimals, tag, low, high))
            u = unit_of(unit)
            factors.append((u.factor * density if u.standard_volume else u.factor, u.offset))
        self.tag_at = np.array([tagged.get(key, -1) for key in self.place], np.intp)
        self.factor, self.offset = np.array(factors).reshape(-1, 2).T
        self._round = np.array([v.decimals for v in self.values])
        self.low, self.high = (np.array([getattr(v, side) for v in self.values]) for side in ("low", "high"))

    def __len__(self) -> int:
        return len(self.values)

    def at(self, keys: Iterable[Key]) -> NDArray[np.intp]:
        """Return the places of keys (n,)."""
        return np.array([self.place[k] for k in keys], np.intp)

    def shown(self, values: Floats) -> list[float | None]:
        """Return SI values (n_value,) in display units, rounded; None = not known."""
        return self._listed((values - self.offset) / self.factor)

    def shown_sigma(self, sigma: Floats) -> list[float | None]:
        """Return standard deviations (n_value,) in display units; None = not known."""
        return self._listed(sigma / self.factor)

    def _listed(self, values: Floats) -> list[float | None]:
        scale = 10.0**self._round
        with np.errstate(invalid="ignore"):
            rounded = np.rint(values * scale) / scale
        return [v if v == v and abs(v) != np.inf else None for v in rounded.tolist()]  # noqa: PLR0124 - nan

    def show(self, k: int, value: float) -> float | None:
        """Return one SI value in its display unit; None = not known."""
        shown = (value - self.offset[k]) / self.factor[k]
        return round(float(shown), self.values[k].decimals) if np.isfinite(shown) else None

    def plain(self) -> list[dict[str, Any]]:
        """Return what stands in each place, as plain objects."""
        return [
            {
                "quantity": v.quantity, "where": v.where, "unit": v.unit, "decimals": v.decimals, "tag": v.tag or None,
                "low": self.show(k, v.low), "high": self.show(k, v.high),
                "sigma": None,  # changes with the meters that read: in every snapshot
            }
            for k, v in enumerate(self.values)
        ]  # fmt: skip


def shown_in(quantity: str) -> tuple[str, int]:
    """Return unit and decimals in which a quantity is shown."""
    if quantity == "loading":
        return SHOWN["ratio"]
    found = MEASURABLE.get(quantity)
    return SHOWN[found.dimension if found else ""]


def limits_of(network: Network) -> dict[Key, tuple[float, float]]:
    """Return the limits [SI, nan = none] of every value that has one, by (quantity, element)."""
    out: dict[Key, tuple[float, float]] = {}
    for kind, _, variable, low, high in CHECKED:
        t = network.active(kind)
        if not len(t):
            continue
        least = t[low] if low else np.full(len(t), nan)
        most = network.limit(kind, high, t) if high else np.full(len(t), nan)
        quantity = _QUANTITY.get(variable, variable)
        for name, a, b in zip(t.names, np.asarray(least).tolist(), np.asarray(most).tolist(), strict=True):
            if a == a or b == b:  # noqa: PLR0124 - not nan
                out[quantity, name] = (a, b)
    for kind in ("compressors", "control_valves"):
        t = network.active(kind)
        for k, name in enumerate(t.names):
            out["inlet_pressure", name] = (float(t["pressure_in_min"][k]), nan)
            out["outlet_pressure", name] = (nan, float(t["pressure_out_max"][k]))
    for kind in ("lines", "transformers", "branches"):
        out.update({("loading", name): (nan, 1.0) for name in network.active(kind).names})
    return out
