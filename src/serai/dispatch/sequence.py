# SPDX-License-Identifier: Apache-2.0
"""Sequential linear programming: the best set-points that the exact laws accept.

Each round linearises the laws and limits at a state, takes the best move inside a box (`program`), gives its controls
to the exact laws, solved by Newton (`Horizon.settle`), and judges what comes out by the merit

    f(x)/scale + price (sum of violations of limits + sum |F(x)|),     an exact penalty (Fletcher 1987, ch. 14)

The box grows where the model foretells the merit well and shrinks where not; a rejected move is corrected up to three
times by what the laws added to it (second order). The price rises until no violation pays. So the search ends at a
lawful state: a local optimum, or the smallest violation near. That is no proof that nothing better exists.

R. Fletcher, Practical Methods of Optimization, 2nd ed., Wiley 1987, ch. 14.4 (Sl1QP), 14.3 (second-order correction);
R. Fletcher, E. Sainz de la Maza, Math. Programming 43 (1989): the same with linear programs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array, vstack

from serai.dispatch.conflict import Limits, conflict
from serai.dispatch.limits import NET_SUPPLY
from serai.dispatch.program import Box, Point, Program, Step
from serai.dispatch.reduced import Reduced
from serai.errors import NotConverged, SingularSystem

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from serai.dispatch.horizon import Horizon
    from serai.dispatch.limits import Ranges, Row
    from serai.dispatch.objective import Objective

    Floats = NDArray[np.float64]

ROUNDS = 120
MENDING = 12  # rounds after time is up, to mend what the last move broke
KEPT = 1e-7  # scaled: what a limit may be off by and still be kept
MARGIN = 2e-7  # scaled: how far inside the limits the search stays, so that rounding breaks none
FIRST_PRICE, LAST_PRICE, DEARER = 1e1, 1e7, 30.0
FIRST_BOX, SMALLEST_BOX, LARGEST_BOX = 0.1, 1e-6, 2.0
CORRECTIONS = 3  # of second order, of one move
GOOD, POOR = 0.75, 0.1  # share of the foretold gain from which the box grows, and below which a move is rejected
AT_LIMIT, NO_PRICE = 1e-5, 1e-7  # scaled: how near to a limit is at it, which multiplier is none
LAWFUL = 1e-8  # scaled residual of a state that counts as solved
REACH = {"pressure": 1.0, "flow": 1.0, "ratio": 1.0, "drop": 2.0, "angle": 2.0, "magnitude": 0.5}  # of a box of 1


@dataclass(frozen=True)
class Task:
    """What to search.

    horizon    moments, laws, controls
    ranges     low and high of every column, for all moments or one for each
    bounds     column -> (low, high), SI, of controls: never broken (without one, its range); for all moments or each
    rows       limits on functions of the state
    objective  what is minimised; None = only the violations
    start      states (T, n_column) to begin from
    """

    horizon: Horizon
    ranges: Ranges | list[Ranges]
    bounds: dict[int, tuple[float, float]] | list[dict[int, tuple[float, float]]]
    rows: list[Row]
    objective: Objective | None
    start: Floats

    def range_of(self, moment: int) -> Ranges:
        """Return the ranges of a moment."""
        return self.ranges[moment] if isinstance(self.ranges, list) else self.ranges


@dataclass(frozen=True)
class Violation:
    """A limit that a state does not keep: SI value and limit; `moment` counts from 0; size in scaled units."""

    quantity: str
    element: str
    value: float
    limit: float
    size: float
    moment: int = 0


@dataclass(frozen=True)
class Binding:
    """A limit that holds the objective back.

    price  by how much the objective falls for each SI unit that the limit gives way (0 where only the violation counts)
    """

    quantity: str
    element: str
    side: str
    limit: float
    price: float
    moment: int = 0


@dataclass(frozen=True)
class Found:
    """Where a search ended.

    X           states (T, n_column), SI
    value       of the objective
    violations  what is broken, the worst first; empty = every limit is kept
    binding     limits with a price, the dearest first
    lawful      whether X solves the exact laws
    conflict    where violations remain: an irreducible set of limits that cannot hold together near X (`conflict`)
    reason      why it ended
    rounds      linear programs solved
    trail       (value, sum of violations, box) of every accepted state
    law_price   (M,) multipliers of the laws there: the objective, scaled, falls by `law_price @ dF` where F + dF holds
                in their place; None where the last program had no answer
    """

    X: Floats
    value: float
    violations: tuple[Violation, ...]
    binding: tuple[Binding, ...]
    lawful: bool
    reason: str
    rounds: int
    conflict: tuple[Binding, ...] = ()
    trail: tuple[tuple[float, float, float], ...] = ()
    seconds: float = 0.0
    law_price: Floats | None = None

    @property
    def broken(self) -> float:
        """Sum of all violations, scaled."""
        return sum(v.size for v in self.violations)

    @property
    def feasible(self) -> bool:
        """Whether the exact laws and every limit hold."""
        return self.lawful and not self.violations


def sequence(
    task: Task,
    *,
    rounds: int = ROUNDS,
    seconds: float = inf,
    accuracy: float = 1e-7,
    told: Callable[[float, float], None] | None = None,
) -> Found:
    """Search from the start of a task; return the best state found, whatever ends the search.

    accuracy  relative gain below which a move is not worth it
    seconds   time limit: the best state so far comes back, with its violations
    told      called with value and sum of violations after every accepted move
    """
    return _Search(task, accuracy, told).run(rounds, time.perf_counter() + seconds)


def merit(task: Task) -> tuple[float, float, bool]:
    """Return value and sum of violations of the lawful state at the start of a task, and whether there is one."""
    here = _Search(task, 0.0, None)._start()  # noqa: SLF001 - of this module
    return here.value, here.broken, here.lawless == 0.0


@dataclass
class _Here:
    """A state that the search stands at, with its merit's parts."""

    X: Floats
    value: float
    broken: float
    lawless: float

    def merit(self, scale: float, price: float) -> float:
        return self.value / scale + price * (self.broken + self.lawless)


@dataclass
class _Search:
    task: Task
    accuracy: float
    told: Callable[[float, float], None] | None
    trail: list[tuple[float, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Lay out limits and program."""
        h, task = self.task.horizon, self.task
        self.free = h.free
        low, high, hard = self._limits()
        with np.errstate(invalid="ignore"):
            y_low, y_high = (np.where(np.isfinite(v), h.y(np.where(np.isfinite(v), v, 0.0)), v) for v in (low, high))
        inside = np.where(hard | ~(y_high - y_low > 4.0 * MARGIN), 0.0, MARGIN)
        reach = np.full(low.shape[1], inf)
        for quantity, share in REACH.items():
            if quantity in h.system.equations.columns:
                reach[h.system.equations.columns[quantity].span] = share
        self.objective = task.objective or _nothing(low.shape[1])
        curved = self._curved(reach, low[0], high[0])
        self.low, self.high = y_low[:, self.free].ravel(), y_high[:, self.free].ravel()
        self.limit = low, high, hard
        self.box = Box(
            (y_low + inside)[:, self.free].ravel(), (y_high - inside)[:, self.free].ravel(),
            hard[:, self.free].ravel(), np.tile(reach[self.free], h.moments),
        )  # fmt: skip
        self.scale = 1.0
        rows = [replace(r, low=r.low + MARGIN, high=r.high - MARGIN) for r in task.rows]
        self.program = Program(self.box, rows, self.objective, curved, self.scale)
        self.reduced = None
        if h.moments > 1 and not curved:
            controls = (h.local[h.controls] + h.n * np.arange(h.moments)[:, None]).ravel()
            self.reduced = Reduced(self.box, rows, controls)

    def _limits(self) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Return low and high (T, n_column), SI, and which of them are never broken: those of controls."""
        h, task, T = self.task.horizon, self.task, self.task.horizon.moments
        low, high = (np.stack([getattr(task.range_of(t), end) for t in range(T)]) for end in ("low", "high"))
        hard = np.zeros(low.shape, bool)
        for t in range(T):
            bounds = task.bounds[t] if isinstance(task.bounds, list) else task.bounds
            for c in h.controls.tolist():
                least, most = bounds.get(c, (-inf, inf))
                least, most = max(low[t, c], least), min(high[t, c], most)
                if least <= most:
                    low[t, c], high[t, c], hard[t, c] = least, most, True
        return low, high, hard

    def _curved(self, reach: Floats, low: Floats, high: Floats) -> dict[int, int]:
        """Return number among all free columns -> curve; a curved column gets a box of its own range."""
        h, out = self.task.horizon, {}
        for k, c in enumerate(self.objective.curves):
            j = h.local[c.column]
            if j < 0:
                continue
            wide = (high[c.column] - low[c.column]) / h.scale[c.column]
            reach[c.column] = min(reach[c.column], max(2.0 * wide, 0.1) if np.isfinite(wide) else 10.0)
            for t in range(h.moments):
                out[int(j) + t * h.n] = k
        return out

    def _step(self, here: _Here, *given: Any) -> Step:
        """Return the best move, by the program in the controls alone where there is one and the state is lawful."""
        lawful = self.reduced is not None and here.lawless == 0.0
        return (self.reduced if lawful and self.reduced is not None else self.program).step(*given)

    # ------------------------------------------------------------------------------------------------------ states

    def run(self, rounds: int, deadline: float) -> Found:
        """Search until no move is worth it, or rounds or time run out; what is broken then is mended as far as it goes.

        Of what was met the state without a violation and of least value comes back, else the last one.
        """
        began = time.perf_counter()
        here = self._start()
        self.scale = self.program.scale = max(abs(here.value), 1e-9) if self.task.objective else 1.0
        self.radius, self.price, self.used = FIRST_BOX, FIRST_PRICE, 0
        self.best: _Here | None = None
        here, reason = self._descend(here, rounds, deadline)
        if reason in ("time", "rounds") and here.broken > KEPT and here.lawless == 0.0 and rounds:
            self.price, self.radius = max(self.price, FIRST_PRICE * DEARER**2), 0.02
            here, _ = self._descend(here, self.used + MENDING, inf)
        if self.best is not None and (here.broken > KEPT or self.best.value < here.value):
            here = self.best
        return self._found(here, self._point(here.X), reason, self.used, time.perf_counter() - began)

    def _descend(self, here: _Here, rounds: int, deadline: float) -> tuple[_Here, str]:
        """Move from state to state; return the last one and why it is."""
        point = self._point(here.X)
        self._remember(here)
        while self.used < rounds:
            if time.perf_counter() > deadline:
                return here, "time"
            self.used += 1
            step = self._step(here, point, self.radius, self.price)
            if not step.ok:
                return here, "program failed"
            worth = self.accuracy * max(1.0, abs(here.merit(self.scale, self.price)))
            if step.gained <= worth:
                if self.radius > SMALLEST_BOX and (self.program.curved or step.gained > 0.01 * worth):
                    self.radius *= 0.25
                    continue
                if self._dearer(here):
                    continue
                return here, "optimal"
            new, share, grew = self._try(here, point, step)
            if new is None:
                self.radius *= 0.3
                if self.radius < SMALLEST_BOX and not self._dearer(here):
                    return here, "no better state near"
                continue
            here, point = new, self._point(new.X)
            self._remember(here)
            if share > GOOD and grew:
                self.radius = min(LARGEST_BOX, 2.0 * self.radius)
            elif share < 0.25:
                self.radius *= 0.5
        return here, "rounds"

    def _dearer(self, here: _Here) -> bool:
        """Raise the price of a violation where one remains; False where that is of no more use."""
        if here.broken <= KEPT or self.price >= LAST_PRICE:
            return False
        self.price, self.radius = self.price * DEARER, max(self.radius, 0.01)
        return True

    def _remember(self, here: _Here) -> None:
        self.trail.append((here.value, here.broken, self.radius))
        if self.told is not None:
            self.told(here.value, here.broken)
        kept = here.broken <= KEPT and here.lawless == 0.0
        if kept and (self.best is None or here.value < self.best.value):
            self.best = here

    def _try(self, here: _Here, point: Point, step: Step) -> tuple[_Here | None, float, bool]:
        """Give the move to the exact laws; return the new state or None, share of the gain, whether the box held it."""
        radius, price = self.radius, self.price
        before = here.merit(self.scale, price)
        grew = bool(np.any(np.abs(step.move) > 0.99 * radius * self.box.reach))
        move, shift, last = step.move, None, inf
        for _ in range(1 + CORRECTIONS):
            new = self._moved(here, point, move, shift)
            if new is None:
                break
            share = (before - new.merit(self.scale, price)) / step.gained
            if share >= POOR:
                return new, share, grew
            if new.broken > 0.5 * last:  # corrections no longer close in on the limits
                break
            last = new.broken
            shift = self._y(new.X) - (point.y + move)
            rows = self._rows(new.X)[0] - (point.values + point.G @ move)
            again = self._step(here, point, radius, price, (shift, rows))
            if not again.ok:
                break
            move = again.move
        return None, 0.0, grew

    def _moved(self, here: _Here, point: Point, move: Floats, shift: Floats | None = None) -> _Here | None:
        """Return the state that the exact laws give to a move; None where they give none that may be judged."""
        h = self.task.horizon
        y = point.y + move
        X = here.X.copy()
        to = y if shift is None else y + shift  # where Newton begins: with what the laws added before
        X[:, self.free] = h.x(to.reshape(h.moments, h.n), self.free)
        control = h.controls
        local = h.local[control]
        X[:, control] = h.x(y.reshape(h.moments, h.n)[:, local], control)
        low, high, hard = (v[:, control] for v in self.limit)
        X[:, control] = np.where(hard, np.clip(X[:, control], low, high), X[:, control])
        try:
            return self._judge(h.settle(X))
        except (NotConverged, SingularSystem):
            return self._judge(X) if here.lawless > LAWFUL else None

    def _start(self) -> _Here:
        h = self.task.horizon
        X = self.task.start.copy()
        low, high, hard = self.limit
        X = np.where(hard, np.clip(X, low, high), X)
        for cold in (False, True):
            try:
                return self._judge(h.settle(X, cold=cold))
            except (NotConverged, SingularSystem):
                continue
        return self._judge(X)

    def _judge(self, X: Floats) -> _Here:
        y = self._y(X)
        off = np.maximum(self.low - y, 0.0) + np.maximum(y - self.high, 0.0)
        broken = float(off[~self.box.hard].sum())
        values = self._rows(X)[0]
        low, high = self.program.row_low - MARGIN, self.program.row_high + MARGIN
        broken += float((np.maximum(low - values, 0.0) + np.maximum(values - high, 0.0)).sum())
        residual, _ = self.task.horizon.laws(X)
        lawless = float(np.abs(residual).sum())
        return _Here(X, self.objective.value(X), broken, lawless if lawless > LAWFUL * len(residual) else 0.0)

    def _y(self, X: Floats) -> Floats:
        return self.task.horizon.y(X[:, self.free], self.free).ravel()

    def _rows(self, X: Floats) -> tuple[Floats, Any]:
        N = self.task.horizon.n * self.task.horizon.moments
        if not self.task.rows:
            return np.empty(0), csr_array((0, N))
        parts = [r.at(X) for r in self.task.rows]
        return np.concatenate([v for v, _ in parts]), vstack([G for _, G in parts]).tocsr()

    def _point(self, X: Floats) -> Point:
        h = self.task.horizon
        residual, A = h.laws(X)
        values, G = self._rows(X)
        turn = h.slope(X[:, self.free], self.free).ravel()
        slope = np.tile(self.objective.linear, (h.moments, 1))
        for c in self.objective.curves:
            x = X[:, c.column]
            d = 1e-6 * np.maximum(np.abs(x), h.scale[c.column])
            slope[:, c.column] += (c.value(x + d) - c.value(x - d)) / (2.0 * d)
        cost = self.objective.weight * slope[:, self.free].ravel() * turn / self.scale
        residual = np.where(np.abs(residual) > LAWFUL, residual, 0.0)
        return Point(X, self._y(X), residual, A, values, G, cost, turn)

    # ----------------------------------------------------------------------------------------------------- findings

    def _found(self, here: _Here, point: Point, reason: str, used: int, seconds: float) -> Found:
        violations = self._violations(here.X, point)
        step = self._step(here, point, 0.02, LAST_PRICE if violations else 1e4)
        binding = self._binding(point, step) if step.ok else ()
        if violations and reason == "optimal":
            reason = "smallest violation near"
        return Found(
            here.X, here.value, violations, binding, here.lawless == 0.0, reason, used,
            self._conflict(point) if violations else (), tuple(self.trail), seconds,
            step.law_price if step.ok else None,
        )  # fmt: skip

    def _conflict(self, point: Point) -> tuple[Binding, ...]:
        """Return the limits of an irreducible conflicting set of the laws as they are linearised here."""
        n, N = len(self.free), len(point.y)
        rows = [(r, i) for r in self.task.rows for i in range(len(r.names))]
        low, high = self.program.row_low - MARGIN, self.program.row_high + MARGIN
        out = []
        for side, k in conflict(point, Limits(self.low, self.high, self.box.reach, low, high)):
            if k >= N:
                r, i = rows[k - N]
                limit = float((r.low if side == "low" else r.high)[i]) * r.unit
                out.append(Binding(*r.names[i], side, limit, 0.0))
                continue
            limit = float(self.limit[0 if side == "low" else 1][k // n, int(self.free[k % n])])
            out.append(_said(Binding(*self._name(k, side), side, limit, 0.0, k // n)))
        return tuple(out)

    def _name(self, j: int, side: str) -> tuple[str, str]:
        column = int(self.free[j % len(self.free)])
        own = self.task.horizon.system.equations.columns.name(column)
        return self.task.range_of(j // len(self.free)).source.get((column, side), own)

    def _violations(self, X: Floats, point: Point) -> tuple[Violation, ...]:
        h, n, out = self.task.horizon, len(self.free), []
        for side, off in (("low", self.low - point.y), ("high", point.y - self.high)):
            for j in np.flatnonzero((off > KEPT) & ~self.box.hard).tolist():
                column = int(self.free[j % n])
                limit = float(self.limit[0 if side == "low" else 1][j // n, column])
                quantity, element = self._name(j, side)
                turn = -1.0 if quantity == NET_SUPPLY else 1.0
                value = turn * float(X[j // n, column])
                out.append(Violation(quantity, element, value, turn * limit, float(off[j]), j // n))
        k = 0
        for r in self.task.rows:
            for i, (quantity, element) in enumerate(r.names):
                v = point.values[k + i]
                size = max(r.low[i] - v, v - r.high[i])
                if size > KEPT:
                    limit = r.low[i] if v < r.low[i] else r.high[i]
                    moment = i * h.moments // len(r.names) if len(r.names) >= h.moments else h.moments - 1
                    out.append(Violation(quantity, element, v * r.unit, limit * r.unit, float(size), moment))
            k += len(r.names)
        return tuple(sorted(out, key=lambda v: -v.size))

    def _binding(self, point: Point, step: Step) -> tuple[Binding, ...]:
        """Return the limits and bounds that the multipliers call dear."""
        n, out = len(self.free), []
        ends = self.box.low, self.box.high
        for side, sign, end in (("low", 1.0, ends[0]), ("high", -1.0, ends[1])):
            near = np.abs(point.y + step.move - end) < AT_LIMIT
            priced = sign * step.column_price > NO_PRICE
            for j in np.flatnonzero(near & priced).tolist():
                column = int(self.free[j % n])
                price = float(abs(step.column_price[j]) * self.scale / point.turn[j])
                quantity, element = self._name(j, side)
                limit = float(self.limit[0 if side == "low" else 1][j // n, column])
                out.append(_said(Binding(quantity, element, side, limit, price, j // n)))
        k = 0
        for r in self.task.rows:
            for i, (quantity, element) in enumerate(r.names):
                price = step.row_price[k + i]
                if abs(price) > NO_PRICE:
                    side, limit = ("low", r.low[i]) if price > 0 else ("high", r.high[i])
                    out.append(Binding(quantity, element, side, limit * r.unit, abs(price) * self.scale / r.unit))
            k += len(r.names)
        return tuple(sorted(out, key=lambda b: -b.price * max(abs(b.limit), 1e-9)))  # by what a percent of it is worth


def _said(limit: Binding) -> Binding:
    """Return a limit as it is said: a net supply is a negative withdrawal."""
    if limit.quantity != NET_SUPPLY:
        return limit
    return replace(limit, side={"low": "high", "high": "low"}[limit.side], limit=-limit.limit)


def _nothing(n: int) -> Objective:
    from serai.dispatch.objective import Objective  # noqa: PLC0415 - only where there is nothing to minimise

    return Objective("nothing", "", np.zeros(n))
