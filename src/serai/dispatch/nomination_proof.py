# SPDX-License-Identifier: Apache-2.0
"""Why a nomination cannot be carried: a bound on the violation, and the limits that cannot hold together.

A solver that says "infeasible" proves little by itself: a tolerance can do that. So the limits are made soft, the
relaxation is solved to its least worst violation, and only a bound above PROVEN counts. The limits that bind come from
the multipliers of the program with its choices fixed; whether they alone are enough, and whether each of them is
needed (an irreducible conflicting subset), is found by solving the relaxation again with all others taken away
(deletion filter: J. Chinneck, E. Dravnieks, ORSA J. Computing 3:157, 1991).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from serai.dispatch.nomination_bounds import ENDLESS
from serai.dispatch.nomination_model import BAR, HIGHEST, LOWEST
from serai.dispatch.nomination_program import INFINITY, Program
from serai.dispatch.relaxation import PROVEN, STEPS, Relaxation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from serai.dispatch.nomination_model import Task
    from serai.dispatch.nomination_program import Answer
    from serai.dispatch.nomination_rows import Rows
    from serai.dispatch.relaxation import Point

MOST = 8  # limits among which the needed ones are searched
BALANCE = 1e-6  # of the total: what the swing takes
DUAL = 1e-7  # a multiplier that says something
Named = tuple[str, str, float]


@dataclass(frozen=True)
class Proof:
    """That a nomination cannot be carried.

    violation    at least one pressure limit must be broken by so much [bar], or flow limits by so much in sum [kg/s]
    binding      limits that cannot hold together: (element, "low" or "high", limit [Pa]; [kg/s] where flows prove it)
    irreducible  whether they are enough for the proof, and it fails without any one of them
    reason       in words
    """

    violation: float
    binding: tuple[Named, ...]
    irreducible: bool
    reason: str


def prove(relaxation: Relaxation) -> Proof | None:
    """Return a proof by pressures, or None where the relaxation allows the nomination or time ends."""
    bound, rows, found = relaxation.violation()
    if bound <= PROVEN:
        return None
    named = _named(rows, found) if rows is not None and found is not None and len(found.x) else ()
    named, irreducible = _irreducible(relaxation, named)
    if irreducible and not named:
        reason = f"the drops of pressure alone ask for more than {HIGHEST / BAR:g} bar, to which the laws are fitted"
        return Proof(bound, (), irreducible=True, reason=reason)
    least = f"at least {bound:.3g} bar" if bound < STEPS[-1] else f"more than {STEPS[-1]:g} bar"
    told = "; ".join(f"{e} {'at least' if side == 'low' else 'at most'} {v / BAR:.6g} bar" for e, side, v in named)
    reason = f"whatever is set, a pressure limit is broken by {least}"
    return Proof(bound, named, irreducible, f"{reason}{'; binding: ' + told if told else ''}")


def flow_proof(task: Task) -> Proof | None:
    """Return a proof by balances and flow limits alone, with the limits that would have to give way."""
    p = Program()
    columns, excess = [], []
    for e in task.edges:
        columns.append(p.column(-INFINITY, INFINITY))
        for side, limit in (("low", e.flow_low), ("high", e.flow_high)):
            if abs(limit) < ENDLESS:
                x = p.column(0.0, INFINITY, 1.0)
                bounds = {"low": limit} if side == "low" else {"high": limit}
                p.row([(columns[-1], 1.0), (x, 1.0 if side == "low" else -1.0)], **bounds)
                excess.append((x, e.element, side, limit))
    spare = BALANCE * task.total + sum(task.total for _ in task.drives[:1])
    for node in range(len(task.names)):
        terms = [(c, (e.end == node) - (e.start == node) + 0.0) for c, e in zip(columns, task.edges, strict=True)
                 if node in (e.start, e.end)]  # fmt: skip
        low, high = (float(x) for x in task.draw[node])
        if node == task.swing_node:
            low, high = low - spare, high + BALANCE * task.total
        if any(d.node == node for d in task.drives):
            high += task.total
        p.row(terms, low, high)
    found = p.solve()
    if not len(found.x) or found.bound <= 2.0 * BALANCE * task.total:
        return None
    named = tuple((name, side, limit) for x, name, side, limit in excess if found.x[x] > 1e-6 * task.total)
    told = "; ".join(f"{n} {'at least' if s == 'low' else 'at most'} {v:.6g} kg/s" for n, s, v in named)
    reason = f"the flow limits leave no way: together they would have to give {found.bound:.4g} kg/s; {told}"
    return Proof(found.bound, named, irreducible=False, reason=reason)


def _named(rows: Rows, found: Answer) -> tuple[Named, ...]:
    """Return the limits with a multiplier when the choices are those of the answer."""
    p = rows.program
    for c in p.whole:
        p.low[c] = p.high[c] = float(round(found.x[c]))
    h = p.highs(relaxed=True)
    h.run()
    duals = np.array(h.getSolution().row_dual)
    out = []
    for limit in rows.limits:
        size = max((abs(float(duals[r])) for r in limit.rows), default=0.0)
        if size > DUAL:
            out.append((size, (limit.of, limit.side, limit.value)))
    return tuple(name for _, name in sorted(out, key=lambda x: -x[0]))


def _irreducible(relaxation: Relaxation, named: tuple[Named, ...]) -> tuple[tuple[Named, ...], bool]:
    """Return the limits that the proof needs, and whether that was shown; the others are taken away for it.

    Other choices may pass the limits of one choice: then what they break is added, until nothing passes.
    """
    kept = list(named)
    while kept and len(kept) <= MOST:
        conflict, point = _conflict(relaxation, kept)
        more = [] if conflict or point is None else _broken(relaxation.task, point, kept)
        if conflict:
            break
        if not more or relaxation.left < 0.0:
            return named, False
        kept += more
    if not kept or len(kept) > MOST:
        return named, False
    for limit in tuple(kept):
        if relaxation.left < 0.0:
            return tuple(kept), False
        rest = [x for x in kept if x != limit]
        if _conflict(relaxation, rest)[0]:
            kept = rest
    return tuple(kept), True


def _conflict(relaxation: Relaxation, named: Iterable[Named]) -> tuple[bool, Point | None]:
    """Tell whether these pressure limits conflict with all others taken away; else give a point that passes."""
    task, kept = relaxation.task, set(named)
    at = {n: k for k, n in enumerate(task.names)}
    limited = np.zeros_like(task.limited)
    low, high = np.full_like(task.low, LOWEST), np.full_like(task.high, HIGHEST)
    for element, side, value in kept:
        if element in at:
            limited[at[element], 0 if side == "low" else 1] = True
            (low if side == "low" else high)[at[element]] = value
    ends = {(e.element, side) for e in task.edges if e.kind in ("control", "station") for side in ("low", "high")}
    dropped = frozenset(ends - {(element, side) for element, side, _ in kept})
    other = Relaxation(replace(task, low=low, high=high, limited=limited), max(relaxation.left, 0.1), dropped)
    bound, _, _ = other.violation()
    return bound > PROVEN, other.softened


def _broken(task: Task, point: Point, kept: Iterable[Named]) -> list[Named]:
    """Return the limits that a point breaks most, beside those kept: at most two."""
    p, have = task.fluid.p(point.u), set(kept)
    found: list[tuple[float, Named]] = []
    for k, name in enumerate(task.names):
        for side, limit, off in (("low", task.low[k], task.low[k] - p[k]), ("high", task.high[k], p[k] - task.high[k])):
            if task.limited[k, 0 if side == "low" else 1]:
                found.append((float(off), (name, side, float(limit))))
    at = {n: k for k, n in enumerate(task.names)}
    for kind, label in (("compressors", "station"), ("control_valves", "control")):
        t = task.network.active(kind)
        for e in task.edges:
            if e.kind == label and point.modes[e.element] != "closed":
                low, high = (float(t[c][e.row]) for c in ("pressure_in_min", "pressure_out_max"))
                inlet, outlet = (float(p[at[str(t[c][e.row])]]) for c in ("from_node", "to_node"))
                found += [(low - inlet, (e.element, "low", low)), (outlet - high, (e.element, "high", high))]
    worst = sorted((x for x in found if x[0] > PROVEN * BAR and x[1] not in have), key=lambda x: -x[0])
    return [name for _, name in worst[:2]]


__all__ = ["Proof", "flow_proof", "prove"]
