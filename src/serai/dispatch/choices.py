# SPDX-License-Identifier: Apache-2.0
"""What may be chosen, and within which bounds: the Knowns that a dispatch takes back and gives anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from serai.errors import SeraiError, UnknownName
from serai.known import Known
from serai.network.sheet import near

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from serai.network import Network
    from serai.system import Fixed, System

    Floats = NDArray[np.float64]

GROUPS = {  # what a person may name: kind of element, quantities whose Known is taken back
    "stations": ("compressors", ("ratio", "outlet_pressure", "inlet_pressure", "flow", "power", "open")),
    "control valves": ("control_valves", ("outlet_pressure", "inlet_pressure", "flow", "pressure_drop", "open")),
    "generation": ("generators", ("active_power",)),
    "voltages": ("generators", ("magnitude",)),
    "supplies": ("supplies", ("supply",)),
    "pressures": ("supplies", ("pressure",)),
    "deliveries": ("offtakes", ("withdrawal",)),
    "taps": ("transformers", ()),  # no column of a state: `taps` steps them around a search
}
USUAL = ("stations", "control valves", "generation", "voltages")
BY_RATIO = {"compressors": "ratio", "control_valves": "drop"}  # what a steady search holds
BY_FLOW = {"compressors": "ratio", "control_valves": "flow"}  # over a day, where the pipes take up what a valve lets by
BY_KNOWN: dict[str, str] = {}  # for a network whose only pressure is that of a station
BYPASS = 1e-6  # a ratio this near to 1, or a drop this small beside the pressure scale, is said as `open` 1


@dataclass(frozen=True)
class Choice:
    """One set-point that may be chosen.

    known   as the job gave it (its value is where the search starts)
    column  that the search holds: the ratio of a station, the drop or flow of a control valve, whatever they are set
            by, because what they cannot do is a bound of these
    shown   column of the quantity in which the set-point is said; equal to `column` for all others
    low, high   SI, of a supply or offtake; +-inf = only the limits of the network bound it
    """

    known: Known
    column: int
    shown: int
    low: float = -np.inf
    high: float = np.inf

    @property
    def element(self) -> str:
        """The element whose set-point it is."""
        return self.known.where


def released(
    network: Network, knowns: Iterable[Known], groups: Iterable[str], *, keep: Iterable[str] = ()
) -> list[Known]:
    """Return the Knowns that a dispatch may choose: those of the groups (or elements) named, without `keep`.

    groups  words of GROUPS, or names of elements, which release every quantity of theirs that GROUPS has
    Raises UnknownName for a word that is neither. Closed stations and units that stand still stay as they are.
    """
    wanted, names = set(), set()
    for word in groups:
        if word in GROUPS:
            wanted.add(word)
        elif word in network:
            names.add(word)
        else:
            hint = near(word, GROUPS)
            msg = f"nothing called {word!r} can be chosen{hint}; choose {', '.join(GROUPS)}, or an element by its name"
            raise UnknownName(msg)
    kept, found = set(keep), []
    for k in knowns:
        kind = network.kind_of(k.where)
        mine = [g for g, (of, quantities) in GROUPS.items() if kind == of and k.quantity in quantities]
        chosen = any(g in wanted for g in mine) or (bool(mine) and k.where in names)
        if chosen and not _stands(network, k) and k.where not in kept:
            found.append(k)
    return found


def _stands(network: Network, k: Known) -> bool:
    """Tell whether a Known says that its element is closed, or stands still because it cannot make so little."""
    if k.quantity == "active_power" and k.value == 0.0:
        t = network["generators"]
        return bool(t["active_power_min"][t.row(k.where)] > 0.0)
    return k.quantity == "open" and k.value == 0.0


def choices(
    system: System,
    known: Iterable[Known],
    bounds: Mapping[tuple[str, str], tuple[float, float]] | None = None,
    *,
    hold: Mapping[str, str] = BY_RATIO,
) -> list[Choice]:
    """Return the choices for released Knowns; dead elements have none.

    bounds  ("supply" or "withdrawal", terminal) -> (low, high), SI, tighter than its own: a contract
    hold    kind -> quantity that the search holds in place of the Known's own (see Choice.column)
    Raises SeraiError where a bound leaves nothing.
    """
    found, own, terminal = [], dict(bounds or {}), _Terminals(system)
    for k in known:
        made = terminal.choice(k) if k.quantity in ("supply", "withdrawal") else _set_by(system, k, hold)
        if made is None:
            continue
        low, high = own.get((made.known.quantity, k.where), (-np.inf, np.inf))
        if k.quantity in ("supply", "withdrawal"):
            made = replace(made, low=max(made.low, low), high=min(made.high, high))
        if made.low > made.high:
            msg = f"{made.known.quantity} of {k.where}: nothing lies between {made.low:g} and {made.high:g}"
            raise SeraiError(msg)
        found.append(made)
    return found


def _set_by(system: System, k: Known, hold: Mapping[str, str]) -> Choice | None:
    """Return the choice of a station, valve or unit; a bypassed station may run, an open control valve may throttle."""
    kind, c = system.network.kind_of(k.where), system.equations.columns
    if k.quantity == "open":
        neutral = Known("ratio", k.where, 1.0) if kind == "compressors" else Known("pressure_drop", k.where, 0.0)
        k = replace(neutral, source=k.source)
    placed = system.place(k)
    if placed is None:
        return None
    column = c.find(hold[kind], k.where) if kind in hold else placed[0]
    return Choice(k, column, placed[0])


class _Terminals:
    """Supplies and offtakes: choices of a share of their node's withdrawal."""

    def __init__(self, system: System) -> None:
        self.system = system

    def choice(self, k: Known) -> Choice | None:
        s = self.system
        kind = s.network.kind_of(k.where)
        t = s.network[kind]
        row = t.row(k.where)
        node = s.gas.node.get(str(t["node"][row]))
        if node is None or kind == "gas_nodes" or not s.running(k.where):
            return None
        least, most = (float(t[c][row]) for c in ("flow_min", "flow_max"))
        if kind == "offtakes":  # nobody is given more than they ask for
            least, most = 0.0 if np.isnan(least) else min(least, k.value), k.value
        else:
            least, most = 0.0 if np.isnan(least) else least, k.value if np.isnan(most) else most
        column = s.equations.columns["withdrawal"].first + node
        return Choice(k, column, column, least, most)


def controls(chosen: Iterable[Choice]) -> list[int]:
    """Return the columns that the choices close, each once."""
    return list(dict.fromkeys(c.column for c in chosen))


def column_bounds(chosen: Iterable[Choice], value: Mapping[int, float]) -> dict[int, tuple[float, float]]:
    """Return (low, high) of every chosen column, SI; withdrawals sum the terminals of their node.

    value  what each column has before: terminals at the node that are not chosen keep their part of it
    """
    out: dict[int, tuple[float, float]] = {}
    parts: dict[int, list[Choice]] = {}
    for c in chosen:
        if c.known.quantity in ("supply", "withdrawal"):
            parts.setdefault(c.column, []).append(c)
        else:
            low, high = out.get(c.column, (-np.inf, np.inf))
            out[c.column] = max(low, c.low), min(high, c.high)
    for column, those in parts.items():
        rest = value[column] - sum(_sign(c) * c.known.value for c in those)
        ends = [sorted((_sign(c) * c.low, _sign(c) * c.high)) for c in those]
        out[column] = rest + sum(e[0] for e in ends), rest + sum(e[1] for e in ends)
    return out


def _sign(c: Choice) -> float:
    return -1.0 if c.known.quantity == "supply" else 1.0


def setpoints(system: System, chosen: Iterable[Choice], x: Floats, value: Mapping[int, float]) -> list[Known]:
    """Return the Knowns that a state x (n_column,) gives to the choices; a ratio of 1 is said as a bypass.

    value  what each column had before (see `column_bounds`)
    """
    chosen, out = list(chosen), []
    bounds = column_bounds(chosen, value)
    for c in chosen:
        k = c.known
        new = float(x[c.shown])
        if k.quantity in ("supply", "withdrawal"):
            low, high = bounds[c.column]
            share = (new - low) / (high - low) if high > low else 0.0
            a, b = sorted((_sign(c) * c.low, _sign(c) * c.high))
            new = _sign(c) * (a + share * (b - a))
        if _is_bypassed(system, c, x):
            out.append(Known("open", k.where, 1.0, source="dispatch"))
        else:
            out.append(Known(k.quantity, k.where, new, source="dispatch"))
    return out


def _is_bypassed(system: System, c: Choice, x: Floats) -> bool:
    kind, columns = system.network.kind_of(c.element), system.equations.columns
    if kind == "compressors":
        return bool(abs(x[columns.find("ratio", c.element)] - 1.0) < BYPASS)
    if kind == "control_valves":
        return bool(abs(x[columns.find("drop", c.element)]) < BYPASS * system.pressure_scale)
    return False


def without(system: System, fixed: Mapping[int, Fixed], chosen: Iterable[Choice]) -> dict[int, Fixed]:
    """Return the fixed columns without those that are chosen, and without what a mode held in their place."""
    chosen, c = list(chosen), system.equations.columns
    gone = {one.column for one in chosen} | {one.shown for one in chosen}
    for one in chosen:
        if one.known.quantity == "magnitude":  # at a reactive limit the position was held, not the voltage
            node = system.power.names[one.column - c["magnitude"].first]
            gone.add(c["position"].index[node])
    opened = {one.element for one in chosen if one.column != one.shown or one.known.quantity in ("ratio", "open")}
    held = {k for k, f in fixed.items() if f.known.where in opened and f.known.source.startswith("mode ")}
    held |= {k for k, f in fixed.items() if f.known.where in opened and f.known.quantity == "open"}
    return {column: f for column, f in fixed.items() if column not in gone | held}


def key(system: System, known: Known) -> tuple[str, str]:
    """Return what a set-point replaces: all of a station or valve, one quantity of anything else."""
    kind = system.network.kind_of(known.where)
    return (known.where, "") if kind in ("compressors", "control_valves") else (known.where, known.quantity)
