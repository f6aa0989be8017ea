# SPDX-License-Identifier: Apache-2.0
"""What an estimate may move and what stays exact: the laws of a network with few of their Knowns.

Exact are what nobody meters because nothing is there (a withdrawal of a node without supply, offtake or load), the
angle of the reference, positions (open, closed), taps, steps and statuses, and every Known that is given with sigma 0.
All other set-points of the case (pressures, ratios, flows, powers, voltages) are orders, not facts: they are free.

A node with several supplies and offtakes, or a bus with several loads, gets a column for each of them and the row that
adds them up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import splu

from serai.errors import NotClosed, SeraiError
from serai.known import Known
from serai.simulate.steady import Run
from serai.system import Closed, Fixed, System, override
from serai.system.knowns import PARAMETERS
from serai.system.power import depends_on_voltage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from serai.network import Network

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

POSITIONS = ("open", *PARAMETERS)  # quantities that say how the network stands
TERMINALS = (("supplies", "supplied", -1.0), ("offtakes", "delivered", 1.0))
SIDES = (("active_withdrawal", "drawn"), ("reactive_withdrawal", "drawn_reactive"))


class Laws(Closed):
    """The laws with their free columns: a system that its Knowns need not close, because readings do the rest."""

    def _check(self) -> None:
        """Leave the structure to the readings."""

    def weigh(self, columns: Floats, rows: Floats) -> None:
        """Multiply the scales of the free columns (n,) and of the rows (n_row,): what counts as one."""
        self.column_scales[self.free] *= columns
        self.row_scales *= rows
        local = np.full(len(self.column_scales), -1)
        local[self.free] = np.arange(self.n)
        self._free_scales = self.column_scales[self.free]
        self._triplets(local)


@dataclass
class Frame:
    """The system that readings are held against.

    system    its laws, with a column for each part of a sum
    fixed     the columns that are exact
    start     a state to begin from (n_column,): the steady state of the set-points where there is one
    steady    whether `start` is such a state; a robust start is needed otherwise
    terminal  (quantity, supply, offtake or load) -> its column and sign
    sums      columns that are the sum of several terminals
    """

    system: System
    fixed: dict[int, Fixed] = field(default_factory=dict)
    start: Floats = field(default_factory=lambda: np.empty(0))
    steady: bool = False
    terminal: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    sums: set[int] = field(default_factory=set)


def frame(
    network: Network, exact: Sequence[Known], metered: Iterable[tuple[str, str]], setpoints: Iterable[Known]
) -> Frame:
    """Lay out the laws of a network for estimation.

    exact      Knowns with sigma 0; they win over set-points
    metered    (quantity, element) of the readings: a withdrawal that is metered is not taken for zero
    setpoints  from whose steady state the search starts; only their positions are exact
    """
    own = override(network, setpoints, exact)
    system = System(network, _without_controls(network, own), steady=False)
    made = Frame(system)
    _split(made)
    _fix(made, exact, set(metered))
    _start(made, network, own)
    return made


def _without_controls(network: Network, own: Sequence[Known]) -> list[Known]:
    """Return the Knowns that lay out the system: no voltage control, no unit that shares a swing by its set-point."""
    kept = [k for k in own if not (k.quantity == "magnitude" and network.kind_of(k.where) == "generators")]
    swinging = set(network.active("generators").names) - {k.where for k in kept if k.quantity == "active_power"}
    kept += [Known("active_power", name, 0.0, source="free") for name in sorted(swinging)]
    if not any(k.quantity == "angle" for k in kept):
        kept += _reference(network)
    return kept


def _reference(network: Network) -> list[Known]:
    """Return the angle of the first bus with a generator, of the first bus otherwise: an estimate needs some zero."""
    generators, buses = network.active("generators"), network.active("buses")
    names = [str(b) for b in generators["bus"]] if len(generators) else list(buses.names)
    return [Known("angle", names[0], 0.0, source="reference")] if names else []


# ------------------------------------------------------------------------------------------------------- parts of sums


def _split(f: Frame) -> None:
    """Give every supply, offtake and load its column: that of its node where it is alone there."""
    system, eq = f.system, f.system.equations
    at: dict[int, list[tuple[str, str, float]]] = {}
    for kind, quantity, sign in TERMINALS:
        t = system.network.active(kind)
        for k, name in enumerate(t.names):
            node = system.gas.node.get(str(t["node"][k]))
            if node is not None and "withdrawal" in eq.columns:
                at.setdefault(eq.columns["withdrawal"].first + node, []).append((quantity, name, sign))
    _parts(f, at, ("supplied", "delivered"), system.flow_scale, "terminals")
    loads, S = system.network.active("loads"), system.network.base_power
    plain = [int(k) for k in np.flatnonzero(~depends_on_voltage(loads)) if system.power.at(loads.names[k]) >= 0]
    for total, quantity in SIDES:
        at = {}
        for k in plain:
            column = eq.columns[total].first + system.power.at(loads.names[k])
            at.setdefault(column, []).append((quantity, loads.names[k], 1.0))
        _parts(f, at, (quantity,), S, f"loads, {quantity}")


def _parts(
    f: Frame, at: dict[int, list[tuple[str, str, float]]], quantities: tuple[str, ...], scale: float, label: str
) -> None:
    """Tie sums to parts: total - sum of sign x part = 0 for every total with several parts."""
    eq = f.system.equations
    several = {total: parts for total, parts in at.items() if len(parts) > 1}
    for total, parts in at.items():
        if total not in several:
            ((quantity, name, sign),) = parts
            f.terminal[quantity, name] = total, sign
    if not several:
        return
    f.sums.update(several)
    rows = dict(zip(several, eq.add_rows(label, [eq.columns.name(c)[1] for c in several], scale), strict=True))
    eq.add("production", [eq.columns.name(c)[1] for c in several], (list(rows.values()),), (list(several),))
    for quantity in quantities:
        mine = [(total, n, sign) for total, parts in several.items() for q, n, sign in parts if q == quantity]
        if not mine:
            continue
        names = [n for _, n, _ in mine]
        block = eq.columns.add(quantity, names, scale, 0.0)
        f.terminal.update({(quantity, n): (block.index[n], 1.0) for n in names})
        law = "consumption" if mine[0][2] > 0 else "production"
        eq.add(law, names, ([rows[total] for total, *_ in mine],), (block[:],))


# ------------------------------------------------------------------------------------------------------ what is exact


def _fix(f: Frame, exact: Sequence[Known], metered: set[tuple[str, str]]) -> None:
    """Write down every column that is exact."""
    for known in f.system.knowns:
        if known.quantity in ("open", "angle"):
            placed = f.system.place(known)
            if placed is not None:
                _add(f, Fixed(*placed, known))
    _open_by_default(f)
    given = {(k.quantity, k.where) for k in f.system.knowns}
    _nothing_attached(f, given | metered)
    c = f.system.equations.columns
    for end in ("from", "to"):
        for name, column in c[f"link_reactive_{end}"].index.items() if f"link_reactive_{end}" in c else ():
            key = f"reactive_power_{end}", name
            if key not in given | metered:
                f.fixed[column] = Fixed(column, 0.0, Known(*key, 0.0, source="default"))
    for known in exact:
        if known.quantity not in (*POSITIONS, "angle"):
            for column, value in _exactly(f, known):
                _add(f, Fixed(column, value, known))


def _open_by_default(f: Frame) -> None:
    """Take what nobody speaks of for open."""
    c = f.system.equations.columns
    for edge in f.system.gas.edges:
        if edge.kind in ("short_pipes", "valves", "check_valves"):
            column = c["drop"].index[edge.name]
            if column not in f.fixed and c["flow"].index[edge.name] not in f.fixed:
                f.fixed[column] = Fixed(column, 0.0, Known("open", edge.element, 1.0, source="default"))


def _nothing_attached(f: Frame, spoken_of: set[tuple[str, str]]) -> None:
    """Take the withdrawal of a node for zero where nothing is attached and nobody speaks of one."""
    system, c = f.system, f.system.equations.columns
    busy = {column for column, _ in f.terminal.values()} | f.sums
    for quantity in ("withdrawal", "active_withdrawal", "reactive_withdrawal"):
        if quantity not in c:
            continue
        at = system.gas.node if quantity == "withdrawal" else system.power.bus_of
        named = {c[quantity].first + at[n] for q, n in spoken_of if q == quantity and at.get(n, -1) >= 0}
        for name, column in c[quantity].index.items():
            if column not in busy | named:
                f.fixed[column] = Fixed(column, 0.0, Known(quantity, name, 0.0, source="nothing is attached"))


def _exactly(f: Frame, known: Known) -> list[tuple[int, float]]:
    """Return the columns and values that an exact Known closes; none where its element does not run."""
    quantity = {"supply": "supplied", "withdrawal": "delivered"}.get(known.quantity, known.quantity)
    kind = f.system.network.kind_of(known.where)
    if kind == "loads":
        quantity = {"active_power": "drawn", "reactive_power": "drawn_reactive"}[known.quantity]
    if (quantity, known.where) in f.terminal:
        column, sign = f.terminal[quantity, known.where]
        return [(column, sign * known.value)]
    c = f.system.equations.columns
    if kind in ("gas_nodes", "buses") and known.quantity in ("withdrawal", "active_withdrawal", "reactive_withdrawal"):
        column_of = c[known.quantity].index if known.quantity in c else {}
        return [(column_of[known.where], known.value)] if known.where in column_of else []
    if kind == "loads":
        own = {"drawn": "load_active_power", "drawn_reactive": "load_reactive_power"}[quantity]
        column_of = c[own].index if own in c else {}
        return [(column_of[known.where], known.value)] if known.where in column_of else []
    placed = f.system.place(known)
    return [] if placed is None else [placed]


def _add(f: Frame, new: Fixed) -> None:
    old = f.fixed.get(new.column)
    if old is not None and old.value != new.value:
        quantity, name = f.system.equations.columns.name(new.column)
        msg = (
            f"{quantity} of {name} is given exactly twice, as {old.value:g} ({_source(old.known)}) and {new.value:g} "
            f"({_source(new.known)}). Take one back, or give it a sigma above 0 so that it is weighed."
        )
        raise NotClosed(msg, twice=[old.known.where, new.known.where])
    f.fixed[new.column] = new


def _source(known: Known) -> str:
    return f"{known.quantity} of {known.where}{', ' + known.source if known.source else ''}"


# ---------------------------------------------------------------------------------------------------------- the start


def _start(f: Frame, network: Network, own: Sequence[Known]) -> None:
    """Begin at the steady state of the set-points, or flat where they have none."""
    c = f.system.equations.columns
    f.start = c.start()
    try:
        system = System(network, own)
        run = Run(system)
        x = run.solve(cold=True).x
    except SeraiError:
        pass
    else:
        f.steady = True
        for quantity, block in system.equations.columns.blocks.items():
            if quantity in c:
                to = c[quantity].index
                both = [(to[n], k) for n, k in block.index.items() if n in to]
                f.start[[a for a, _ in both]] = x[[b for _, b in both]]
        _share(f, own)
        shut = [name for name, mode in run.modes.report().items() if mode == "closed"]
        for edge in f.system.gas.edges:
            if edge.kind == "check_valves" and edge.element in shut:
                f.fixed.pop(c["drop"].index[edge.name], None)
                column = c["flow"].index[edge.name]
                f.fixed[column] = Fixed(column, 0.0, Known("open", edge.element, 0.0, source="flow would turn"))
    for column, fixed in f.fixed.items():
        f.start[column] = fixed.value


def from_pressures(f: Frame, columns: Ints, pressures: Floats) -> Floats:
    """Return a start (n_column,) for a network without a steady state to begin from: pressures as they are read.

    columns, pressures  of the nodes that are read, (n,). Between them every node takes the mean of its neighbours.
    """
    x, g = f.start.copy(), f.system.gas
    if not g.names or not len(columns):
        return x
    start, end = g.ends()
    n = len(g.names)
    ones, few = np.ones(len(start)), 1e-6  # a node that hangs on no reading takes the mean of all
    joined = coo_array((np.r_[ones, ones], (np.r_[start, end], np.r_[end, start])), shape=(n, n)).tocsr()
    pull = np.full(n, few)
    want = np.full(n, float(np.mean(pressures)))
    at = columns - f.system.equations.columns["pressure"].first
    pull[at], want[at] = 1e6, pressures
    L = diags_array(np.asarray(joined.sum(axis=0)).ravel() + pull) - joined
    x[f.system.equations.columns["pressure"].span] = splu(L.tocsc()).solve(pull * want)
    for column, fixed in f.fixed.items():
        x[column] = fixed.value
    return x


def _share(f: Frame, own: Sequence[Known]) -> None:
    """Start every part of a sum at its set-point."""
    given = {(k.quantity, k.where): k.value for k in own}
    loads = f.system.network.active("loads")
    for (quantity, name), (column, _) in f.terminal.items():
        if f.system.equations.columns.name(column)[0] != quantity:
            continue
        if quantity in ("supplied", "delivered"):
            value = given.get(("supply" if quantity == "supplied" else "withdrawal", name), 0.0)
        elif ("active_power", name) in given:
            drawn = f.system.drawn(loads.row(name), name, {(k.where, k.quantity): k for k in own})
            value = drawn[quantity == "drawn_reactive"]
        else:
            value = 0.0
        f.start[column] = value
