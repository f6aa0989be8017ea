# SPDX-License-Identifier: Apache-2.0
"""The balance sheet of a gas day: what went in and out of each zone, what stayed, what is not accounted for.

Zones of gas are the pipes between metered stations and regulators. With all terms in kg over the day,

    in - out - fuel - linepack change = technical losses + leaks told + unaccounted for

In, out and fuel are what meters said, scan by scan; the linepack is that of the watch's pressures by the exact laws.
Technical losses are those that the case itself lists (offtakes of kind `losses`). Unaccounted-for gas is what is left,
and its sigma is that of the day's metered masses (a meter is off by its class all day) and of the linepack. What is
more than that is not technical: theft, leaks not told, meters that drift. Power likewise, in J; its losses are the heat
of branches in the estimated state, its zones the parts of the grid between metered lines, and those lines together.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import hypot
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from serai.simulate.certificate import density_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from serai.diagnose.incident import Incident
    from serai.diagnose.leaks import Watch
    from serai.diagnose.scan import Diagnosis
    from serai.estimate.given import Tags
    from serai.network import Network

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

SCAN = 60.0  # s
DAY = 86400.0
SURE = 2.0  # sigmas from which a remainder is not chance
FLOWS = ("supply", "withdrawal", "plant_fuel", "fuel", "flow")
BRANCHES = {"lines": ("from_bus", "to_bus"), "transformers": ("hv_bus", "lv_bus"), "branches": ("from_bus", "to_bus")}
POWERS = {"generators": 1.0, "loads": -1.0}
COLUMNS = ("in", "out", "fuel", "linepack_change", "technical_losses", "leaks_told", "unaccounted", "sigma")


@dataclass(frozen=True)
class ZoneDay:
    """One zone over one day, in kg of gas or J of power.

    name       the node or bus of it that comes first; nodes all of them
    taken_in, given_out, fuel, stored, technical, leaks   see the module; fuel, stored, leaks are 0 for power
    sigma      of what is unaccounted for
    unmetered  what takes part without a meter: it is in `unaccounted`
    """

    name: str
    nodes: tuple[str, ...]
    taken_in: float
    given_out: float
    fuel: float
    stored: float
    technical: float
    leaks: float
    sigma: float
    unmetered: tuple[str, ...] = ()

    @property
    def unaccounted(self) -> float:
        """What is left: gas or power that nobody's meter and no law accounts for."""
        return self.taken_in - self.given_out - self.fuel - self.stored - self.technical - self.leaks

    @property
    def sure(self) -> bool:
        """Whether so much is no chance; tells nothing where something has no meter."""
        return not self.unmetered and abs(self.unaccounted) > SURE * self.sigma


@dataclass(frozen=True)
class Sheet:
    """Balance sheet of one gas day.

    begin, end   [s since 1970 UTC] of its scans
    scans, held  how many, and in how many a reading was missing (its last one held)
    gas, power   zones; between what went from zone to zone and is counted in both: (gas [kg], power [J])
    """

    case: str
    begin: float
    end: float
    scans: int
    held: int
    gas: tuple[ZoneDay, ...]
    power: tuple[ZoneDay, ...]
    between: tuple[float, float] = (0.0, 0.0)

    def total(self, kind: str) -> dict[str, float]:
        """Return the sums of all zones, `gas` [kg] or `power` [J]; what zones give each other is taken out."""
        zones: Sequence[ZoneDay] = getattr(self, kind)
        names = ("taken_in", "given_out", "fuel", "stored", "technical", "leaks", "unaccounted")
        out = {name: float(sum(getattr(z, name) for z in zones)) for name in names}
        for name in ("taken_in", "given_out"):
            out[name] -= self.between[kind == "power"]
        out["sigma"] = float(np.sqrt(sum(z.sigma**2 for z in zones)))
        return out

    def gap(self, kind: str) -> float:
        """Return by how much the sheet of the whole country does not close, as a share of what went in."""
        t = self.total(kind)
        out = sum(t[k] for k in ("given_out", "fuel", "stored", "technical", "leaks", "unaccounted"))
        return (t["taken_in"] - out) / max(abs(t["taken_in"]), 1.0)

    def rows(self) -> list[tuple[Any, ...]]:
        """Return (network, zone, in, out, fuel, linepack change, technical, leaks, unaccounted, sigma) in kg and J."""
        return [
            (kind, z.name, z.taken_in, z.given_out, z.fuel, z.stored, z.technical, z.leaks, z.unaccounted, z.sigma)
            for kind in ("gas", "power") for z in getattr(self, kind)
        ]  # fmt: skip

    def csv(self) -> str:
        """Return it as CSV: gas in tonnes, power in MWh."""
        text = io.StringIO()
        write = csv.writer(text, lineterminator="\n")
        write.writerow(["day_begin_utc", "network", "unit", "zone", *COLUMNS, "unmetered"])
        day = datetime.fromtimestamp(self.begin, UTC).strftime("%Y-%m-%d %H:%M")
        for (kind, name, *values), z in zip(self.rows(), (*self.gas, *self.power), strict=True):
            unit, size = ("t", 1e3) if kind == "gas" else ("MWh", 3.6e9)
            write.writerow([day, kind, unit, name, *(f"{v / size:.6g}" for v in values), "; ".join(z.unmetered)])
        return text.getvalue()


@dataclass
class _Term:
    """One meter's part in the balance: instrument, zone, sign, and whether it is fuel."""

    number: int
    zone: int
    sign: float
    fuel: bool = False


@dataclass
class Day:
    """What one day has gathered so far."""

    begin: float
    since: float = 0.0
    until: float = 0.0
    scans: int = 0
    held: int = 0
    mass: Floats = field(default_factory=lambda: np.empty(0))  # of every instrument: integral of its reading
    first: Floats | None = None  # linepack of each zone
    last: Floats | None = None
    heat: Floats = field(default_factory=lambda: np.empty(0))
    leaks: Floats = field(default_factory=lambda: np.empty(0))


DAY_FIELDS = ("begin", "since", "until", "scans", "held", "mass", "first", "last", "heat", "leaks")


class Accounts:
    """Gathers scans into sheets, a gas day each.

    network  what exists; tags its instruments; watch the filter of the pipes, None = no gas in motion
    sheets   of the days that are over, the last 40
    """

    def __init__(self, network: Network, tags: Tags, watch: Watch | None) -> None:
        self.network, self.tags, self.watch = network, tags, watch
        self.kept = np.full(len(tags.meters), np.nan)
        self.sheets: list[Sheet] = []
        self._of = {(m.quantity, m.where): k for k, m in reversed(list(enumerate(tags.meters)))}
        self._lay_gas()
        self._lay_power()
        self.day: Day | None = None

    # -------------------------------------------------------------------------------------------------------- laid out

    def _lay_gas(self) -> None:
        self.gas_terms: list[_Term] = []
        self.gas_nodes: list[tuple[str, ...]] = []
        self.gas_unmetered: list[list[str]] = []
        self._losses: list[tuple[int, float]] = []
        if self.watch is None:
            return
        pipes = self.watch.moving.pipes
        g = pipes.system.gas
        start, end = g.ends()
        n = len(g.names)
        count, zone = connected_components(coo_array((np.ones(len(start)), (start, end)), shape=(n, n)), directed=False)
        self._zone_of = {name: int(z) for name, z in zip(g.names, zone, strict=True)}
        self.gas_nodes = [tuple(g.names[k] for k in range(g.shown) if zone[k] == z) for z in range(count)]
        self.gas_unmetered = [[] for _ in range(count)]
        losses = {n for n, k in zip(self.network["offtakes"].names, self.network["offtakes"]["kind"], strict=True)
                  if k == "losses"}  # fmt: skip
        for x in pipes.exchanges:
            number = self._of.get((x.quantity, x.where), -1)
            for node, share in x.at:
                z = self._zone_of[node]
                if x.where in losses:
                    self._losses.append((z, x.flow))
                elif number < 0:
                    self.gas_unmetered[z].append(x.where)
                else:
                    self.gas_terms.append(_Term(number, z, -share, x.quantity in ("fuel", "plant_fuel")))

    def _lay_power(self) -> None:
        net = self.network
        buses = list(net.active("buses").names)
        place = {b: k for k, b in enumerate(buses)}
        self.power_terms: list[_Term] = []
        self._branch: dict[str, int] = {}
        joined: list[str] = []
        cut: list[str] = []
        ends: dict[str, tuple[str, str]] = {}
        for kind, (first, second) in BRANCHES.items():
            t = net.active(kind)
            for name, a, b in zip(t.names, t[first], t[second], strict=True) if len(t) else ():
                ends[name] = str(a), str(b)
                metered = all((f"active_power_{end}", name) in self._of for end in ("from", "to"))
                (cut if metered and kind == "lines" else joined).append(name)
        pairs = [(place[a], place[b]) for a, b in (ends[n] for n in joined) if a in place and b in place]
        a, b = (np.array([p[k] for p in pairs], np.intp) for k in (0, 1))
        n = len(buses)
        count, zone = connected_components(coo_array((np.ones(len(a)), (a, b)), shape=(n, n)), directed=False)
        self._bus_zone = {b: int(zone[k]) for b, k in place.items()}
        self.power_nodes = [tuple(buses[k] for k in range(n) if zone[k] == z) for z in range(count if n else 0)]
        if cut:
            self.power_nodes.append(("lines between zones", *cut))
        self.power_unmetered: list[list[str]] = [[] for _ in self.power_nodes]
        for name in cut:
            for end, bus in zip(("from", "to"), ends[name], strict=True):
                number = self._of[f"active_power_{end}", name]
                self.power_terms.append(_Term(number, self._bus_zone[bus], -1.0))
                self.power_terms.append(_Term(number, len(self.power_nodes) - 1, 1.0))
        self._branch = {n: self._bus_zone[ends[n][0]] for n in joined if ends[n][0] in self._bus_zone}
        self._branch.update(dict.fromkeys(cut, len(self.power_nodes) - 1))
        for kind, sign in POWERS.items():
            t = net.active(kind)
            for name, bus in zip(t.names, t["bus"], strict=True) if len(t) else ():
                self._power("active_power", name, str(bus), sign)
        t = net.active("drives")
        for name, bus, kind in zip(t["compressor"], t["bus"], t["kind"], strict=True) if len(t) else ():
            if kind == "electric motor":
                self._power("drive_power", str(name), str(bus), -1.0)

    def _power(self, quantity: str, name: str, bus: str, sign: float) -> None:
        if bus not in self._bus_zone:
            return
        z, number = self._bus_zone[bus], self._of.get((quantity, name), -1)
        if number < 0:
            self.power_unmetered[z].append(name)
        else:
            self.power_terms.append(_Term(number, z, sign))

    # ----------------------------------------------------------------------------------------------------------- scans

    def take(self, time: float, values: Floats, last: Diagnosis | None, leaks: Iterable[Incident] = ()) -> None:
        """Take one scan: readings (n_instrument,) at a time [s since 1970 UTC]."""
        begin = self._begin(time)
        if self.day is None or begin != self.day.begin:
            self.close(begin)
            self.day = self._fresh(begin, time - SCAN)
        d = self.day
        d.until = time
        heard = np.isfinite(values)
        self.kept = np.where(heard, values, self.kept)
        d.scans += 1
        d.held += int((~heard & np.isfinite(self.kept)).any())
        d.mass += np.nan_to_num(self.kept) * SCAN
        if self.watch is not None:
            d.last = self._linepack()
            d.first = d.last if d.first is None else d.first
            for x in leaks:
                z = self._zone_of.get(x.where[0], self._zone_of.get(self._start(x.pipe), -1))
                if z >= 0 and x.size > 0.0:
                    d.leaks[z] += x.size * SCAN
        if last is not None:
            self._heat(d, last)

    def _fresh(self, begin: float, since: float) -> Day:
        day = Day(begin, since, mass=np.zeros(len(self.tags.meters)), heat=np.zeros(len(self.power_nodes)),
                  leaks=np.zeros(len(self.gas_nodes)))  # fmt: skip
        if self.day is not None and self.day.until == since:
            day.first = self.day.last  # the day begins where the last one ended
        return day

    def _begin(self, time: float) -> float:
        """Return the beginning of the gas day of a scan: what it integrates lies in the minute before it."""
        shift = 3600.0 * (self.network.gas_day_start - self.network.utc_offset)
        return (time - SCAN - shift) // DAY * DAY + shift

    def _start(self, pipe: str) -> str:
        t = self.network["pipes"]
        return str(t["from_node"][t.row(pipe)]) if pipe in t else ""

    def _linepack(self) -> Floats:
        assert self.watch is not None  # noqa: S101 - asked only then
        pipes, x = self.watch.moving.pipes, self.watch.moving.state.x
        g = pipes.system.gas
        first = pipes.system.equations.columns["pressure"].first
        out = np.zeros(len(self.gas_nodes))
        for stamp in g.storage:
            mass = stamp.get("V") * density_of(x[stamp.columns[0]], stamp)
            for name, m in zip((g.names[int(k) - first] for k in stamp.columns[0]), mass, strict=True):
                out[self._zone_of[name]] += m
        return out

    def _heat(self, d: Day, last: Diagnosis) -> None:
        s = last.tested.switches
        for k, (kind, name) in enumerate(zip(s.kinds, s.names, strict=True)):
            z = self._branch.get(name, -1)
            if kind == "branch open" and z >= 0:
                d.heat[z] -= float(s.flows[0, k] + s.flows[2, k]) * SCAN

    # ---------------------------------------------------------------------------------------------------------- sheets

    def close(self, end: float | None = None) -> Sheet | None:
        """Close the day and return its sheet; None when it has no scan."""
        sheet = self.so_far()
        if sheet is not None and end is not None:
            self.sheets = [*self.sheets[-39:], sheet]
        return sheet

    def save(self) -> dict[str, Any]:
        """Return what the present day has gathered, `restore` takes it."""
        d = self.day
        if d is None:
            return {}
        return {"kept": self.kept, **{k: getattr(d, k) for k in DAY_FIELDS}}

    def restore(self, saved: dict[str, Any]) -> None:
        """Take up a day that `save` kept."""
        self.day = Day(**{k: saved[k] for k in DAY_FIELDS}) if saved else None
        if saved:
            self.kept = saved["kept"]

    def so_far(self) -> Sheet | None:
        """Return the sheet of the day as far as it has gone; None when it has no scan."""
        d = self.day
        if d is None or not d.scans:
            return None
        between = self._between(d, self.gas_terms), self._between(d, self.power_terms)
        return Sheet(self.network.name, d.since, d.until, d.scans, d.held, self._gas(d),
                     self._power_zones(d), between)  # fmt: skip

    @staticmethod
    def _between(d: Day, terms: list[_Term]) -> float:
        """Return what meters that stand between two zones have counted into one of them."""
        count = np.bincount([t.number for t in terms], minlength=len(d.mass)) if terms else d.mass
        moved = [t.sign * float(d.mass[t.number]) for t in terms if count[t.number] == 2]
        return sum(m for m in moved if m > 0.0)

    def _variance(self, d: Day, numbers: Iterable[int]) -> float:
        """Return the variance of the sum of metered masses: each meter is off by its class all the time."""
        out = 0.0
        for k in numbers:
            i = self.tags.instruments[k]
            out += hypot(i.sigma * d.scans * SCAN, i.share * float(d.mass[k])) ** 2
        return out

    def _gas(self, d: Day) -> tuple[ZoneDay, ...]:
        if self.watch is None or d.first is None or d.last is None:
            return ()
        spread = self._linepack_variance()
        out = []
        for z, nodes in enumerate(self.gas_nodes):
            mine = [t for t in self.gas_terms if t.zone == z]
            moved = [t.sign * float(d.mass[t.number]) for t in mine]
            into = sum(m for m, t in zip(moved, mine, strict=True) if m > 0.0 and not t.fuel)
            gone = -sum(m for m, t in zip(moved, mine, strict=True) if m <= 0.0 and not t.fuel)
            fuel = -sum(m for m, t in zip(moved, mine, strict=True) if t.fuel)
            technical = sum(flow for zone, flow in self._losses if zone == z) * d.scans * SCAN
            sigma = (self._variance(d, [t.number for t in mine]) + float(spread[z])) ** 0.5
            out.append(ZoneDay(
                nodes[0] if nodes else "", nodes, into, gone, fuel, float(d.last[z] - d.first[z]), technical,
                float(d.leaks[z]), sigma, tuple(self.gas_unmetered[z]),
            ))  # fmt: skip
        return tuple(out)

    def _linepack_variance(self) -> Floats:
        """Return the variance of a change of linepack of each zone [kg^2], by the filter's covariance."""
        assert self.watch is not None  # noqa: S101 - asked only then
        moving = self.watch.moving
        g = moving.pipes.system.gas
        first = moving.pipes.system.equations.columns["pressure"].first
        slope = np.zeros((len(self.gas_nodes), len(g.names)))
        for stamp in g.storage:
            p = moving.state.x[stamp.columns[0]]
            rise = stamp.get("V") * (density_of(p + 1.0, stamp) - density_of(p - 1.0, stamp)) / 2.0
            for k, m in zip(stamp.columns[0], rise, strict=True):
                node = int(k) - first
                slope[self._zone_of[g.names[node]], node] += m
        P = moving.stages[moving.stage()].P[moving.layout.p, moving.layout.p]
        return np.asarray(2.0 * np.einsum("zi,ij,zj->z", slope, P, slope))

    def _power_zones(self, d: Day) -> tuple[ZoneDay, ...]:
        out = []
        for z, nodes in enumerate(self.power_nodes):
            mine = [t for t in self.power_terms if t.zone == z]
            moved = [t.sign * float(d.mass[t.number]) for t in mine]
            into, gone = sum(m for m in moved if m > 0.0), -sum(m for m in moved if m <= 0.0)
            sigma = self._variance(d, [t.number for t in mine]) ** 0.5
            out.append(ZoneDay(nodes[0], nodes, into, gone, 0.0, 0.0, float(d.heat[z]), 0.0, sigma,
                               tuple(self.power_unmetered[z])))  # fmt: skip
        return tuple(out)
