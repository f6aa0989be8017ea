# SPDX-License-Identifier: Apache-2.0
"""Steady state: exact Knowns, time step infinite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from serai.errors import NotClosed, NotConverged, PhysicsRefused, SingularSystem
from serai.simulate.certificate import certify, worst
from serai.simulate.extract import dataset, names_of
from serai.simulate.labelled import Result
from serai.simulate.modes import ROUNDS, Modes
from serai.system import Closed, System, override
from serai.system.gas import circulations

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from serai.known import Known
    from serai.network import Network
    from serai.system import Fixed, Solution

    Floats = NDArray[np.float64]

ACCEPTED = 1e-7  # of a recomputed mismatch: a larger one is not handed out as an answer


def steady(
    network: Network,
    knowns: Iterable[Known] = (),
    *,
    hour: float | None = None,
    q_limits: bool = True,
    cell: float | None = None,
    distributed: bool = False,
) -> Result:
    """Solve the steady state of gas and power together.

    network  what exists; its own set-points of its day hold unless `knowns` replace them
    knowns   exact Knowns (sigma 0), SI; a new control of a station takes the place of the old one

    Other arguments
    hour         take the profiles at this hour [h, local time]; None = the day's mean
    q_limits     let generators that run out of reactive power give up their voltage (and take it back)
    cell         cut pipes into cells of at most this length [m]; None = one cell a pipe, exact for level pipes
    distributed  all units with a participation share the swing, not the balance unit alone

    Raises NotClosed or NoReference (what is known does not fit), NotConverged, ModeCycle, SingularSystem, or
    PhysicsRefused (a demand that cannot flow: a pressure would fall below zero), each naming elements.
    """
    own = override(network, network.knowns(hour), knowns)
    system = System(network, own, cell=cell, distributed=distributed)
    run = Run(system, q_limits=q_limits)
    solution = run.solve(cold=True)
    return result_of(network, system, solution.x[None, :], run)


class Run:
    """One system with its modes, solved until every mode fits: the part that steady and transient jobs share."""

    def __init__(self, system: System, *, q_limits: bool = True, transient: bool = False) -> None:
        """Close the system by its own Knowns."""
        self.system = system
        self.transient = transient
        self.modes = Modes(system, q_limits=q_limits)
        self.closed = Closed(system, self.modes.fixed, transient=transient)
        self._patterns: dict[object, Closed] = {self._key(self.modes.fixed): self.closed}
        self.iterations = 0

    def solve(self, *, cold: bool = False) -> Solution:
        """Solve, switch modes, solve again until none wants to switch; PhysicsRefused for a pressure below zero."""
        self.modes.rest()
        solution = self.first(cold=cold)
        self.iterations += solution.iterations
        for _ in range(ROUNDS):
            if not self.modes.step(solution.x):
                refuse_impossible(self.system, solution.x)
                return solution
            solution = self._switched(solution.x)
            self.iterations += solution.iterations
        raise self.modes.cycled()

    def _switched(self, x: Floats) -> Solution:
        """Solve with the modes just switched; closing a station may leave its far side without a source."""
        try:
            self.close(self.modes.fixed, x)
            return self.first(cold=False)
        except (NotClosed, SingularSystem):
            closed = [name for name, mode in self.modes.report().items() if mode == "closed"]
            if not closed:
                raise
            msg = (
                f"the flow through {', '.join(closed)} would have to turn, against the station: what lies there has no "
                f"other way. Take less (or feed less) there, open the station with `open` 1, or give a pressure there."
            )
            raise PhysicsRefused(msg, closed) from None

    def first(self, *, cold: bool = False) -> Solution:
        """Solve with the modes as they are, from the state at hand, or anew where that lies too far away."""
        try:
            return self.closed.solve(cold=cold)
        except NotConverged:
            if cold:
                raise
            return self.closed.solve(cold=True)  # a warm start may lie too far away after an event

    def _key(self, fixed: Mapping[int, Fixed]) -> object:
        """What two closed systems must share to be one: the known columns, and the loops without resistance."""
        return frozenset(fixed), circulations(self.system.gas, fixed)

    def close(self, fixed: Mapping[int, Fixed], x: Floats) -> None:
        """Take other Knowns, from the state x (n_column,); a pattern met before keeps its factoriser."""
        key = self._key(fixed)
        if key not in self._patterns:
            self._patterns[key] = Closed(self.system, fixed, transient=self.transient)
        self.closed = self._patterns[key]
        self.closed.x[:] = x
        self.closed.set_known(fixed)


def refuse_impossible(system: System, x: Floats) -> None:
    """Raise PhysicsRefused, naming elements, when the state solves the equations but cannot be.

    A pressure or a voltage that is not above zero; a branch whose ends are more than a quarter turn apart, which is
    beyond the most that it can carry at any voltage.
    """
    c = system.equations.columns
    if system.gas.names:
        _refuse(
            ~(x[c["pressure"].span] > 0.0), x[c["pressure"].span], system.gas.names,
            "the demand cannot flow: the pressure would fall below zero at {}. Take less there, raise a pressure "
            "upstream, or run a compressor on the way.",
        )  # fmt: skip
    if system.power.names:
        g, v, a = system.power, x[c["magnitude"].span], x[c["angle"].span]
        _refuse(~(v > 0.0), v, g.names, "the voltage would not be above zero at {}. Take less load there.")
        (f, t), shift = g.ends, g.branches.shift[g.alive_branch]
        inside = np.cos(a[f] - a[t] - shift)
        names = [str(name) for name in g.branches.name[g.alive_branch]]
        _refuse(
            ~(inside > 0.0), inside, names,
            "the grid cannot carry this: the voltages would be over a quarter turn apart across {}. Send less over "
            "it, or close another line beside it.",
        )  # fmt: skip


def _refuse(bad: NDArray[np.bool_], values: Floats, names: list[str], text: str) -> None:
    """Raise PhysicsRefused with the text and the names of what is bad, the worst first."""
    places = np.flatnonzero(bad)
    if len(places):
        worst_first = [names[k] for k in places[np.argsort(values[places])]]
        shown = ", ".join(worst_first[:5]) + (f" and {len(worst_first) - 5} more" if len(worst_first) > 5 else "")
        raise PhysicsRefused(text.format(shown), worst_first)


def result_of(network: Network, system: System, X: Floats, run: Run) -> Result:
    """Pack one steady state; NotConverged when the recomputed mismatch is not small."""
    mismatches = certify(system, X[0])
    value, where = worst(mismatches)
    refuse_mismatch(value, where)
    data = dataset(system, X, names_of(network)).isel(time=0)
    data.attrs = {"case": network.name, "day": network.day, "mismatch": value, "worst": where}
    return Result(
        network, data, value, where, mismatches,
        tuple((0.0, name, mode) for name, mode in run.modes.report().items()),
        tuple(system.notes), tuple(system.dead), run.iterations,
    )  # fmt: skip


def refuse_mismatch(value: float, where: str) -> None:
    """Raise NotConverged when a recomputed mismatch says that the answer is none."""
    if not value <= ACCEPTED:
        msg = f"the answer does not hold: recomputed outside the solver, the {where} is off by {value:.1e}"
        raise NotConverged(msg)
