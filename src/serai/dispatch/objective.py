# SPDX-License-Identifier: Apache-2.0
"""What a dispatch minimises: gas burnt, losses of the grid, or money.

    f = sum over moments and columns of weight (c1 x) + convex curves of single columns

Curves are polynomials or convex broken lines of a unit's active power, as in MATPOWER's cost tables (User's Manual 8.0,
Table B-4: model 1 = broken line, model 2 = polynomial).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from serai.errors import SeraiError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from serai.network import Network
    from serai.system import System

    Floats = NDArray[np.float64]

MEGA = 1e6
GOALS = ("fuel", "losses", "cost")
# worth of a kg/s delivered, in the unit of each goal: above anything that its transport could cost, so that a delivery
# is cut only where the limits or the laws ask for it
SERVED = {"fuel": 20.0, "losses": 1e9, "cost": 1e5, "nothing": 1.0}


@dataclass(frozen=True)
class Curve:
    """A convex cost of one column: a polynomial (highest power first) or points (x, cost), in the column's SI unit."""

    column: int
    element: str
    polynomial: tuple[float, ...] = ()
    points: tuple[tuple[float, float], ...] = ()

    def value(self, x: Floats) -> Floats:
        """Return the cost at values x."""
        if self.points:
            p = np.array(self.points)
            k = np.clip(np.searchsorted(p[:, 0], x) - 1, 0, len(p) - 2)
            slope = np.diff(p[:, 1]) / np.diff(p[:, 0])
            return np.asarray(p[k, 1] + slope[k] * (x - p[k, 0]))
        return np.asarray(np.polyval(np.array(self.polynomial), x))

    @property
    def linear(self) -> bool:
        """Whether the curve is a straight line."""
        return len(self.points) == 2 if self.points else not any(self.polynomial[:-2])  # two points, two coefficients


@dataclass(frozen=True)
class Objective:
    """What is summed: `linear` (n_column,) per SI unit, and curves; `weight` of each moment.

    goal    "fuel", "losses" or "cost", or the caller's own word
    unit    of the sum
    """

    goal: str
    unit: str
    linear: Floats
    curves: tuple[Curve, ...] = ()
    weight: float = 1.0

    def value(self, X: Floats) -> float:
        """Return the sum over the states X (T, n_column)."""
        total = float((X @ self.linear).sum())
        total += sum(float(c.value(X[:, c.column]).sum()) for c in self.curves)
        return self.weight * total


def fuel(system: System, *, weight: float = 1.0, unit: str = "kg/s") -> Objective:
    """Return the gas that drives and plants burn [kg/s]; motors count with their plants' fuel."""
    c = system.equations.columns
    linear = np.zeros(c.size)
    for quantity in ("fuel", "plant_fuel"):
        if quantity in c:
            linear[c[quantity].span] = 1.0
    if "drive_power" in c and "plant_fuel" not in c:
        linear[c["drive_power"].span] = _gas_of_power(system)
    if not linear.any() and "power" in c:  # no drives are given: shaft power over the heating value of methane
        linear[c["power"].span] = _gas_of_power(system)
    if not linear.any():
        msg = f"{system.network.name}: nothing burns gas in it, so its fuel cannot be minimised. Ask for losses or cost"
        raise SeraiError(msg)
    return Objective("fuel", unit, linear, weight=weight)


def _gas_of_power(system: System) -> float:
    """Return kg/s of gas for a watt at a turbine of 0.32; without a heating value, that of methane (50 MJ/kg)."""
    gas = system.network.gas
    heat = gas.net_heating_value / gas.standard_density
    return 1.0 / (0.32 * (50e6 if np.isnan(heat) else heat))


def losses(system: System, *, weight: float = 1.0) -> Objective:
    """Return the active power that all generators make [W]: with given loads, it falls with the losses."""
    c = system.equations.columns
    if "active_power" not in c:
        msg = f"{system.network.name} has no power grid, so it has no losses to minimise"
        raise SeraiError(msg)
    linear = np.zeros(c.size)
    linear[c["active_power"].span] = 1.0
    return Objective("losses", "W", linear, weight=weight)


def cost(
    system: System, given: Mapping[str, float | Sequence[float]] | None = None, *, weight: float = 1.0
) -> Objective:
    """Return the cost of generation and of supplies, an hour.

    given  generator -> a price per MWh, or polynomial coefficients in MW, highest power first, per hour;
           supply -> a price per 1,000 standard m3. Not given = the cost table that a MATPOWER case brings along.

    Raises SeraiError for generators that run without a cost, each by name, and for costs that are not convex.
    """
    net, c = system.network, system.equations.columns
    linear, curves, missing = np.zeros(c.size), [], []
    own = dict(given or {})
    if "active_power" in c:
        t = net["generators"]
        tables = t["x_cost"] if "x_cost" in t.columns else None
        for name, column in c["active_power"].index.items():
            if name in own:
                curves.append(_polynomial(column, name, own.pop(name)))
            elif tables is not None and str(tables[t.row(name)]):
                curves.append(_matpower(column, name, str(tables[t.row(name)])))
            else:
                missing.append(name)
    for name in [n for n in own if n in net["supplies"]]:
        node = system.gas.node.get(str(net["supplies"]["node"][net["supplies"].row(name)]))
        price = own.pop(name)
        if node is not None and isinstance(price, int | float):
            linear[c["withdrawal"].first + node] = -float(price) / net.gas.standard_density / 1000.0 * 3600.0
    _refuse(net, own, missing)
    _convex(curves)
    return Objective("cost", "per hour", linear, tuple(curves), weight)


def served(goal: Objective | None, columns: Iterable[int], size: int, weight: float) -> Objective | None:
    """Return the goal with the worth of what is delivered at withdrawal columns that may be cut (`SERVED`)."""
    cut = list(columns)
    if not cut:
        return goal
    base = goal or Objective("nothing", "", np.zeros(size), weight=weight)
    linear = base.linear.copy()
    linear[cut] -= SERVED[base.goal]
    return replace(base, linear=linear)


def _refuse(net: Network, unknown: Iterable[str], missing: Sequence[str]) -> None:
    for name in unknown:
        msg = f"a cost is given for {name}, which is {net.kind_of(name)} and not a running generator or supply"
        raise SeraiError(msg)
    if missing:
        shown = ", ".join(missing[:6]) + (f" and {len(missing) - 6} more" if len(missing) > 6 else "")
        msg = (
            f"{net.name}: no cost is known for {shown}. Give costs={{'{missing[0]}': price per MWh}}, or minimise fuel "
            f"or losses"
        )
        raise SeraiError(msg)


def _polynomial(column: int, name: str, given: float | Sequence[float]) -> Curve:
    coefficients = [float(given), 0.0] if isinstance(given, int | float) else [float(g) for g in given]
    n = len(coefficients)
    return Curve(column, name, tuple(a / MEGA ** (n - 1 - k) for k, a in enumerate(coefficients)))


def _matpower(column: int, name: str, row: str) -> Curve:
    """Read a row of a MATPOWER cost table: model, startup, shutdown, n, then points or coefficients."""
    values = [float(v) for v in row.split()]
    model, n, rest = int(values[0]), int(values[3]), values[4:]
    if model == 2:
        return _polynomial(column, name, rest[:n])
    points = tuple((rest[2 * k] * MEGA, rest[2 * k + 1]) for k in range(n))
    return Curve(column, name, points=points)


def _convex(curves: Sequence[Curve]) -> None:
    for c in curves:
        slopes = (
            np.diff([p[1] for p in c.points]) / np.diff([p[0] for p in c.points])
            if c.points
            else np.array([0.0, c.polynomial[0] if len(c.polynomial) == 3 else 0.0])
        )
        if np.any(np.diff(slopes) < -1e-12 * np.abs(slopes[:-1])):
            msg = f"the cost of {c.element} is not convex: a dispatch by linear programs cannot tell its cheapest point"
            raise SeraiError(msg)
