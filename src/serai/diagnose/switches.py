# SPDX-License-Identifier: Apache-2.0
"""What stands otherwise than it is said to: a branch that is open, one that is closed, a valve that is open.

Each is a direction among readings and laws with one unknown b: 1 = the branch carries nothing of what it is said to
carry, or all of what its ends would drive through it; of a valve said to be shut, b [kg/s] is what flows through it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from serai.errors import SeraiError
from serai.estimate.meters import ENDS
from serai.system import System

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.estimate import Estimate
    from serai.estimate.problem import Problem
    from serai.network import Network
    from serai.system.equations import Stamp

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

LINES = ("lines", "transformers", "branches")
OPEN, CLOSED, VALVE = "branch open", "branch closed", "valve open"
SWITCHED = {OPEN: ("in_service", 0.0), CLOSED: ("in_service", 1.0), VALVE: ("open", 1.0)}  # the Known that confirms


@dataclass(frozen=True)
class Outside:
    """Branches that are said to be out of service between live buses: the laws they would add to a system.

    stamp    of the same branches in a system in which they are in; which (n,) of its instances they are
    columns  (4, n) of that system's quantities in the present one; rows (4, n) balances of both ends in the present one
    """

    names: tuple[str, ...]
    stamp: Stamp
    which: Ints
    columns: Ints
    rows: Ints


_outside: WeakKeyDictionary[Problem, Outside | None] = WeakKeyDictionary()


@dataclass(frozen=True)
class Switches:
    """Branches and valves as directions, those that are in first, then those that are out, then valves.

    kinds, names (n,)
    rows (4, n)   laws that break; flows (4, n) by how much for b = 1
    meters, of_meter, reads (n_meter,)   meters at the ends of branches that are in, whose they are, what they read
    slope, information (n,)   what meters of branches that are out say by themselves: they are not in the estimate
    """

    kinds: tuple[str, ...]
    names: tuple[str, ...]
    rows: Ints
    flows: Floats
    meters: Ints
    of_meter: Ints
    reads: Floats
    slope: Floats
    information: Floats

    @classmethod
    def none(cls) -> Switches:
        """Return an empty set."""
        no, flat = np.empty(0, np.intp), np.empty(0)
        return cls((), (), np.empty((4, 0), np.intp), np.empty((4, 0)), no, no, flat, flat, flat)

    @classmethod
    def at(cls, e: Estimate) -> Switches:
        """Evaluate all of them at the estimate."""
        problem = e._ready()  # noqa: SLF001 - what meters read stands in the buffers of the problem
        stamps = e.problem.frame.system.equations.stamps_of("branch")
        found, ends = cls.none(), np.empty((0, 3), np.intp)
        if stamps:
            s = stamps[0]
            flows = _flows(s, np.arange(len(s.names)), e.x[s.columns])
            ends = np.array(problem.functions.of_branches, np.intp).reshape(-1, 3)
            reads = problem.h[ends[:, 0]].copy()
            still = np.zeros(len(s.names))
            found = cls((OPEN,) * len(s.names), s.names, s.rows, flows, ends[:, 0], ends[:, 1], reads, still, still)
        for more in (_closed(e), _valves(e)):
            found = found._with(more)
        return found

    def _with(self, more: tuple[str, tuple[str, ...], Ints, Floats, Floats, Floats]) -> Switches:
        kind, names, rows, flows, slope, information = more
        return Switches(
            (*self.kinds, *(kind,) * len(names)), (*self.names, *names), np.hstack([self.rows, rows]),
            np.hstack([self.flows, flows]), self.meters, self.of_meter, self.reads,
            np.append(self.slope, slope), np.append(self.information, information),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.names)

    def into(self, readings: Floats, laws: Floats, k: int) -> None:
        """Add the direction of number k to vectors over the readings and the law rows."""
        mine = self.of_meter == k
        readings[self.meters[mine]] -= self.reads[mine]
        np.add.at(laws, self.rows[:, k], self.flows[:, k])

    def dot(self, by_reading: Floats, by_law: Floats) -> Floats:
        """Return the product of every direction with vectors over readings and law rows (n,)."""
        of_meters = np.bincount(self.of_meter, self.reads * by_reading[self.meters], minlength=len(self))
        return np.asarray((self.flows * by_law[self.rows]).sum(axis=0) - of_meters)


def _flows(stamp: Stamp, which: Ints, x: Floats) -> Floats:
    """Return what branches bring to the balances of both ends (4, n) at quantities x (4, n): less what meters read."""
    given = np.vstack([x, np.array(stamp.parameters)[:, which]])
    return np.array([stamp.law.formula(*given[:, k])[:4] for k in range(given.shape[1])]).reshape(-1, 4).T


# ------------------------------------------------------------------------------------------------- said to be out


def said_out(network: Network) -> list[str]:
    """Return the grid branches that are out of service."""
    return [n for kind in LINES for n in network[kind].names if n not in network.active(kind)]


def _lay(e: Estimate) -> Outside | None:
    """Lay out the branches that are out, once for each matrix."""
    system = e.problem.frame.system
    out = said_out(system.network)
    if not out or not system.power.names:
        return None
    try:
        whole = System(system.network.with_status(out, "in service"), system.knowns, steady=False)
    except SeraiError:  # one of them would join what cannot stand together
        return None
    stamp, eq, own = whole.power.branch_stamp, whole.equations, system.equations
    if stamp is None:
        return None
    row = {label: k for k, label in enumerate(e.laws)}
    which, columns, rows = [], [], []
    for k, name in enumerate(stamp.names):
        if name not in out:
            continue
        at = [eq.columns.name(int(c)) for c in stamp.columns[:, k]]
        balances = [eq.row_name(int(r)) for r in stamp.rows[:, k]]
        if all(n in own.columns[q].index for q, n in at) and all(b in row for b in balances):
            which.append(k)
            columns.append([own.columns[q].index[n] for q, n in at])
            rows.append([row[b] for b in balances])
    if not which:
        return None
    return Outside(tuple(stamp.names[k] for k in which), stamp, np.array(which), np.array(columns).T, np.array(rows).T)


def _closed(e: Estimate) -> tuple[str, tuple[str, ...], Ints, Floats, Floats, Floats]:
    """Return the branches said to be out as directions, with what their own meters say."""
    if e.problem not in _outside:
        _outside[e.problem] = _lay(e)
    laid = _outside[e.problem]
    if laid is None:
        return CLOSED, (), np.empty((4, 0), np.intp), np.empty((4, 0)), np.empty(0), np.empty(0)
    flows = _flows(laid.stamp, laid.which, e.x[laid.columns])
    slope, information = np.zeros(len(laid.names)), np.zeros(len(laid.names))
    of = {name: k for k, name in enumerate(laid.names)}
    for j, m in enumerate(e.meters):
        if m.where in of and m.quantity in ENDS and np.isfinite(e.values[j]) and e.sigmas[j] > 0.0:
            k, read = of[m.where], -flows[ENDS.index(m.quantity), of[m.where]]
            slope[k] += read * e.values[j] / e.sigmas[j] ** 2
            information[k] += read**2 / e.sigmas[j] ** 2
    return CLOSED, laid.names, laid.rows, -flows, slope, information


def _valves(e: Estimate) -> tuple[str, tuple[str, ...], Ints, Floats, Floats, Floats]:
    """Return the valves said to be shut as directions: gas that goes from one side to the other."""
    frame = e.problem.frame
    g = frame.system.gas
    names, rows = [], []
    row = {name: k for k, (label, name) in enumerate(e.laws) if label == "mass balance"}
    for edge in g.edges:
        column = frame.system.equations.columns["flow"].index[edge.name] if edge.kind == "valves" else -1
        if column in frame.fixed and frame.fixed[column].known.quantity == "open":
            names.append(edge.element)
            a, b = row[g.names[edge.start]], row[g.names[edge.end]]
            rows.append([a, b, a, b])
    flows = np.tile([[-0.5], [0.5], [-0.5], [0.5]], len(names))
    still = np.zeros(len(names))
    return VALVE, tuple(names), np.array(rows, np.intp).reshape(-1, 4).T, flows, still, still
