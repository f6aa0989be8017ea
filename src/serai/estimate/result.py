# SPDX-License-Identifier: Apache-2.0
"""What an estimate is: a state with its uncertainty, and how well the readings agree with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from math import inf, isfinite
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import pandas as pd
from scipy.stats import chi2, norm

from serai.errors import UnknownName
from serai.estimate.doubts import confirmed_units
from serai.estimate.findings import Finding, some
from serai.estimate.meters import Functions, Meter, readable
from serai.estimate.observe import untold
from serai.network.quantities import measurable_of
from serai.simulate.certificate import worst
from serai.simulate.extract import dataset, names_of
from serai.simulate.labelled import Result

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from serai.estimate.problem import Problem, Sight
    from serai.known import Known
    from serai.network import Network

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Ints = NDArray[np.intp]

CRITICAL = 1e-7  # share of sigma^2 that is left in a residual: below, nothing checks the reading


class Score(NamedTuple):
    """What a hypothesis of one unknown would explain: all of these may be arrays, one entry a hypothesis.

    statistic    standard normal while the hypothesis is false; its square is what J would fall by
    size         estimated size of the unknown, in the unit of its direction
    information  1 / variance of the size
    """

    statistic: Floats
    size: Floats
    information: Floats


class _Value(NamedTuple):
    """An estimated value in the place of a Known."""

    quantity: str
    where: str
    value: float


@dataclass(frozen=True, eq=False, repr=False)
class Estimate:
    """The state of a network that fits its readings best while every law holds exactly.

    network      as it stands, with the positions that were given
    meters       every meter that was asked for (n,); the arrays below are in this order
    values, sigmas   what they read and how well, SI (n,); nan where nothing was read
    used         whether a reading takes part (n,)
    residuals    reading less estimate, SI (n,); nan where not used
    estimated    what each meter would read in the estimated state, SI (n,); nan where that is not observable
    converged    whether the search ended; `reason` says why not
    mismatch     largest mismatch of the laws, recomputed outside the solver; `worst` names its place
    noted        what was found in the readings before the search, suspects  those set aside for their unit
    findings     all that is wrong with the readings
    x            all columns of the equations, SI (n_column,)
    steps        Gauss-Newton steps
    """

    network: Network
    meters: tuple[Meter, ...]
    values: Floats
    sigmas: Floats
    used: Flags
    residuals: Floats
    x: Floats
    converged: bool
    reason: str
    steps: int
    mismatches: dict[str, tuple[float, str]]
    noted: tuple[Finding, ...]
    suspects: dict[int, tuple[float, str]]
    problem: Problem
    weight: Floats
    scaled_multipliers: Floats = field(default_factory=lambda: np.empty(0))
    token: int = field(default_factory=count(1).__next__)  # whose factors the problem holds

    def __repr__(self) -> str:
        """Say what it is in one line; without an answer nothing is said of how well it fits."""
        if not self.converged:
            read = int(self.used.sum())
            return f"<serai estimate of {self.network.name}: {read} readings, NOT CONVERGED: {self.reason}>"
        return (
            f"<serai estimate of {self.network.name}: {int(self.used.sum())} readings, J {self.objective:.4g} on "
            f"{self.degrees_of_freedom} degrees of freedom (p {self.chi_square:.3g}), {len(self.unobservable)} "
            f"quantities unobservable, mismatch {self.mismatch:.1e}>"
        )

    # ------------------------------------------------------------------------------------------------ how well it fits

    @property
    def objective(self) -> float:
        """J = sum (residual / sigma)^2."""
        return float(np.nansum(self.weight * self.residuals**2))

    @cached_property
    def degrees_of_freedom(self) -> int:
        """Readings and laws more than what they tell."""
        p, sight = self.problem, self._sight
        return int(self.used.sum()) - (p.n - sight.directions) + (p.m - sight.void)

    @property
    def chi_square(self) -> float:
        """Probability of a J at least as large if every sigma is right and nothing is wrong."""
        return float(chi2.sf(self.objective, self.degrees_of_freedom)) if self.degrees_of_freedom > 0 else 1.0

    @property
    def mismatch(self) -> float:
        """Largest mismatch of the laws, recomputed outside the solver, relative to the case's scales."""
        return worst(self.mismatches)[0]

    @property
    def worst(self) -> str:
        """The equation and element of the largest mismatch."""
        return worst(self.mismatches)[1]

    @property
    def redundancy(self) -> float:
        """Readings over the freedoms that the laws leave."""
        freedoms = self.problem.n - self.problem.m
        return float(self.used.sum()) / freedoms if freedoms > 0 else inf

    # --------------------------------------------------------------------------------------------------------- readings

    @cached_property
    def estimated(self) -> Floats:
        """What each meter would read in the estimated state, SI (n,); nan where that is not observable."""
        p = self._ready()
        blind = np.isin(p.functions.columns, self._blind) & (p.H != 0.0)
        hidden = np.zeros(len(self.meters), bool)
        hidden[p.functions.rows[blind]] = True
        return np.where(hidden | p.functions.idle, np.nan, p.h)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with the readings, and what they do not tell; the latter only when there is an answer."""
        if not self.converged:
            return self.noted
        more = confirmed_units(self.meters, self.values, self.sigmas, self.estimated, self.suspects)
        if self.unobservable:
            names = tuple(dict.fromkeys(name for _, name in self.unobservable))
            listed = [f"{q.replace('_', ' ')} of {n}" for q, n in self.unobservable]
            text = f"too few readings: nothing tells the {some(listed)}; the rest is estimated"
            more.append(Finding("too few", names, text))
        return (*self.noted, *more)

    @cached_property
    def omega(self) -> Floats:
        """Variance of every residual, sigma^2 - h S h', SI (n,); nan where not used."""
        p, Z = self.problem, self._inverse
        self._ready()
        products = p.H[p.first] * p.H[p.second] * Z[p.pairs]
        spread = np.bincount(p.h_rows[p.first], products, minlength=len(self.meters))
        return np.where(self.used, np.maximum(self.sigmas**2 - spread, 0.0), np.nan)

    @cached_property
    def normalised(self) -> Floats:
        """Residuals over their own standard deviation (n,): standard normal while nothing is wrong; nan if critical."""
        checked = self.omega > CRITICAL * self.sigmas**2
        return np.where(checked, self.residuals / np.sqrt(np.where(checked, self.omega, 1.0)), np.nan)

    @cached_property
    def critical(self) -> tuple[Meter, ...]:
        """Meters that nothing checks: without one of them something becomes unobservable."""
        lone = self.used & ~(self.omega > CRITICAL * self.sigmas**2)
        return tuple(self.meters[k] for k in np.flatnonzero(lone))

    def limit(self, alarms: float = 0.05) -> float:
        """Return what the largest |normalised residual| exceeds with probability `alarms` while nothing is wrong.

        The bound of Bonferroni over all readings: 3 would be passed by chance in every large grid.
        """
        tested = max(1, int(self.used.sum()) - len(self.critical))
        return float(norm.isf(alarms / (2.0 * tested)))

    def table(self) -> pd.DataFrame:
        """Return one row a meter: what it read, what the estimate says, and how they agree; SI."""
        return pd.DataFrame({
            "tag": [m.tag for m in self.meters], "quantity": [m.quantity for m in self.meters],
            "where": [m.where for m in self.meters], "station": [m.station for m in self.meters],
            "value": self.values, "sigma": self.sigmas, "estimated": self.estimated, "residual": self.residuals,
            "normalised": self.normalised, "used": self.used,
        })  # fmt: skip

    # ------------------------------------------------------------------------------------------------------------- laws

    @property
    def laws(self) -> list[tuple[str, str]]:
        """Label and element of every row of the laws, in the order of `multipliers`."""
        return [(label, n) for label, names, *_ in self.problem.frame.system.equations.row_blocks for n in names]

    @property
    def multipliers(self) -> Floats:
        """Lagrange multiplier of every law (n_row,), 1 over the SI unit of its row.

        With b an unknown that breaks law j, F_j(x) = b: half of J falls by multiplier x b at first, and the best b is
        multiplier / multiplier_variance.
        """
        return np.asarray(self.scaled_multipliers / self.problem.row_unit)

    @cached_property
    def multiplier_variance(self) -> Floats:
        """Variance of every multiplier (n_row,): the information on b of F_j(x) = b. About 0 = no reading tests it."""
        return np.asarray(np.maximum(-self._diagonal[self.problem.n :], 0.0) / self.problem.row_unit**2)

    def score(self, readings: ArrayLike | None = None, laws: ArrayLike | None = None) -> Score:
        """Score hypotheses of one unknown b each: z = h(x) + d b and F(x) = c b, against b = 0.

        readings  d of each hypothesis, SI (n_meter,) or (n_hypothesis, n_meter); None = 0
        laws      c of each, SI (n_row,) or (n_hypothesis, n_row); None = 0

        One solution with the kept factors a hypothesis:  y = K^-1 [H'W d; -c],  g = d'W r + c' lambda,
        I = d'W d - [H'W d; -c]' y;  statistic g / sqrt(I), size g / I.
        """
        p = self._ready()
        d = np.atleast_2d(np.zeros(len(self.meters)) if readings is None else np.asarray(readings, float))
        c = np.atleast_2d(np.zeros(p.m) if laws is None else np.asarray(laws, float))
        count = max(len(d), len(c))
        weighted = np.where(self.used, self.weight * np.nan_to_num(self.residuals), 0.0)
        g, information = np.empty(count), np.empty(count)
        d, c = np.broadcast_to(d, (count, d.shape[1])), np.broadcast_to(c, (count, c.shape[1]))
        for k, (of_readings, of_laws) in enumerate(zip(d, c, strict=True)):
            rhs = self._right_side(of_readings, of_laws)
            g[k] = of_readings @ weighted + of_laws @ self.multipliers
            information[k] = of_readings @ (self.weight * of_readings) - rhs @ p.lu.solve(rhs)
        seen = information > 0.0
        root = np.sqrt(np.where(seen, information, 1.0))
        return Score(
            np.where(seen, g / root, 0.0), np.where(seen, g / root**2, np.nan), np.where(seen, information, 0.0)
        )

    def _right_side(self, readings: Floats, laws: Floats) -> Floats:
        p = self.problem
        rhs = np.zeros(p.n + p.m)
        inside = p.h_columns >= 0
        np.add.at(rhs, p.h_columns[inside], (p.H * (self.weight * readings)[p.h_rows])[inside])
        rhs[p.n :] = -laws / p.row_unit
        return rhs

    # ------------------------------------------------------------------------------------------------------------ state

    @cached_property
    def unobservable(self) -> tuple[tuple[str, str], ...]:
        """(quantity, element) of every column that no reading tells; their values in `state` are nan."""
        c = self.problem.frame.system.equations.columns
        return tuple(c.name(int(k)) for k in self._blind)

    @cached_property
    def untold(self) -> tuple[tuple[str, str], ...]:
        """(quantity, element) of the unobservable columns that the pattern of laws and readings alone leaves open."""
        c = self.problem.frame.system.equations.columns
        return tuple(c.name(int(k)) for k in untold(self.problem, self.used))

    @cached_property
    def state(self) -> Result:
        """The estimated state as `steady` gives one; nan where it is not observable."""
        frame, x = self.problem.frame, self.x.copy()
        x[self._blind] = np.nan
        system = frame.system
        terminal = {"supplied": "supply", "delivered": "withdrawal", "drawn": "active_power",
                    "drawn_reactive": "reactive_power"}  # fmt: skip
        told = [_Value(terminal[q], n, sign * x[column]) for (q, n), (column, sign) in frame.terminal.items()]
        c = system.equations.columns
        for own, quantity in (("load_active_power", "active_power"), ("load_reactive_power", "reactive_power")):
            told += [_Value(quantity, n, x[k]) for n, k in c[own].index.items()] if own in c else []
        knowns = [cast("list[Known]", told)]
        data = dataset(system, x[None, :], names_of(self.network), knowns).isel(time=0)
        data.attrs = {
            "case": self.network.name,
            "day": self.network.day,
            "mismatch": self.mismatch,
            "worst": self.worst,
        }
        return Result(
            self.network, data, self.mismatch, self.worst, self.mismatches, (), tuple(system.notes), tuple(system.dead),
            self.steps,
        )  # fmt: skip

    def sigma(self, quantity: str, where: str) -> float:
        """Return the standard deviation of a measurable quantity of an element, SI.

        0 where it is exact, inf where it is not observable. Raises UnknownName for what cannot be measured there.
        """
        meter = Meter(quantity, where)
        if not readable(self.network, quantity, where):
            kind = self.network.kind_of(where)
            msg = f"{kind} have no {quantity!r} to measure ({where}); they have {', '.join(measurable_of(kind))}"
            raise UnknownName(msg)
        p = self._ready()
        functions = Functions(p.frame, [meter])
        _, slopes = functions.bind(p.laws.x)()
        place = np.full(len(self.x), -1)
        place[p.free] = np.arange(p.n)
        at = place[functions.columns]
        if functions.idle[0] or np.isin(functions.columns, self._blind).any():
            return inf
        rhs = np.zeros(p.n + p.m)
        np.add.at(rhs, at[at >= 0], (slopes * p.unit[at])[at >= 0])
        variance = float(rhs @ p.lu.solve(rhs)) if rhs.any() else 0.0
        return float(np.sqrt(max(variance, 0.0))) if isfinite(variance) else inf

    # ---------------------------------------------------------------------------------------------------------- factors

    def _ready(self) -> Problem:
        """Return the problem with its factors at this estimate: another scan may have used it since."""
        self.problem.hold(self.x, self.weight, self.token)
        return self.problem

    @cached_property
    def _inverse(self) -> Floats:
        """K^-1 at the place of every entry of K."""
        return self._ready().inverse()

    @property
    def _diagonal(self) -> Floats:
        p = self.problem
        return np.asarray(self._inverse[p.lu.slots[: p.n + p.m]])

    @property
    def _sight(self) -> Sight:
        """What these readings tell at all: the same for every scan with the same readings."""
        return self.problem.sight(self.x, self.weight)

    @property
    def _blind(self) -> Ints:
        return self._sight.blind
