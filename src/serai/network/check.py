# SPDX-License-Identifier: Apache-2.0
"""Every mistake in a network at once: values, names, references, set-points, profiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.errors import Mistake
from serai.network.quantities import MEASURABLE, QUANTITIES, Quantity, measurable_of, quantities_of
from serai.network.sheet import near, own_unit
from serai.network.tables import KINDS, REQUIRED, Column, Table
from serai.units import UNITS, from_si

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from serai.network.network import Network

IN_SERVICE = "in service"
HOURS = 24  # a profile covers a day at least
HINTS = 20  # near names are looked for that often in a column: among 10 000 names each takes a while

_ENDS = {"from_node": "to_node", "from_bus": "to_bus", "bus": "to_bus"}
_WINDINGS = (("hv_bus", "mv_bus"), ("hv_bus", "lv_bus"), ("mv_bus", "lv_bus"))
_DRAG = (
    ("drag_factor_in", "diameter_in"),
    ("drag_factor_out", "diameter_out"),
    ("drag_factor", "diameter"),
    ("loss_coefficient", "diameter"),
)


@dataclass(frozen=True)
class Places:
    """Where a person finds a cell: spreadsheet rows by kind; (kind, column) -> (header, unit).

    What is not listed stands at table row + 2, under the schema's header: right for a network that no folder holds yet.
    """

    rows: Mapping[str, Sequence[int]] = field(default_factory=dict)
    headers: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Look:
    """What the checks of one table share."""

    network: Network
    places: Places
    kind: str
    table: Table

    def mistake(self, i: int, column: str, text: str) -> Mistake:
        """Return a mistake in row `i` of the table."""
        rows = self.places.rows.get(self.kind)
        return Mistake(f"{self.kind}.csv", rows[i] if rows else i + 2, self.header(column)[0], text)

    def header(self, column: str) -> tuple[str, str]:
        """Return header and unit of a column."""
        c = KINDS[self.kind].column(column)
        return self.places.headers.get((self.kind, column), (c.header, c.unit))

    def shown(self, value: float, column: str) -> str:
        """Return an SI value in the unit of its column."""
        return f"{from_si(float(value), self.header(column)[1], self.network.gas.standard_density):.12g}"

    def __contains__(self, column: str) -> bool:
        """Tell whether this kind has the column."""
        return column in self.table.columns


def check(network: Network, places: Places | None = None) -> list[Mistake]:
    """Return every mistake in the network, by file and row; an empty list when there is none."""
    places = places or Places()
    found: list[Mistake] = []
    looks = [_Look(network, places, kind, network[kind]) for kind in KINDS if len(network[kind])]
    kinds = _names(looks, found)
    for look in looks:
        mistakes = [
            *_cells(look),
            *_references(look, kinds),
            *_out_of_service(look),
            *_pairs(look),
            *_loops(look),
            *_losses(look),
            *_special(look, kinds),
        ]
        found += sorted(mistakes, key=lambda m: m.row)
    found += _setpoints(_Look(network, places, "setpoints", network["setpoints"]), kinds)
    return found + _days(network)


# --------------------------------------------------------------------------------------------- names, cells, references


def _names(looks: Sequence[_Look], found: list[Mistake]) -> dict[str, tuple[str, int]]:
    """Return name -> (kind, row); append to `found` the names that are given twice or look odd."""
    kinds: dict[str, tuple[str, int]] = {}
    for look in looks:
        if not KINDS[look.kind].named:
            continue
        for i, name in enumerate(map(str, look.table["name"])):
            if name in kinds and name:
                kind, row = kinds[name]
                first = next(x for x in looks if x.kind == kind).mistake(row, "name", "")
                found.append(look.mistake(i, "name", f"{name!r} is already the name of {first.file} row {first.row}"))
            elif name != name.strip():
                found.append(look.mistake(i, "name", f"{name!r} begins or ends with a space"))
            kinds.setdefault(name, (look.kind, i))
    kinds.pop("", None)
    return kinds


def _cells(look: _Look) -> Iterator[Mistake]:
    """Look for values that are missing, out of bounds or not among the allowed texts."""
    for c in KINDS[look.kind].columns:
        values = look.table[c.name]
        if c.type is str:
            if c.default is REQUIRED:
                yield from (look.mistake(i, c.name, "must be given") for i, v in enumerate(values) if not v)
            for i, v in enumerate(values):
                if c.allowed and v not in c.allowed and not (c.default is REQUIRED and not v):
                    allowed = ", ".join(a for a in c.allowed if a)
                    yield look.mistake(i, c.name, f"must be one of {allowed}; got {str(v)!r}{near(str(v), c.allowed)}")
        elif c.type is not bool and not c.own_unit:  # what has a unit of its own is looked at with that unit
            yield from _bounds(look, c, values)


def _bounds(look: _Look, c: Column, values: Any) -> Iterator[Mistake]:
    numbers = np.asarray(values, dtype=float)
    absent = np.isnan(numbers)
    if c.default is REQUIRED:
        yield from (look.mistake(int(i), c.name, "must be given") for i in np.nonzero(absent)[0])
    elif not np.isnan(float(c.default)):
        yield from (look.mistake(int(i), c.name, "must be a number, got nan") for i in np.nonzero(absent)[0])
    for bad, words, bound in (
        (np.isinf(numbers), "a finite number", None),
        (numbers <= c.above, "above", c.above),
        (numbers < c.at_least, "at least", c.at_least),
        (numbers > c.at_most, "at most", c.at_most),
    ):
        for i in np.nonzero(bad & (np.isinf(numbers) if bound is None else ~np.isinf(numbers)))[0]:
            limit = "" if bound is None else f" {look.shown(bound, c.name)}"
            yield look.mistake(int(i), c.name, f"must be {words}{limit}, got {look.shown(numbers[i], c.name)}")


def _references(look: _Look, kinds: Mapping[str, tuple[str, int]]) -> Iterator[Mistake]:
    """Look for names of elements that do not exist."""
    for c in KINDS[look.kind].columns:
        hints = HINTS
        for i, name in enumerate(look.table[c.name] if c.refers else ()):
            kind = kinds.get(name, ("", 0))[0]
            if not name or kind in c.refers:
                continue
            among = " or ".join(c.refers)
            if kind:
                yield look.mistake(i, c.name, f"must be one of {among}, but {name!r} is in {kind}")
            else:
                names = [str(n) for k in c.refers for n in look.network[k]["name"]] if hints > 0 else []
                hints -= 1
                yield look.mistake(i, c.name, f"no element {str(name)!r} in {among}{near(str(name), names)}")


def _out_of_service(look: _Look) -> Iterator[Mistake]:
    """Look for elements in service at a node or bus that is not."""
    if "status" not in look:
        return
    for c in KINDS[look.kind].columns:
        for target in {"gas_nodes", "buses"} & set(c.refers):
            t = look.network[target]
            off = dict(zip(t["name"], t["status"], strict=True))
            for i, (name, status) in enumerate(zip(look.table[c.name], look.table["status"], strict=True)):
                if status == IN_SERVICE and off.get(name, IN_SERVICE) != IN_SERVICE:
                    yield look.mistake(i, c.name, f"{name!r} is {off[name]}, so this element cannot be in service")


# ------------------------------------------------------------------------------------------------ columns that belong


def _pairs(look: _Look) -> Iterator[Mistake]:
    """Look for a smallest value above the largest, and a resistive part above the whole."""
    pairs = [
        (c.name, c.name.replace("_min", "_max"))
        for c in KINDS[look.kind].columns
        if "_min" in c.name and not c.own_unit
    ]
    ends = ("", "_hv_mv", "_mv_lv", "_hv_lv")
    pairs += [(f"short_circuit_resistive{e}", f"short_circuit_voltage{e}") for e in ends]
    for low, high in pairs:
        if low in look and high in look:
            for i in np.nonzero(look.table[low] > look.table[high])[0]:
                text = f"must be at most {look.header(high)[0]}"
                value = look.shown(look.table[low][i], low)
                yield look.mistake(int(i), low, f"{text} ({look.shown(look.table[high][i], high)}), got {value}")


def _loops(look: _Look) -> Iterator[Mistake]:
    """Look for elements that start and end at the same place."""
    for first, last in (*_ENDS.items(), *_WINDINGS):
        if first in look and last in look:
            for i in np.nonzero((look.table[first] == look.table[last]) & (look.table[first] != ""))[0]:
                header = look.header(first)[0]
                yield look.mistake(int(i), last, f"must differ from {header}, got {str(look.table[last][i])!r} twice")


def _losses(look: _Look) -> Iterator[Mistake]:
    """Look for loss coefficients without the diameter that they refer to."""
    for drag, diameter in _DRAG:
        if drag in look and diameter in look and look.kind != "pipes":
            for i in np.nonzero((look.table[drag] > 0) & np.isnan(look.table[diameter]))[0]:
                yield look.mistake(int(i), diameter, f"must be given, because {look.header(drag)[0]} refers to it")


def _special(look: _Look, kinds: Mapping[str, tuple[str, int]]) -> Iterator[Mistake]:
    """Look for what only one kind of element can do wrong."""
    t = look.table
    if look.kind == "resistors":
        for i in np.nonzero(np.isnan(t["pressure_loss"]) & np.isnan(t["drag_factor"]))[0]:
            yield look.mistake(int(i), "pressure_loss", "must be given, or drag_factor and its diameter")
    elif look.kind == "drives":
        for i in np.nonzero((t["kind"] == "electric motor") & (t["bus"] == ""))[0]:
            yield look.mistake(int(i), "bus", "must be given for an electric motor")
    elif look.kind == "switches":
        yield from _switches(look)
    elif look.kind == "offtakes":
        for i in np.nonzero((t["heat_share"] > 0.0) & np.isnan(t["withdrawal_mean"]))[0]:
            yield look.mistake(int(i), "withdrawal_mean", "must be given where there is a heat_share")
    elif look.kind == "instruments":
        yield from _instruments(look, kinds)


def _instruments(look: _Look, kinds: Mapping[str, tuple[str, int]]) -> Iterator[Mistake]:
    """Look for instruments of nothing, without an accuracy, or with a span that is none."""
    t = look.table
    hints = HINTS
    for i in range(len(t)):
        quantity, where, unit = str(t["quantity"][i]), str(t["where"][i]), str(t["unit"][i])
        kind, q = kinds.get(where, ("", 0))[0], MEASURABLE.get(quantity)
        if where and not kind:
            hint, hints = (near(where, kinds) if hints > 0 else ""), hints - 1
            yield look.mistake(i, "where", f"no element {where!r}{hint}")
        if quantity and q is None:
            yield look.mistake(i, "quantity", f"cannot measure {quantity!r}{near(quantity, MEASURABLE)}")
        elif q and kind and kind not in q.kinds:
            can = ", ".join(measurable_of(kind)) or "nothing"
            yield look.mistake(i, "quantity", f"{kind} have no {quantity} to measure; they have {can}")
        wrong = _unit(unit, q)
        if wrong:
            yield look.mistake(i, "unit", wrong)
            continue
        low, high, sigma = (float(t[c][i]) for c in ("range_min", "range_max", "sigma"))
        density = look.network.gas.standard_density
        shown = f"{from_si(sigma, own_unit(KINDS['instruments'].column('sigma'), unit), density):.12g}"
        if not 0.0 <= sigma < np.inf:
            yield look.mistake(i, "sigma", f"must be a number and at least 0, got {shown}")
        elif sigma == 0.0 and t["sigma_of_reading"][i] == 0.0:
            yield look.mistake(i, "sigma", "must be above 0, or sigma_of_reading: no instrument is exact")
        if low >= high:
            text = f"must be below range_max ({from_si(high, unit, density):.12g})"
            yield look.mistake(i, "range_min", f"{text}, got {from_si(low, unit, density):.12g}")


def _unit(unit: str, q: Quantity | None) -> str:
    """Return what is wrong with the unit of a value of this quantity; "" when nothing is."""
    if unit not in UNITS:
        return f"no unit {unit!r}{near(unit, [u for u in UNITS if u])}"
    dimension = UNITS[unit].dimension
    if q and dimension != q.dimension and not (unit == "" and q.dimension == "per unit"):
        units = " or ".join(u for u in UNITS if UNITS[u].dimension == q.dimension)
        wanted = f"must be a unit of {q.dimension} ({units})" if q.dimension else "must be empty"
        return f"{wanted}, got {unit!r}"
    return ""


def _switches(look: _Look) -> Iterator[Mistake]:
    t = look.table
    for i, (bus, other, branch) in enumerate(zip(t["bus"], t["to_bus"], t["branch"], strict=True)):
        if bool(other) == bool(branch):
            text = "give only one of to_bus and branch" if other else "must be given, or branch"
            yield look.mistake(i, "to_bus", text)
        elif branch and branch in look.network and bus not in _ends_of(look.network, branch):
            yield look.mistake(i, "branch", f"{str(branch)!r} does not end at bus {str(bus)!r}")


def _ends_of(network: Network, branch: str) -> set[str]:
    t = network[network.kind_of(branch)]
    ends = [c.name for c in KINDS[t.kind].columns if c.refers == ("buses",)]
    return {str(t[c][t.row(branch)]) for c in ends}


# --------------------------------------------------------------------------------------------------- set-points, days


def _setpoints(look: _Look, kinds: Mapping[str, tuple[str, int]]) -> list[Mistake]:
    """Look for set-points of nothing, of the wrong quantity or unit, on unknown days, or given twice."""
    t = look.table
    found: list[Mistake] = []
    keys = [(str(d), str(q), str(w)) for d, q, w in zip(t["day"], t["quantity"], t["where"], strict=True)]
    rows: dict[tuple[str, str, str], int] = {}
    for i, key in enumerate(keys):
        rows.setdefault(key, i)
    for i, (day, quantity, where) in enumerate(keys):
        if where and where not in kinds:
            hint = near(where, kinds) if len(found) < HINTS else ""
            found.append(look.mistake(i, "where", f"no element {where!r}{hint}"))
        if day and day not in look.network.days:
            found.append(look.mistake(i, "day", f"no day {day!r} in case.toml{near(day, look.network.days)}"))
        elif t["profile"][i]:
            found += _profile(look, i, keys[i], rows)
        first = rows[keys[i]]
        if first != i:
            row = look.mistake(first, "where", "").row
            found.append(look.mistake(i, "where", f"{quantity} of {where!r} is already given in row {row}"))
        found += _value(look, i, quantity, kinds.get(where, ("", 0))[0])
    return found


def _profile(
    look: _Look, i: int, key: tuple[str, str, str], rows: Mapping[tuple[str, str, str], int]
) -> Iterator[Mistake]:
    """Look whether the profile of one set-point exists on every day on which the set-point holds."""
    day, quantity, where = key
    profile, days = str(look.table["profile"][i]), look.network.days
    # a set-point of every day gives way to one of the day itself
    holds = [day] if day else [d for d in days if (d, quantity, where) not in rows]
    for d in holds:
        if profile not in days[d].profiles:
            yield look.mistake(i, "profile", f"no profile {profile!r} on {d}{near(profile, days[d].profiles)}")
    if not days:
        yield look.mistake(i, "profile", f"no profile {profile!r}: case.toml has no [[days]]")


def _value(look: _Look, i: int, quantity: str, kind: str) -> Iterator[Mistake]:
    """Look at quantity, unit and value of one set-point, at an element of `kind` ("" = unknown)."""
    value, unit = float(look.table["value"][i]), str(look.table["unit"][i])
    q = QUANTITIES.get(quantity)
    if q is None:
        if quantity:
            yield look.mistake(i, "quantity", f"no quantity {quantity!r}{near(quantity, QUANTITIES)}")
    elif kind and kind not in q.kinds:
        yield look.mistake(i, "quantity", f"{kind} have no {quantity}; they have {', '.join(quantities_of(kind))}")
    wrong = _unit(unit, q)
    if wrong:
        yield look.mistake(i, "unit", wrong)
        return
    shown = f"{from_si(value, unit, look.network.gas.standard_density):.12g}"
    if np.isnan(value):
        yield look.mistake(i, "value", "must be given")
    elif np.isinf(value):
        yield look.mistake(i, "value", f"must be a finite number, got {shown}")
    elif q and q.flag and value not in (0.0, 1.0):
        yield look.mistake(i, "value", f"must be 0 or 1, got {shown}")
    elif q and value <= q.above:
        yield look.mistake(i, "value", f"must be above {from_si(q.above, unit):.12g}, got {shown}")


def _days(network: Network) -> list[Mistake]:
    """Look for an unknown operating day, and profiles with holes or of different lengths."""
    found = []
    if network.day and network.day not in network.days:
        text = f"no day {network.day!r} under [[days]]{near(network.day, network.days)}"
        found.append(Mistake("case.toml", 0, "day", text))
    if "" in network.days:
        found.append(Mistake("case.toml", 0, "days", "every day needs a name"))
    for day in network.days.values():
        longest = max([HOURS, *(len(v) for v in day.profiles.values())])
        for name, values in day.profiles.items():
            if len(values) != longest:
                text = f"has {len(values)} hours; every profile of {day.name} needs {longest}"
                found.append(Mistake("profiles", 0, name, f"day {day.name}: {text}"))
            found += [
                Mistake("profiles", int(h) + 2, name, f"day {day.name}: must be a number, got {values[h]}")
                for h in np.nonzero(~np.isfinite(values))[0]
            ]
    return found
