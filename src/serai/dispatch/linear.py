# SPDX-License-Identifier: Apache-2.0
"""The linear (DC) optimal power flow: lossless, magnitudes 1, flows by angles; exact for its own model.

    minimise  sum of the generators' costs
    subject to  P_made - P_drawn - G = B a - shifts      at every bus       (price of a bus = its multiplier)
                |b (a_f - a_t - shift)| <= rating          of every branch with one
                P_min <= P <= P_max

B from the reactances and tap ratios (MATPOWER User's Manual 8.0, Eq. 3.21 to 3.29 and 6.2). Quadratic costs are solved
by HiGHS, and its answer is then made exact: with the limits that bind, the conditions of the optimum are linear
equations, solved once more and checked. It is a quick estimate for markets and a start; `dispatch` has the exact laws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import highspy
import numpy as np
import xarray as xr
from scipy.sparse import bmat, coo_array, csc_array, diags_array, hstack, vstack
from scipy.sparse.csgraph import structural_rank
from scipy.sparse.linalg import splu

from serai.dispatch import objective as goals
from serai.errors import PhysicsRefused, SeraiError
from serai.known import Known
from serai.system import System, override

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from serai.network import Network

    Floats = NDArray[np.float64]

FREE = highspy.kHighsInf
BINDING = 1e-6  # of the base power: how near to a limit is at it


@dataclass(frozen=True)
class LinearDispatch:
    """What the linear model finds.

    value    cost an hour           dataset  active_power (generator) [W], price (bus) [per Wh], angle (bus) [rad],
                                             flow (grid_branch) [W]
    residual largest violation of the conditions of the optimum, scaled
    """

    network: Network
    value: float
    dataset: xr.Dataset
    residual: float

    def setpoints(self) -> list[Known]:
        """Return the active powers as Knowns."""
        given = self.dataset["active_power"]
        return [Known("active_power", str(n), float(given.sel(generator=n)), source="linear dispatch")
                for n in given["generator"].values]  # fmt: skip


def linear_dispatch(
    network: Network,
    knowns: Iterable[Known] = (),
    *,
    hour: float | None = None,
    costs: Mapping[str, float | Sequence[float]] | None = None,
) -> LinearDispatch:
    """Return the cheapest generation under the linear model of the grid; arguments as in `dispatch`.

    Raises SeraiError for missing, concave or cubic costs, PhysicsRefused where the limits leave nothing.
    """
    own = override(network, network.knowns(hour), knowns)
    system = System(network, own)
    if not system.power.names:
        msg = f"{network.name} has no grid to dispatch"
        raise SeraiError(msg)
    model = _Model(system, goals.cost(system, costs))
    x, multipliers = model.solve()
    return model.result(x, multipliers)


class _Model:
    """min x'Qx/2 + c'x, A x = b, low <= x <= high, rows F x within ratings; x = angles, P [pu], z of broken lines."""

    def __init__(self, system: System, goal: goals.Objective) -> None:
        g, c, net = system.power, system.equations.columns, system.network
        self.system, self.goal, self.S = system, goal, net.base_power
        self.n, self.names = len(g.names), list(g.generators)
        if any(len(k.polynomial) > 3 and any(k.polynomial[:-3]) for k in goal.curves):
            msg = (
                f"{net.name}: costs of third degree are for `dispatch`; the linear model takes squares and broken lines"
            )
            raise SeraiError(msg)
        f, t = g.ends
        pick = g.alive_branch
        reactance, ratio, shift = (v[pick] for v in (g.branches.x, g.branches.ratio, g.branches.shift))
        b = 1.0 / (np.where(reactance == 0.0, 1e-4, reactance) * ratio)
        m, k = len(b), np.arange(len(b))
        self.flow = csc_array(coo_array((np.r_[b, -b], (np.r_[k, k], np.r_[f, t])), shape=(m, self.n)))
        self.shifted = -b * shift
        ends = csc_array(coo_array((np.r_[np.ones(m), -np.ones(m)], (np.r_[f, t], np.r_[k, k])), shape=(self.n, m)))
        fixed = system.fix()
        drawn = np.array([fixed[c["active_withdrawal"].first + i].value for i in range(self.n)]) / self.S
        for stamp in system.equations.stamps_of("shunt"):
            np.add.at(drawn, stamp.columns[0] - c["magnitude"].first, stamp.get("G") / self.S)
        for stamp in system.equations.stamps_of("voltage_dependent_load"):
            mine = stamp.columns[1] - c["magnitude"].first
            values = np.array([fixed[int(i)].value for i in stamp.columns[0]]) / self.S
            active = np.isin(stamp.columns[0], c["load_active_power"][:]) if "load_active_power" in c else False
            np.add.at(drawn, mine, np.where(active, values, 0.0))
        at = np.array([g.at(x) for x in self.names])
        G = len(self.names)
        made = csc_array(coo_array((np.ones(G), (at, np.arange(G))), shape=(self.n, G)))
        self.broken = [i for i, k in enumerate(goal.curves) if k.points]
        Z = len(self.broken)
        self.A = csc_array(bmat([[-(ends @ self.flow), made, csc_array((self.n, Z))]]))
        self.b = drawn + ends @ self.shifted
        self._bounds(at)
        self._costs()

    def _bounds(self, at: NDArray[np.intp]) -> None:
        net, g = self.system.network, self.system.power
        del at
        t = net["generators"]
        row = [t.row(x) for x in self.names]
        low, high = (
            np.asarray(v, float)[row] / self.S
            for v in (t["active_power_min"], net.limit("generators", "active_power_max"))
        )
        angles = np.full(self.n, np.inf)
        free = np.full(len(self.broken), np.inf)
        self.low = np.concatenate([-angles, np.where(np.isnan(low), 0.0, low), -free])
        self.high = np.concatenate([angles, np.where(np.isnan(high), np.inf, high), free])
        fixed, first = self.system.fix(), self.system.equations.columns["angle"].first
        for i in range(self.n):
            if first + i in fixed:
                self.low[i] = self.high[i] = fixed[first + i].value
        rating = g.branches.rating[g.alive_branch]
        self.rated = np.flatnonzero(rating > 0.0)
        self.rows = csc_array(bmat([[self.flow[self.rated], csc_array((len(self.rated), len(self.low) - self.n))]]))
        self.row_low = -rating[self.rated] - self.shifted[self.rated]
        self.row_high = rating[self.rated] - self.shifted[self.rated]

    def _costs(self) -> None:
        """Fill Q, c and the cuts of broken lines, in per unit of power."""
        N, G, S = len(self.low), len(self.names), self.S
        place = {column: self.n + i for i, column in enumerate(self.system.equations.columns["active_power"][:])}
        self.Q, self.c, self.constant = np.zeros(N), np.zeros(N), 0.0
        cuts, limits = [], []
        for i, k in enumerate(self.goal.curves):
            j = place[k.column]
            if k.points:
                z = self.n + G + self.broken.index(i)
                self.c[z] = 1.0
                for (x0, y0), (x1, y1) in zip(k.points, k.points[1:], strict=False):
                    slope = (y1 - y0) / (x1 - x0)
                    cuts.append({z: 1.0, j: -slope * S})
                    limits.append(y0 - slope * x0)
            else:
                a = [0.0, 0.0, 0.0, *k.polynomial][-3:]
                self.Q[j] += 2.0 * a[0] * S * S
                self.c[j] += a[1] * S
                self.constant += a[2]
        if cuts:
            r, c, v = zip(*[(i, j, v) for i, cut in enumerate(cuts) for j, v in cut.items()], strict=True)
            more = csc_array(coo_array((v, (r, c)), shape=(len(cuts), N)))
            self.rows = csc_array(bmat([[self.rows], [more]]))
            self.row_low = np.concatenate([self.row_low, limits])
            self.row_high = np.concatenate([self.row_high, np.full(len(cuts), np.inf)])

    def solve(self) -> tuple[Floats, Floats]:
        """Return x and the multipliers of the balances, exact to round-off where the active set is right."""
        highs = highspy.Highs()  # type: ignore[no-untyped-call] # highspy's constructor has no types
        for option, value in (("output_flag", False), ("primal_feasibility_tolerance", 1e-9),
                              ("dual_feasibility_tolerance", 1e-9)):  # fmt: skip
            highs.setOptionValue(option, value)
        matrix = csc_array(bmat([[self.A], [self.rows]]))
        self.unit = max(float(np.abs(self.c).max(initial=0.0)), 1e-9)
        model = highspy.HighsModel()
        lp = model.lp_
        lp.num_col_, lp.num_row_ = matrix.shape[1], matrix.shape[0]
        lp.col_lower_, lp.col_upper_, lp.col_cost_ = self.low, self.high, self.c / self.unit
        lp.row_lower_, lp.row_upper_ = np.r_[self.b, self.row_low], np.r_[self.b, self.row_high]
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
        if self.Q.any():
            hessian = csc_array(diags_array(self.Q / self.unit))
            hessian.eliminate_zeros()
            model.hessian_.dim_ = len(self.Q)
            model.hessian_.format_ = highspy.HessianFormat.kTriangular
            model.hessian_.start_, model.hessian_.index_ = hessian.indptr, hessian.indices
            model.hessian_.value_ = hessian.data
        highs.passModel(model if self.Q.any() else lp)
        highs.run()
        if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            status = highs.modelStatusToString(highs.getModelStatus()).lower()
            msg = (
                f"{self.system.network.name}: the linear model has no optimum ({status}). Generators make at most "
                f"{self.high[self.n : self.n + len(self.names)].sum() * self.S / 1e6:.6g} MW, drawn are "
                f"{self.b.sum() * self.S / 1e6:.6g} MW; or a branch is too small for what must pass it"
            )
            raise PhysicsRefused(msg)
        s = highs.getSolution()
        return self._exact(np.array(s.col_value), np.array(s.row_dual) * self.unit)

    def _exact(self, x: Floats, dual: Floats) -> tuple[Floats, Floats]:
        """Solve the conditions of the optimum for the limits that bind; keep the answer where it is one and better."""
        value = self.rows @ x
        held = (x - self.low < BINDING) | (self.high - x < BINDING)
        binding = np.flatnonzero(np.abs(dual[self.n :]) > 1e-7 * self.unit)
        target = np.where(x - self.low < self.high - x, self.low, self.high)
        pinned, free = np.flatnonzero(held), np.flatnonzero(~held)
        E = csc_array(bmat([[self.A], [self.rows[binding]]]))
        nearer = np.abs(value - self.row_low) < np.abs(value - self.row_high)
        rhs = np.r_[self.b, np.where(nearer, self.row_low, self.row_high)[binding]] - E[:, pinned] @ target[pinned]
        Ef, m = E[:, free], E.shape[0]
        upper = csc_array(hstack([csc_array(diags_array(self.Q[free])), csc_array(-Ef.T)]))
        K = csc_array(vstack([upper, csc_array(hstack([csc_array(Ef), csc_array((m, m))]))]))
        answer = _solved(K, np.r_[-self.c[free], rhs])
        if answer is None:  # limits that bind say the same twice: HiGHS's own answer stands
            self.residual = self._residual(x, dual)
            return x, dual[: self.n]
        new = x.copy()
        new[pinned], new[free] = target[pinned], answer[: len(free)]
        prices = np.zeros_like(dual)
        prices[: self.n] = answer[len(free) : len(free) + self.n]
        prices[self.n + binding] = answer[len(free) + self.n :]
        found = [(self._residual(a, p), k) for k, (a, p) in enumerate(((x, dual), (new, prices)))]
        self.residual, k = min(found)
        return (x, dual[: self.n]) if k == 0 else (new, prices[: self.n])

    def _residual(self, x: Floats, dual: Floats) -> float:
        """Return the largest violation of the conditions of the optimum (Karush, Kuhn, Tucker), scaled."""
        reduced = (self.Q * x + self.c - self.A.T @ dual[: self.n] - self.rows.T @ dual[self.n :]) / self.unit
        at_low, at_high = x - self.low < BINDING, self.high - x < BINDING
        wrong = np.where(at_low & at_high, 0.0, np.where(at_low, np.minimum(reduced, 0.0),
                         np.where(at_high, np.maximum(reduced, 0.0), reduced)))  # fmt: skip
        value = self.rows @ x
        outside = np.concatenate([self.low - x, x - self.high, self.row_low - value, value - self.row_high])
        balance = np.abs(self.A @ x - self.b)
        return float(max(np.abs(wrong).max(), outside.max(initial=0.0), balance.max()))

    def result(self, x: Floats, prices: Floats) -> LinearDispatch:
        """Label the answer."""
        net, g = self.system.network, self.system.power
        value = float(self.Q @ (x * x) / 2.0 + self.c @ x) + self.constant
        buses = [b for b in net.active("buses").names if g.at(b) >= 0]
        node = [g.at(b) for b in buses]
        flow = (self.flow @ x[: self.n] + self.shifted) * self.S
        data = xr.Dataset(
            {
                "active_power": ("generator", x[self.n : self.n + len(self.names)] * self.S, {"units": "W"}),
                "price": ("bus", prices[node] / self.S, {"units": "per Wh"}),
                "angle": ("bus", x[node], {"units": "rad"}),
                "flow": ("grid_branch", flow, {"units": "W"}),
            },
            coords={"generator": self.names, "bus": buses,
                    "grid_branch": [str(v) for v in g.branches.name[g.alive_branch]]},
        )  # fmt: skip
        return LinearDispatch(net, value, data, self.residual)


def _solved(K: csc_array, rhs: Floats) -> Floats | None:
    """Solve K x = rhs; None where K is singular. Its structure is looked at first: SuperLU may crash on it."""
    if structural_rank(K) < K.shape[0]:
        return None
    try:
        found: Floats = splu(K).solve(rhs)
    except RuntimeError:
        return None
    return found
