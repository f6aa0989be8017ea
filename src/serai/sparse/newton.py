# SPDX-License-Identifier: Apache-2.0
"""Newton's method with a line search that may climb a little.

    x <- x + t dx,   J(x) dx = -F(x),   t = 1, 1/2, 1/4, ...

The full step comes first. It is halved until the 2-norm of F is below the largest of the last few by a small share of
t; after too many halvings the best point met on the way is taken. What is not a number is never accepted.

References: L. Grippo, F. Lampariello, S. Lucidi, A nonmonotone line search technique for Newton's method, SIAM J.
Numer. Anal. 23 (1986), doi:10.1137/0723046.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from serai.errors import SingularSystem

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from serai.sparse.lu import LU

    Floats = NDArray[np.float64]
    Evaluate = Callable[[Floats], tuple[Floats, Floats]]
    LimitStep = Callable[[Floats, Floats], float]

_ARMIJO = 1e-4  # a step of length t must lower the norm by this share of t
_MEMORY = 4  # below the largest norm of so many last points
_HALVINGS = 10
_PATIENCE = 15  # steps without ...
_PROGRESS = 0.9  # ... the largest mismatch falling to this share of its best
_DIVERGED = 1e8  # times the best mismatch
_QUADRATIC = 1e-9  # after a step this small beside the unknowns the next one is below round-off


@dataclass(frozen=True, eq=False, slots=True)
class NewtonResult:
    """Where Newton ended.

    x           the unknowns in their scaled units: the answer, or the best point met, (n,)
    residual    the scaled mismatch there, (n,)
    iterations  steps taken
    converged   whether no mismatch is above the tolerance
    reason      a sentence that says how it ended
    history     largest mismatch at the start and after each step
    worst       the row with the largest mismatch, the first that is not a number if there is one
    """

    x: Floats
    residual: Floats
    iterations: int
    converged: bool
    reason: str
    history: tuple[float, ...]
    worst: int


@njit(cache=True, error_model="numpy")
def measure(residual: Floats) -> tuple[float, float, int]:
    """Return the largest absolute value, the 2-norm and the place of the largest; NaN wins."""
    largest = 0.0
    squares = 0.0
    worst = 0
    for i in range(residual.size):
        r = abs(residual[i])
        squares += r * r
        if not r <= largest:
            largest = r
            worst = i
            if not r < np.inf:
                return r, r, i
    return largest, np.sqrt(squares), worst


@njit(cache=True, error_model="numpy")
def moved(x: Floats, dx: Floats, t: float, target: Floats) -> float:
    """Fill target = x + t dx, (n,), and return the largest |t dx| over the largest of 1 and |x|."""
    step = 0.0
    size = 1.0
    for i in range(x.size):
        change = t * dx[i]
        target[i] = x[i] + change
        step = max(step, abs(change))
        size = max(size, abs(x[i]))
    return step / size


class _Walk:
    """The points of one Newton run: where it is, where it was best, and how the mismatch fell."""

    def __init__(self, evaluate: Evaluate, x: Floats) -> None:
        """Evaluate the start `x`, (n,)."""
        self.evaluate = evaluate
        self.x = np.array(x, np.float64)
        self.trial = np.empty_like(self.x)
        self.residual, self.data = evaluate(self.x)
        self.largest, self.norm, self.worst = measure(self.residual)
        self.history = [self.largest]
        self.norms = [self.norm]
        self.best = self.largest
        self.best_x = self.x.copy()
        self.step = np.inf
        self.idle = 0

    def visit(self, x: Floats) -> None:
        """Evaluate the point `x`, which becomes the present one but for the history."""
        self.residual, self.data = self.evaluate(x)
        self.largest, self.norm, self.worst = measure(self.residual)

    def arrive(self) -> None:
        """Keep the present point as the end of a step."""
        self.x, self.trial = self.trial, self.x
        self.history.append(self.largest)
        self.norms.append(self.norm)
        self.idle = 0 if self.largest < _PROGRESS * self.best else self.idle + 1
        if self.largest < self.best:
            self.best = self.largest
            self.best_x[:] = self.x

    def advance(self, dx: Floats, t: float, tolerance: float) -> bool:
        """Step along `dx`, (n,), by at most t; say whether a point with a mismatch that is a number was found."""
        ceiling = max(self.norms[-_MEMORY:])
        least, least_t = np.inf, 0.0
        for _ in range(_HALVINGS + 1):
            self.step = moved(self.x, dx, t, self.trial)
            self.visit(self.trial)
            if self.norm <= (1.0 - _ARMIJO * t) * ceiling or self.largest <= tolerance:
                self.arrive()
                return True
            if self.norm < least:
                least, least_t = self.norm, t
            t *= 0.5
        if least_t == 0.0:
            return False
        self.step = moved(self.x, dx, least_t, self.trial)
        self.visit(self.trial)
        self.arrive()
        return True

    def trouble(self, step_tolerance: float) -> str:
        """Say why it is of no use to go on, or nothing."""
        steps = len(self.history) - 1
        if self.largest > _DIVERGED * self.best:
            return f"the mismatch grew from {self.best:.1e} to {self.largest:.1e} in {steps} steps"
        if self.idle >= _PATIENCE:
            return f"the mismatch stopped falling at {self.best:.1e} after {steps} steps"
        if self.step <= step_tolerance and self.idle > 1:
            return (
                f"the steps became too small to matter while the mismatch stays at {self.best:.1e} after {steps} steps"
            )
        return ""

    def result(self, reason: str, *, converged: bool, here: bool = False) -> NewtonResult:
        """End here, or at the best point where the answer was not found."""
        if not (converged or here or self.largest <= self.best):
            self.x = self.best_x
            self.visit(self.x)
        return NewtonResult(
            x=self.x,
            residual=np.array(self.residual, np.float64),
            iterations=len(self.history) - 1,
            converged=converged,
            reason=reason,
            history=tuple(self.history),
            worst=self.worst,
        )


def newton(
    evaluate: Evaluate,
    x: Floats,
    lu: LU,
    *,
    residual_tolerance: float = 1e-9,
    step_tolerance: float = 1e-14,
    limit_step: LimitStep | None = None,
    max_iterations: int = 50,
    polish: bool = False,
    approach: bool = False,
) -> NewtonResult:
    """Solve F(x) = 0 from the start `x`, (n,), and report how it ended; only the first matrix may raise.

    evaluate            x -> (scaled mismatch, (n,); assembled values of the matrix for `lu`); buffers may be reused
    lu                  the factors of the matrix; after an answer they belong to the last step
    residual_tolerance  converged where no scaled mismatch is above it
    step_tolerance      a step that moves no unknown by more than this beside the largest one means standing still
    limit_step          x, dx -> the longest share in (0, 1] of the step dx that may be tried
    max_iterations      steps at most
    polish              after convergence take one step more, unless the last one was small enough for round-off, and
                        keep it if it lowers the mismatch
    approach            end at the last point, not at the best one: the mismatch may rise before it falls

    Raises `SingularSystem` where the matrix at the start is singular.
    """
    walk = _Walk(evaluate, x)
    if not walk.norm < np.inf:
        return walk.result(f"the mismatch is not a number at the start, in row {walk.worst}", converged=False)
    reason = ""
    while not walk.largest <= residual_tolerance and not reason:
        steps = len(walk.history) - 1
        if steps >= max_iterations:
            reason = f"the mismatch is still {walk.best:.1e} after {steps} steps, the most that were allowed"
            break
        try:
            lu.factor(walk.data)
            dx = lu.solve(-walk.residual)
        except SingularSystem as error:
            if steps == 0:
                raise
            reason = f"after {steps} steps, with the mismatch at {walk.largest:.1e}, {error}"
            break
        t = 1.0 if limit_step is None else limit_step(walk.x, dx)
        if not walk.advance(dx, t, residual_tolerance):
            reason = f"after {steps} steps the mismatch is not a number anywhere along the next step"
            break
        reason = walk.trouble(step_tolerance) if walk.largest > residual_tolerance else ""
    if reason:
        return walk.result(reason, converged=False, here=approach)
    if polish and walk.step > _QUADRATIC and walk.largest > 0.0:
        _polish(walk, lu, limit_step)
    steps = len(walk.history) - 1
    return walk.result(f"the mismatch fell to {walk.largest:.1e} in {steps} steps", converged=True)


def _polish(walk: _Walk, lu: LU, limit_step: LimitStep | None) -> None:
    """Take one full step more and keep it if it lowers the largest mismatch."""
    before = walk.largest
    try:
        lu.factor(walk.data)
        dx = lu.solve(-walk.residual)
    except SingularSystem:
        return
    walk.step = moved(walk.x, dx, 1.0 if limit_step is None else limit_step(walk.x, dx), walk.trial)
    walk.visit(walk.trial)
    if walk.largest < before:
        walk.arrive()
    else:
        walk.visit(walk.x)
