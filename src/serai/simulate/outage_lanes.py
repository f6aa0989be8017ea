# SPDX-License-Identifier: Apache-2.0
"""Single losses of a network together: the intact network's equations, and what each loss changes in them.

Every loss is a scenario of one pattern. A branch of the grid that is gone has no admittance; a pipe that is gone says
"flow = 0" in the place of its momentum; a unit that is gone, "power = 0". For that, each set-point that a loss or a
mode can take over is an equation of its own (`Frame`): a station that is passed through says "ratio = 1" in the place
of its outlet pressure, a bus without its unit's voltage "reactive power = 0", a field that comes to hold the pressure
of a part that is cut off "pressure" in the place of its supply. Islands are found on the graph for each loss; modes are
settled round by round, each scenario with its own. Many losses are solved in lanes; where compiling those would take
longer than the losses themselves, the same equations are solved in turn.

What does not fit this is left out of the answer, and `outages` examines it alone: a dead part of the grid, a loop of
open stations, modes that cycle, what does not come to rest or cannot be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from serai.errors import NoReference, SeraiError, SingularSystem
from serai.known import Known
from serai.simulate.certificate import Absent, certify_all, worst_of_all
from serai.simulate.extract import arrays, names_of
from serai.simulate.limits import breaks_each
from serai.simulate.modes import PATIENCE
from serai.simulate.outage_islands import Intact, Loss, UnfitError
from serai.simulate.steady import ACCEPTED, Run
from serai.sparse import newton
from serai.system import Closed, Fixed
from serai.system.batch import CONVERGED, Batch, Changes
from serai.system.gas import circulations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from serai.network import Network
    from serai.simulate.limits import Break

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]
    Balance = Callable[[NoReference, tuple[Known, ...]], list[Known]]

ROUNDS = 8  # of mode switches in lanes
PARTS = 8  # parts of the gas network that one loss may leave to be balanced
SIZES = (2, 6, 1_000)  # equations that a scenario swaps: scenarios with about as many go together
ONE_BY_ONE, COMPILING = 5e-6, 15.0  # s an unknown that a loss takes in plain numbers; s that compiling lanes takes
STATIONS = ("compressors", "control_valves")
CONTROLS = {
    "compressors": ("ratio", "outlet_pressure", "inlet_pressure", "flow", "power", "open"),
    "control_valves": ("outlet_pressure", "inlet_pressure", "flow", "pressure_drop", "open"),
}


@dataclass
class Survived:
    """What one loss leaves: what `outages` asks of a result.

    delivered, drawn, supplied   in the order of the network's offtakes, loads, supplies in service; nan = not there
    modes                        element -> mode of what has left its set-point
    """

    delivered: Floats
    drawn: Floats
    supplied: dict[str, float]
    breaks: list[Break]
    modes: dict[str, str]
    notes: Sequence[tuple[str, str]]
    mismatch: float
    relief: list[Known] = field(default_factory=list)


class Frame(Intact):
    """The intact network, its set-points as equations, laid out for lanes.

    knowns  in force in the intact network, units at their output included; distributed: units share what is lacking
    lanes   whether to solve in lanes; None = where it pays for compiling them
    """

    def __init__(self, network: Network, knowns: Iterable[Known], *, hour: float | None, distributed: bool) -> None:
        super().__init__(network, knowns, hour=hour, distributed=distributed)
        self.lanes: bool | None = None
        self.run = Run(self.system)
        self._separate(self.run.solve(cold=True).x)

    def _separate(self, base: Floats) -> None:
        """Give every set-point that may give way an equation x = s of its own, s a new known column."""
        s, c = self.system, self.system.equations.columns
        devices = self.run.modes.devices
        chosen = {d.modes[d.home][0] for d in devices}
        for quantity in ("pressure", "magnitude"):
            chosen |= {k for k in self.fixed if quantity in c and k in range(*_range(c[quantity]))}
        self.station: dict[str, int] = {}
        for known in s.knowns:
            kind = s.network.kind_of(known.where)
            if known.quantity in CONTROLS.get(kind, ()):
                placed = s.place(known)
                if placed is not None:
                    self.station[known.where] = placed[0]
                    chosen.add(placed[0])
        supplies = {node for node, sign, _, _ in self.terminals if sign < 0.0}
        chosen |= {c["withdrawal"].first + n for n in supplies if c["withdrawal"].first + n in self.fixed}
        chosen &= self.fixed.keys()
        loops = circulations(s.gas, self.fixed)
        self.row_of: dict[int, int] = {}
        self.given_of: dict[int, int] = {}
        fixed, values = dict(self.fixed), [base]
        for block in list(c.blocks.values()):
            mine = sorted(k for k in chosen if k in range(*_range(block)))
            if not mine:
                continue
            names = [block.names[k - block.first] for k in mine]
            given = c.add(f"given {block.quantity}", names, block.scale, 0.0)
            rows = s.equations.add_rows(f"set-point of {block.quantity}", names, block.scale)
            s.equations.add("share", names, (rows,), (np.array(mine), given[:]), offset=0.0, share=1.0)
            values.append(np.array([self.fixed[k].value for k in mine]))
            for k, row, column in zip(mine, rows.tolist(), given[:].tolist(), strict=True):
                self.row_of[k], self.given_of[k] = row, column
                fixed[column] = Fixed(column, self.fixed[k].value, self.fixed[k].known)
                del fixed[k]
        if circulations(s.gas, fixed) != loops:
            raise UnfitError  # a loop without resistance that a set-point closes
        self.loops = loops
        self.x = np.concatenate(values)
        self.closed = Closed(s, fixed)
        self.place = {int(c): k for k, c in enumerate(self.closed.free)}

    @cached_property
    def batch(self) -> Batch:
        """The equations laid out for lanes."""
        return Batch(self.closed, self.x, varying=("branch",))

    # --------------------------------------------------------------------------------------------------- what is lost

    def describe(self, name: str, loss: Sequence[Known], balance: Balance) -> Loss:
        """Return a loss as a scenario; UnfitError where lanes do not know it."""
        found = Loss(name, dict(self.value))
        self._take(found, loss)
        grid = self.network.kind_of(name) in ("lines", "transformers", "branches")
        idle: set[int] = set()
        for _ in range(PARTS + 1):
            if grid:
                break
            error, idle = self.undetermined(found)
            if error is None:
                break
            try:
                relief = balance(error, (*self.knowns, *loss, *found.relief))
            except SeraiError:
                relief = []
            if not relief:
                raise UnfitError
            found.relief += relief
            self._take(found, relief)
        else:
            raise UnfitError
        found.nodes = idle
        found.edges = {k for k in range(len(self.start)) if self.start[k] in idle or self.end[k] in idle}
        self._translate(found)
        return found

    def _take(self, found: Loss, knowns: Iterable[Known]) -> None:
        """Put Knowns in force, as `override` would."""
        for k in knowns:
            kind = self.network.kind_of(k.where)
            if k.quantity == "in_service":
                found.out.add(k.where)
            elif k.quantity == "open" and kind in STATIONS:
                found.opened.add(k.where)
                for quantity in CONTROLS[kind]:
                    found.value.pop((k.where, quantity), None)
                found.value[k.where, "open"] = k.value
            elif kind in ("supplies", "offtakes") and k.quantity in ("pressure", "withdrawal", "supply"):
                own = "supply" if kind == "supplies" else "withdrawal"
                found.value.pop((k.where, "pressure" if k.quantity == own else own), None)
                found.value[k.where, k.quantity] = k.value
            else:
                raise UnfitError

    # ------------------------------------------------------------------------------------------------- into equations

    def _translate(self, found: Loss) -> None:
        """Say a loss in values and swapped equations."""
        for name in sorted(found.out):
            kind = self.network.kind_of(name)
            if kind == "pipes":
                self._pipe(found, name)
            elif kind in ("lines", "transformers", "branches"):
                self._branch(found, name)
            elif kind not in ("supplies", "generators"):
                raise UnfitError
        for name in sorted(found.opened):
            self._station(found, name)
        gone = self._units(found)
        self._terminals(found)
        self._fuel(found)
        devices = self.run.modes.devices
        c = self.system.equations.columns
        for k, d in enumerate(devices):
            column = d.modes[d.home][0]
            if "magnitude" in c and column in range(*_range(c["magnitude"])):
                if column - c["magnitude"].first in gone:
                    continue
            elif d.name in found.opened or set(self.edges_of[d.name]) & found.edges:
                continue
            found.devices.append(k)
        found.modes = [devices[k].home for k in found.devices]
        found.switches = [0] * len(found.devices)

    def _pipe(self, found: Loss, name: str) -> None:
        if name not in self.momentum:
            raise UnfitError
        edges = self.edges_of[name]
        ends = {int(x[k]) for k in edges for x in (self.start, self.end)}
        found.edges |= set(edges)
        if not ends & found.nodes:  # what hangs dead behind it takes nothing, and its pressure from here
            row, flow = self.momentum[name]
            found.swaps[row] = flow, 0.0

    def _branch(self, found: Loss, name: str) -> None:
        """A branch without admittance; a grid that falls apart is another matter."""
        if name in self.stubs or name not in self.branches_of:
            raise UnfitError
        found.branches = self.branches_of[name]
        if self.parts_of_grid(found.branches) != self.grid_parts:
            raise UnfitError

    def _station(self, found: Loss, name: str) -> None:
        c = self.system.equations.columns
        kind = "ratio" if self.network.kind_of(name) == "compressors" else "drop"
        own, neutral = self.station.get(name), 1.0 if kind == "ratio" else 0.0
        if own is None or kind not in c or name not in c[kind].index:
            raise UnfitError
        self._hold(found, own, c[kind].index[name], neutral)

    def _hold(self, found: Loss, home: int, column: int, value: float) -> None:
        """Let a column be known in the place of the one that a set-point holds."""
        if home == column:
            found.values[self.given_of[home]] = value
        else:
            found.swaps[self.row_of[home]] = column, value

    def _units(self, found: Loss) -> set[int]:
        """Stop the units that are out; return the nodes that none of them holds any more."""
        out = [n for n in self.system.power.generators if n in found.out]
        if not out:
            return set()
        power, c = self.system.power, self.system.equations.columns
        known_at = self.system.known_at
        nodes: dict[int, list[str]] = {}
        for name in out:
            if "angle" in known_at[name]:
                raise UnfitError
            self._no_power(found, name)
            if "magnitude" in known_at[name]:
                nodes.setdefault(power.at(name), []).append(name)
            else:
                self._set(found, c["reactive_power"].index[name], 0.0)
        gone = set()
        for node, lost in nodes.items():
            gone |= self._no_voltage(found, node, lost)
        return gone

    def _no_power(self, found: Loss, name: str) -> None:
        """Stop one unit: what it makes, and what it burns."""
        power, c = self.system.power, self.system.equations.columns
        column = c["active_power"].index[name]
        t = self.network["generators"]
        if power.sharing is not None and name in power.sharing.names:
            if not t["participation"][t.row(name)] > 0.0:
                raise UnfitError  # several units swing at one node by their size
            row = int(power.sharing.rows[0][power.sharing.names.index(name)])
            found.swaps[row] = column, 0.0
        else:
            self._set(found, column, 0.0)

    def _no_voltage(self, found: Loss, node: int, lost: list[str]) -> set[int]:
        """Let units at a node make no reactive power; the node itself, where none is left to hold its voltage."""
        power, c, t = self.system.power, self.system.equations.columns, self.network["generators"]
        known_at = self.system.known_at
        holding = [n for n in power.generators if power.at(n) == node and "magnitude" in known_at[n]]
        left = [n for n in holding if n not in lost]
        shares = {
            name: int(stamp.rows[0, k])
            for stamp in self.system.equations.stamps_of("share")
            if stamp is not power.sharing
            for k, name in enumerate(stamp.names)
            if stamp.columns[0, k] == c["reactive_power"].index.get(name, -1)
        }
        limits = [t[x][[t.row(n) for n in holding]] for x in ("reactive_power_min", "reactive_power_max")]
        rows = [t.row(n) for n in left]
        ranged = np.isfinite(limits).all() and (t["reactive_power_max"][rows] > t["reactive_power_min"][rows]).any()
        if left and not ranged:
            raise UnfitError
        first = lost if left else lost[1:]
        for name in first:
            found.swaps[shares[name]] = c["reactive_power"].index[name], 0.0
        if left:
            return set()
        column = c["magnitude"].first + node
        if column not in self.row_of:
            raise UnfitError
        found.swaps[self.row_of[column]] = c["reactive_power"].index[lost[0]], 0.0
        return {node}

    def _set(self, found: Loss, column: int, value: float) -> None:
        if column in self.given_of:
            found.values[self.given_of[column]] = value
        elif column in self.fixed:
            found.values[column] = value
        else:
            raise UnfitError

    def _terminals(self, found: Loss) -> None:
        """Say what nodes take and which of them hold a pressure."""
        c = self.system.equations.columns
        w, p = c["withdrawal"].first if "withdrawal" in c else 0, c["pressure"].first if "pressure" in c else 0
        now = self.withdrawals(found.value, found.out)
        holding = {
            self.node_at[where]: value
            for (where, quantity), value in found.value.items()
            if quantity == "pressure" and where in self.node_at and where not in found.out
        }
        before = {self.node_at[w] for (w, q) in self.value if q == "pressure" and w in self.node_at}
        for node in sorted({*self.withdrawn, *now}):
            (old, was_free), (new, free) = self.withdrawn.get(node, (0.0, False)), now.get(node, (0.0, False))
            if not was_free and not free:
                if old != new:
                    self._set(found, w + node, new)
            elif free and not was_free:
                if node in before or node not in holding or w + node not in self.row_of:
                    raise UnfitError
                found.swaps[self.row_of[w + node]] = p + node, holding[node]
            elif was_free and not free:
                if node in holding or node not in before or p + node not in self.row_of:
                    raise UnfitError
                found.swaps[self.row_of[p + node]] = w + node, new
            elif (node in holding) != (node in before):
                raise UnfitError
        if any(self.fixed[p + n].value != v for n, v in holding.items() if n in before):
            raise UnfitError

    def _fuel(self, found: Loss) -> None:
        """Let plants of units that are out, or without gas, burn nothing; drives must have theirs."""
        c, g, net = self.system.equations.columns, self.system.gas, self.system.network
        t = net.active("plants")
        stamp = next(iter(self.system.equations.stamps_of("plant_fuel")), None)
        for k, name in enumerate(stamp.names if stamp is not None else ()):
            row = t.row(name)
            if str(t["generator"][row]) in found.out or g.node[str(t["gas_node"][row])] in found.nodes:
                found.swaps[int(stamp.rows[0, k])] = int(stamp.columns[1, k]), 0.0  # type: ignore[union-attr]  # it has names
                found.plants.add(k)
        drives = net.active("drives")
        for name in c["fuel"].names if "fuel" in c else ():
            at = str(drives["fuel_node"][drives.row(name)])
            if at and g.node[at] in found.nodes:
                raise UnfitError

    # ---------------------------------------------------------------------------------------------------------- solve

    def examine(self, losses: Sequence[Loss]) -> dict[str, Survived]:
        """Solve losses in lanes, modes and all; what does not come to rest is left out."""
        going, settled = list(losses), []
        for _ in range(ROUNDS):
            wanting = []
            for loss, x in self._solved(going):
                if self._switched(loss, x):
                    wanting.append(loss)
                else:
                    settled.append((loss, x))
            going = [loss for loss in wanting if max(loss.switches) < PATIENCE and self._alike(loss)]
            if not going:
                break
        return self._survived(settled)

    def _solved(self, losses: list[Loss]) -> list[tuple[Loss, Floats]]:
        """Return the states (n_column,) of the losses that come to rest."""
        lanes = self.lanes if self.lanes is not None else len(losses) * self.closed.n * ONE_BY_ONE > COMPILING
        if lanes:
            return self._in_lanes(losses)
        found = ((loss, self._in_turn(loss)) for loss in losses)
        return [(loss, x) for loss, x in found if x is not None]

    def _in_lanes(self, losses: list[Loss]) -> list[tuple[Loss, Floats]]:
        out, low = [], 0
        given = sorted({c for loss in losses for c in loss.values})
        for high in SIZES:
            group = [loss for loss in losses if low <= len(loss.swaps) + len(self._off(loss)) <= high]
            low = high + 1
            if not group:
                continue
            table = np.tile(self.x[given], (len(group), 1))
            for k, loss in enumerate(group):
                for column, value in loss.values.items():
                    table[k, given.index(column)] = value
            changes = Changes([loss.swaps | self._off(loss) for loss in group], {"branch": [x.branches for x in group]})
            answer = self.batch.solve(np.array(given, np.int64), table, alone=False, changes=changes)
            out += [(loss, answer.x[k]) for k, loss in enumerate(group) if answer.status[k] == CONVERGED]
        return out

    def _in_turn(self, loss: Loss) -> Floats | None:
        """Solve one loss by the same equations and swaps in plain numbers; None where it does not come to rest."""
        closed = self.closed
        closed.x[:] = self.x
        for column, value in loss.values.items():
            closed.x[column] = value
        swapped = _Swapped(closed, loss.swaps | self._off(loss), self.place)
        scale = closed.column_scales[closed.free]
        branches = [s for s in closed.stamps if s.law.name == "branch"] if loss.branches else []
        whole = [s.parameters.copy() for s in branches]
        try:
            for s in branches:
                s.parameters[:, loss.branches] = 0.0
            result = newton(swapped.evaluate, closed.x[closed.free] / scale, swapped, polish=True)  # type: ignore[arg-type]  # it factors and solves as an LU does
        except SingularSystem:
            return None
        finally:
            for s, before in zip(branches, whole, strict=True):
                s.parameters[:] = before
        if not result.converged:
            return None
        closed.x[closed.free] = result.x * scale
        return closed.x.copy()

    def _off(self, loss: Loss) -> dict[int, tuple[int, float]]:
        """Return the swaps of the devices that are off their set-point."""
        devices = self.run.modes.devices
        return {
            self.row_of[devices[k].modes[devices[k].home][0]]: devices[k].modes[mode]
            for k, mode in zip(loss.devices, loss.modes, strict=True)
            if mode != devices[k].home
        }

    def _switched(self, loss: Loss, x: Floats) -> bool:
        """Let every device take the mode that fits the state; tell whether any did."""
        changed = False
        for place, k in enumerate(loss.devices):
            mode = self.run.modes.devices[k].test(x, loss.modes[place])
            if mode != loss.modes[place]:
                loss.modes[place] = mode
                loss.switches[place] += 1
                changed = True
        return changed

    def _alike(self, loss: Loss) -> bool:
        """Whether the open stations of a loss close no other loop without resistance than the intact network has."""
        known = {c: f.value for c, f in self.fixed.items()}
        for column, given in self.given_of.items():
            known[column] = loss.values.get(given, self.fixed[column].value)
        row_of = {row: column for column, row in self.row_of.items()}
        for row, (column, value) in (loss.swaps | self._off(loss)).items():
            if row in row_of:
                known.pop(row_of[row], None)
            known[column] = value
        nobody = Known("open", "", 0.0)
        return circulations(self.system.gas, {c: Fixed(c, v, nobody) for c, v in known.items()}) == self.loops

    # -------------------------------------------------------------------------------------------------------- results

    def _survived(self, settled: list[tuple[Loss, Floats]]) -> dict[str, Survived]:
        """Judge states, and read from them what `outages` asks for."""
        settled = [(loss, x) for loss, x in settled if self._possible(loss, x)]
        if not settled:
            return {}
        losses = [loss for loss, _ in settled]
        X = np.stack([x for _, x in settled])
        fuel = self.system.equations.columns.blocks.get("plant_fuel", ())
        counts = {"edges": len(self.start), "branches": len(self.system.power.ends[0]), "plants": len(fuel)}
        absent = Absent(**{part: _mask([getattr(x, part) for x in losses], n) for part, n in counts.items()})
        mismatch = worst_of_all(certify_all(self.system, X, absent=absent))
        dims = names_of(self.network)
        data = {
            name: np.array(np.broadcast_to(x, (len(X), *np.shape(x)[1:])))
            for name, (_, x) in arrays(self.system, X, dims).items()
        }
        for k, loss in enumerate(losses):
            self._blank(loss, {name: x[k] for name, x in data.items()}, dims, X[k])
        found = breaks_each(self.network, data, dims)
        nothing = np.zeros((len(X), 0))
        delivered, drawn, supplied = (data.get(x, nothing) for x in ("delivered", "drawn", "supplied"))
        return {
            loss.name: Survived(
                delivered[k], drawn[k], dict(zip(dims.get("supply", ()), supplied[k].tolist(), strict=False)),
                found[k], self._modes(loss), self.system.notes, float(mismatch[k]), loss.relief,
            )
            for k, loss in enumerate(losses)
            if mismatch[k] <= ACCEPTED
        }  # fmt: skip

    def _modes(self, loss: Loss) -> dict[str, str]:
        devices = [self.run.modes.devices[k] for k in loss.devices]
        return {d.name: mode for d, mode in zip(devices, loss.modes, strict=True) if mode != d.home}

    def _possible(self, loss: Loss, x: Floats) -> bool:
        """Whether a state can be (see `refuse_impossible`)."""
        s, c = self.system, self.system.equations.columns
        if s.gas.names:
            p = np.delete(x[c["pressure"].span], list(loss.nodes))
            if not (p > 0.0).all():
                return False
        if s.power.names:
            v, a = x[c["magnitude"].span], x[c["angle"].span]
            (f, t), shift = s.power.ends, s.power.branches.shift[s.power.alive_branch]
            inside = np.delete(np.cos(a[f] - a[t] - shift), loss.branches)
            return bool((v > 0.0).all() and (inside > 0.0).all())
        return True

    def _blank(self, loss: Loss, data: dict[str, Floats], dims: dict[str, list[str]], x: Floats) -> None:
        """Put nan where a loss leaves nothing, and divide what nodes exchange by the Knowns of this loss."""
        g = self.system.gas
        dead = {g.names[k] for k in loss.nodes}
        gone = loss.out | {g.edges[k].element for k in loss.edges}
        for variable, dim, names in (
            ("pressure", "gas_node", dead), ("flow", "gas_branch", gone), ("ratio", "compressor", gone),
            ("power", "compressor", gone), ("active_power", "generator", loss.out),
            ("reactive_power", "generator", loss.out), ("loading", "grid_branch", loss.out),
        ):  # fmt: skip
            if variable in data and names:
                data[variable][[n in names for n in dims[dim]]] = np.nan
        if not (loss.relief or loss.nodes or any(self.network.kind_of(n) == "supplies" for n in loss.out)):
            return
        left: dict[int, float] = {}
        swings: dict[int, list[tuple[str, float]]] = {}
        amount: dict[str, float] = {}
        first = self.system.equations.columns["withdrawal"].first
        for node, sign, name, quantity in self.terminals:
            if name in loss.out or node in loss.nodes:
                continue
            known = loss.value.get((name, quantity))
            left.setdefault(node, float(x[first + node]))
            if known is None:
                swings.setdefault(node, []).append((name, sign))
            else:
                amount[name] = known
                left[node] -= sign * known
        for node, those in swings.items():
            for name, sign in those:
                amount[name] = sign * left[node] / len(those)
        for variable, dim in (("supplied", "supply"), ("delivered", "offtake")):
            if variable in data:
                data[variable][:] = [amount.get(n, np.nan) for n in dims[dim]]


class _Swapped:
    """Closed equations, some of them replaced by x = target: what Newton asks of equations and of factors.

    The factors stay those of the equations as they are; see `lane_newton.correct`.
    """

    def __init__(self, closed: Closed, swaps: dict[int, tuple[int, float]], place: dict[int, int]) -> None:
        self.closed, self.lu = closed, closed.matrix()
        self.rows = np.array(list(swaps), np.intp)
        self.columns = np.array([place[c] for c, _ in swaps.values()], np.intp)
        self.targets = np.array([v for _, v in swaps.values()]) / closed.column_scales[closed.free[self.columns]]

    def evaluate(self, z: Floats) -> tuple[Floats, Floats]:
        """Return the scaled residual (n,) and the matrix data of the equations as they are."""
        residual, data = self.closed.evaluate(z)
        residual[self.rows] = z[self.columns] - self.targets
        return residual, data

    def factor(self, data: Floats) -> None:
        """Factor, and find what each of the replaced rows moves."""
        self.lu.factor(data)
        self.Z = np.empty((self.closed.n, len(self.rows)))
        for k, row in enumerate(self.rows):
            unit = np.zeros(self.closed.n)
            unit[row] = 1.0
            self.Z[:, k] = self.lu.solve(unit)

    def solve(self, rhs: Floats) -> Floats:
        """Return the step (n,) of the replaced equations."""
        y = self.lu.solve(rhs)
        if not len(self.rows):
            return y
        try:
            a = np.linalg.solve(self.Z[self.columns], y[self.columns] - rhs[self.rows])
        except np.linalg.LinAlgError:
            raise SingularSystem("the replaced equations have no answer") from None
        return np.asarray(y - self.Z @ a)


def frame(network: Network, knowns: Iterable[Known], *, hour: float | None, distributed: bool) -> Frame | None:
    """Return the frame of a network; None where its set-points or its own state do not fit one."""
    try:
        return Frame(network, knowns, hour=hour, distributed=distributed)
    except (UnfitError, SeraiError):
        return None


def describe(frame: Frame, name: str, loss: Sequence[Known], balance: Balance) -> Loss | None:
    """Return a loss as a scenario of the frame; None where lanes do not know it."""
    try:
        found = frame.describe(name, loss, balance)
    except UnfitError:
        return None
    return found if not found.opened or frame._alike(found) else None  # noqa: SLF001 - of this module


def _range(block: object) -> tuple[int, int]:
    span = block.span  # type: ignore[attr-defined]  # a Block
    return span.start, span.stop


def _mask(parts: Sequence[Iterable[int]], count: int) -> NDArray[np.bool_]:
    out = np.zeros((len(parts), count), bool)
    for k, those in enumerate(parts):
        out[k, list(those)] = True
    return out
