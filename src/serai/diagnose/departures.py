# SPDX-License-Identifier: Apache-2.0
"""Commands nobody gave: where the estimated state does not keep the set-points that are meant to hold (Wald's test)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm

from serai.errors import UnknownName
from serai.estimate.meters import STATUS, Functions, Meter, readable
from serai.known import Known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serai.diagnose.hypotheses import Hypotheses

SURE = 3.0  # sigmas within which a device stands at a limit


@dataclass(frozen=True)
class Departure:
    """A set-point that the state does not keep.

    command      what is meant to hold
    held         what the estimate says, SI, and its sigma (with that of the command)
    score        their difference over sigma
    false_alarm  bound of the probability that the largest of all commands reaches this score by chance
    """

    command: Known
    held: float
    sigma: float
    score: float
    false_alarm: float

    def __str__(self) -> str:
        """Say it in one line."""
        c = self.command
        return (
            f"{c.quantity} of {c.where}: {c.value:.6g} is commanded, {self.held:.6g} +/- {self.sigma:.2g} is held, "
            f"score {self.score:+.1f}, false alarm {self.false_alarm:.1g}"
        )


def departures(h: Hypotheses, commands: Sequence[Known], alarms: float) -> tuple[Departure, ...]:
    """Return the commands that the estimate, beside the faults told, does not keep; the worst first.

    Raises UnknownName for a command of something that no reading could say. Positions and statuses are no numbers to
    be held against a state: they are what the hypotheses test.
    """
    network = h.estimate.network
    for c in commands:
        if c.where not in network or (c.quantity not in STATUS and not readable(network, c.quantity, c.where)):
            msg = f"command {c.quantity} of {c.where}: {network.name} has nothing of that kind to hold a state against"
            raise UnknownName(msg)
    plain = [c for c in commands if c.quantity not in STATUS]
    if not plain:
        return ()
    held, sigma = _held(h, plain)
    sigma = np.hypot(sigma, [c.sigma for c in plain])
    told = np.isfinite(sigma) & (sigma > 0.0)
    z = np.where(told, (held - [c.value for c in plain]) / np.where(told, sigma, 1.0), 0.0)
    chance = np.minimum(1.0, 2.0 * max(1, int(told.sum())) * norm.sf(np.abs(z)))
    order = [k for k in np.argsort(-np.abs(z)) if chance[k] <= alarms and not _at_limit(h, plain[k], float(z[k]))]
    return tuple(Departure(plain[k], float(held[k]), float(sigma[k]), float(z[k]), float(chance[k])) for k in order)


def _at_limit(h: Hypotheses, command: Known, z: float) -> bool:
    """Tell whether a set-point is out of reach, so that not to keep it is what the device does by itself.

    A station closes rather than let gas back, and lets it pass where the inlet is high enough: its outlet, or its
    ratio, is then above what is asked. Below it stays at its largest ratio or power. A regulator closes, or is open
    with no drop left. These are the modes of `simulate.modes`.
    """
    t = h.estimate.network[h.estimate.network.kind_of(command.where)]
    limits: list[tuple[str, float]] = []
    if command.quantity != "inlet_pressure" and t.kind in ("compressors", "control_valves"):
        above = z > 0.0
        at_rest = ("flow", 0.0) if above or command.quantity == "ratio" else None
        if t.kind == "compressors":
            most = [(q, float(t[f"{q}_max"][t.row(command.where)])) for q in ("ratio", "power")]
            limits = [("ratio", 1.0)] if above else [(q, v) for q, v in most if v > 0.0]
        else:
            limits = [] if above else [("pressure_drop", 0.0)]
        limits += [at_rest] if at_rest else []
    if not limits:
        return False
    known = [Known(q, command.where, v) for q, v in limits if readable(h.estimate.network, q, command.where)]
    held, sigma = _held(h, known)
    off = held - [k.value for k in known]
    top = np.array([not above and k.value > 1.0 for k in known])  # a largest ratio or power is reached from below
    return bool((np.isfinite(sigma) & (np.where(top, -off, np.abs(off)) < SURE * sigma)).any())


def _held(h: Hypotheses, commands: Sequence[Known]) -> tuple[np.ndarray, np.ndarray]:
    """Return what the state says of each command, and its sigma; inf where nothing tells it."""
    e = h.estimate
    p = e._ready()  # noqa: SLF001 - the factors may stand at another scan
    functions = Functions(p.frame, [Meter(c.quantity, c.where) for c in commands])
    values, slopes = functions.bind(p.laws.x)()
    place = np.full(len(e.x), -1)
    place[p.free] = np.arange(p.n)
    at = place[functions.columns]
    inside = at >= 0
    dense = np.zeros((len(commands), p.n + p.m))
    np.add.at(dense, (functions.rows[inside], at[inside]), (slopes * p.unit[at])[inside])
    variance = np.array([row @ p.lu.solve(row) if row.any() else 0.0 for row in dense])
    values = values.copy()
    for moved, amount in zip(h.moved, h.amount, strict=True):
        share = dense[:, : p.n] @ moved
        values -= share * amount
        variance += share**2
    blind = functions.idle.copy()
    blind[functions.rows[np.isin(functions.columns, e._blind)]] = True  # noqa: SLF001 - columns that nothing tells
    return values, np.where(blind, np.inf, np.sqrt(np.maximum(variance, 0.0)))
