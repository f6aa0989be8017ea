# SPDX-License-Identifier: Apache-2.0
"""What a meter reads as a function of the columns: h(x) and its slopes.

Most readings are one column or a difference of two. The powers at the ends of a grid branch, of an open line end and
of a load that depends on its voltage are the values of laws, so the same compiled formulas give them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.network.quantities import MEASURABLE, QUANTITIES, measurable_of, quantities_of
from serai.system.equations import Stamp
from serai.system.gas import JOINING
from serai.system.kernels import kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from serai.estimate.frame import Frame
    from serai.network import Network

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

ENDS = ("active_power_from", "reactive_power_from", "active_power_to", "reactive_power_to")  # rows of the branch law
STATUS = ("open", "steps", "tap_position", "closed", "in_service")  # no reading to weigh: how the network stands
Linear = list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Meter:
    """One reading's place: what is read of which element, by which instrument, reporting through which station."""

    quantity: str
    where: str
    tag: str = ""
    station: str = ""

    @property
    def name(self) -> str:
        """Its tag, or what it reads where it has none."""
        return self.tag or f"{self.quantity} of {self.where}"


def readable(network: Network, quantity: str, where: str) -> bool:
    """Tell whether a quantity of an element can be a reading at all."""
    return quantity in _readable_of(network.kind_of(where))


@cache
def _readable_of(kind: str) -> frozenset[str]:
    """Return what can be read of an element of a kind: what can be measured, and what a Known can give."""
    return frozenset(measurable_of(kind)) | frozenset(quantities_of(kind))


def dimension(quantity: str) -> str:
    """Return the dimension of a quantity (see `units.UNITS`); empty where it has none."""
    found = MEASURABLE.get(quantity) or QUANTITIES.get(quantity)
    return found.dimension if found else ""


@dataclass
class _Lawful:
    """Readings that are values of one law: instances, and the reading (or -1) of every row of each."""

    stamp: Stamp
    of: dict[int, int] = field(default_factory=dict)  # instance of the law in the network -> instance here
    instances: list[int] = field(default_factory=list)
    readings: list[list[int]] = field(default_factory=list)


class Functions:
    """h(x) of a list of meters, and its slopes as triplets.

    idle     meters whose element does not run: they read nothing here, (n,) flags
    rows, columns   of the slopes (n_slope,); columns count all columns of the system
    linear   rows, columns and factors of the readings that are sums of columns
    """

    def __init__(self, frame: Frame, meters: Sequence[Meter]) -> None:
        self.frame, self.meters = frame, tuple(meters)
        self.size = len(self.meters)
        self.idle = np.zeros(self.size, bool)
        self._lawful: dict[tuple[int, int], _Lawful] = {}
        self._layer: dict[tuple[int, int], int] = {}
        self._index()
        rows, columns, factors = [], [], []
        for i, meter in enumerate(self.meters):
            for column, factor in self._terms(i, meter):
                rows.append(i)
                columns.append(column)
                factors.append(factor)
        self.linear = np.array(rows, np.intp), np.array(columns, np.intp), np.array(factors, float)
        self._lay_out()

    # ------------------------------------------------------------------------------------------------- where they read

    def _index(self) -> None:
        system = self.frame.system
        g = system.power
        self._branch = {str(n): k for k, n in enumerate(g.branches.name[g.alive_branch])} if g.names else {}
        self._stub = (
            {(str(n), int(e)): k for k, (n, e) in enumerate(
                zip(g.branches.stub_name[g.alive_stub], g.branches.stub_end[g.alive_stub], strict=True))}
            if g.names else {}
        )  # fmt: skip
        stamps = system.equations.stamps
        self._branches = next((s for s in stamps if s is g.branch_stamp), None)
        names = [str(n) for n in g.branches.stub_name[g.alive_stub]] if g.names else []
        self._stubs = next((s for s in stamps if s.law.name == "shunt" and list(s.names) == names and names), None)
        self._by_voltage = system.equations.stamps_of("voltage_dependent_load")
        self._first: dict[str, int] = {}
        self._last: dict[str, int] = {}
        for k, e in enumerate(system.gas.edges):
            if e.kind in JOINING:
                self._first.setdefault(e.element, k)
                self._last[e.element] = k

    def _terms(self, i: int, meter: Meter) -> Linear:
        """Return the columns and factors of a linear reading; a reading of a law is filed away instead."""
        kind = self.frame.system.network.kind_of(meter.where)
        if kind in ("lines", "transformers", "branches"):
            return self._branch_end(i, meter)
        terms = self._of_load(i, meter) if kind == "loads" else self._of_element(meter, kind)
        self.idle[i] = terms is None
        return terms or []

    def _of_element(self, meter: Meter, kind: str) -> Linear | None:  # noqa: PLR0911 - one quantity a line
        system = self.frame.system
        c, q, where = system.equations.columns, meter.quantity, meter.where
        terminal = {"supply": "supplied", "withdrawal": "delivered"}.get(q, q)
        if (terminal, where) in self.frame.terminal:
            return [self.frame.terminal[terminal, where]]
        if q in ("pressure", "outlet_pressure", "inlet_pressure"):
            return self._pressures((self._node(q, where, kind), 1.0))
        if q == "pressure_drop":
            return self._pressures((self._node("inlet_pressure", where, kind), 1.0),
                                   (self._node("outlet_pressure", where, kind), -1.0))  # fmt: skip
        if q in ("flow", "flow_out"):
            edge = (self._first if q == "flow" else self._last).get(where)
            return None if edge is None else [(c["flow"].first + edge, 1.0)]
        if kind in ("buses", "generators") and q in ("magnitude", "angle"):
            node = system.power.at(where)
            return None if node < 0 else [(c[q].first + node, 1.0)]
        if kind == "buses":
            node = system.power.at(where)
            return None if node < 0 else [(c[q].first + node, 1.0)]
        if q in ("fuel", "drive_power"):
            drives = system.network.active("drives")
            mine = [n for k, n in enumerate(drives.names) if drives["compressor"][k] == where]
            return [(c[q].index[n], 1.0) for n in mine if q in c and n in c[q].index] or None
        own = {
            "active_power": "link_sent", "reactive_power_from": "link_reactive_from",
            "reactive_power_to": "link_reactive_to",
        }.get(q, q) if kind == "hvdc_links" else q  # fmt: skip
        column = c[own].index.get(where) if own in c else None
        return None if column is None else [(column, 1.0)]

    def _node(self, quantity: str, where: str, kind: str) -> str:
        if kind == "gas_nodes":
            return where
        t = self.frame.system.network[kind]
        column = {"outlet_pressure": "to_node", "inlet_pressure": "from_node"}.get(quantity, "node")
        return str(t[column][t.row(where)])

    def _pressures(self, *nodes: tuple[str, float]) -> Linear | None:
        system = self.frame.system
        if any(n not in system.gas.node for n, _ in nodes):
            return None
        first = system.equations.columns["pressure"].first
        return [(first + system.gas.node[n], sign) for n, sign in nodes]

    def _of_load(self, i: int, meter: Meter) -> Linear | None:
        own, law = {
            "active_power": ("drawn", "load_active_power"), "reactive_power": ("drawn_reactive", "load_reactive_power"),
        }.get(meter.quantity, ("", ""))  # fmt: skip
        if (own, meter.where) in self.frame.terminal:
            return [self.frame.terminal[own, meter.where]]
        c = self.frame.system.equations.columns
        column = c[law].index.get(meter.where) if law in c else None
        for stamp in self._by_voltage:
            if column is not None and column in stamp.columns[0]:
                self._file(stamp, int(np.flatnonzero(stamp.columns[0] == column)[0]), 0, i)
                return []
        return None

    def _branch_end(self, i: int, meter: Meter) -> Linear:
        branch = self._branch.get(meter.where)
        if branch is not None and self._branches is not None:
            self._file(self._branches, branch, ENDS.index(meter.quantity), i)
            return []
        end, part = divmod(ENDS.index(meter.quantity), 2)
        stub = self._stub.get((meter.where, end))
        if stub is None or self._stubs is None:
            self.idle[i] = True
            return []
        self._file(self._stubs, stub, part, i)
        return []

    def _file(self, stamp: Stamp, instance: int, row: int, reading: int) -> None:
        """File a reading under its law; a second meter of the same value needs an instance of its own."""
        layer = 0
        while True:
            group = self._lawful.setdefault((id(stamp), layer), _Lawful(stamp))
            if instance not in group.of:
                group.of[instance] = len(group.instances)
                group.instances.append(instance)
                group.readings.append([-1] * stamp.law.rows)
            at = group.readings[group.of[instance]]
            if at[row] < 0:
                at[row] = reading
                return
            layer += 1

    @property
    def of_branches(self) -> list[tuple[int, int, int]]:
        """(meter, number of the branch that carries current, row of its law) of the meters at branch ends."""
        found = []
        for group in self._lawful.values():
            if group.stamp is self._branches:
                for instance, readings in zip(group.instances, group.readings, strict=True):
                    found += [(i, instance, part) for part, i in enumerate(readings) if i >= 0]
        return found

    # ---------------------------------------------------------------------------------------------------- their values

    def _lay_out(self) -> None:
        """Lay out the slopes: linear ones first, then those of the laws; what is not read falls into a bin."""
        rows, columns = [self.linear[0]], [self.linear[1]]
        at = len(self.linear[0])
        self._plan: list[tuple[Any, Stamp, Ints, Ints]] = []
        for group in self._lawful.values():
            law = group.stamp.law
            C = len(law.columns)
            pick = np.array(group.instances)
            s = Stamp(law, group.stamp.rows[:, pick], group.stamp.columns[:, pick], group.stamp.parameters[:, pick], ())
            reading = np.array(group.readings, np.intp).T  # (law rows, n)
            slot = np.full((law.rows * C, len(pick)), -1)
            for r in range(law.rows):
                mine = np.flatnonzero(reading[r] >= 0)
                for k in range(C):
                    slot[r * C + k, mine] = at + np.arange(len(mine))
                    at += len(mine)
                    rows.append(reading[r, mine])
                    columns.append(s.columns[k, mine])
            self._plan.append((group.stamp, s, np.where(reading < 0, self.size, reading), slot))
        self.rows = np.concatenate(rows).astype(np.intp)
        self.columns = np.concatenate(columns).astype(np.intp)
        self._slopes = np.zeros(at + 1)
        self._values = np.zeros(self.size + 1)
        self._slopes[: len(self.linear[2])] = self.linear[2]

    def bind(self, x: Floats) -> Callable[[], tuple[Floats, Floats]]:
        """Return what evaluates h (n,) and the slopes (n_slope,), SI, at x, a buffer of all columns that stays."""
        calls = []
        n_linear = len(self.linear[0])
        for _, s, reading, slot in self._plan:
            minus = np.full(reading.shape, -1.0)  # the laws count what leaves a balance, meters what enters the branch
            slopes = np.full(slot.shape, -1.0)
            to = np.where(slot < 0, len(self._slopes) - 1, slot)
            calls.append((kernel(s.law).accumulate, (x, s.columns, s.parameters, reading, minus, to, slopes,
                                                     self._values, self._slopes)))  # fmt: skip
        rows, columns, factors = self.linear

        def evaluate() -> tuple[Floats, Floats]:
            self._values[:] = 0.0
            self._slopes[n_linear:] = 0.0
            np.add.at(self._values, rows, factors * x[columns])
            for accumulate, arguments in calls:
                accumulate(*arguments)
            return self._values[: self.size], self._slopes[:-1]

        return evaluate
