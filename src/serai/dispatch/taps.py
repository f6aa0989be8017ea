# SPDX-License-Identifier: Apache-2.0
"""Tap positions: a local search over whole steps around the continuous search.

A position changes what the network is, not a column of its state, so each candidate is a steady dispatch of its own:
its laws, the other set-points chosen anew from those at hand, confirmed by `steady`. A round tries one step up and one
step down of every changer, and of changers in parallel at one position together (one of them alone drives a current
around the loop). The first candidate that lowers the violation, or else the objective, is kept, and the next round
begins there. The search ends when no step of a round is kept: no neighbour is better, which is a local optimum.

The order of a round is that of the gain to first order. Where the laws F(x) = 0 close a state that is optimal with
multipliers u, an optimum of the laws F + dF costs u dF less (sensitivity of a nonlinear program; Fletcher, Practical
Methods of Optimization, 1987, ch. 9.1, 12.3). Order alone: every candidate is judged by the exact laws.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from serai.dispatch.choices import key
from serai.dispatch.horizon import Horizon
from serai.dispatch.moment import Moment, others
from serai.errors import SeraiError
from serai.known import Known
from serai.system import System, override

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from serai.dispatch.ask import Ask
    from serai.network import Network, Table

KINDS = ("transformers", "transformers3")
GROUP = "taps"
KEPT_MOVES = 200  # moves kept at most
TERMINAL = ("supply", "withdrawal")  # what these were asked to be is a bound: not replaced on the way

Positions = dict[str, int]


@dataclass(frozen=True)
class Tap:
    """A tap changer: the name of its transformer, its lowest and highest position, and the buses it joins."""

    name: str
    low: int
    high: int
    ends: tuple[str, ...]


def changers(
    network: Network, groups: Iterable[str], bounds: Mapping[tuple[str, str], tuple[float, float]]
) -> list[Tap]:
    """Return the tap changers that may be chosen: all for "taps", those of transformers named in `groups`.

    bounds   ("tap_position", transformer) -> (low, high) narrows its range
    Raises SeraiError where a transformer named has none, where "taps" finds none, and where bounds leave no position.
    """
    wanted, found = set(groups), []
    for kind in KINDS:
        t = network.active(kind)
        for row, name in enumerate(t.names):
            if not (GROUP in wanted or name in wanted):
                continue
            moves = bool(t["tap_step"][row] != 0.0 or t["tap_step_angle"][row] != 0.0)
            low, high = float(t["tap_min"][row]), float(t["tap_max"][row])
            if moves and isfinite(low) and isfinite(high) and low < high:
                found.append(_tap(t, row, bounds.get(("tap_position", name), (low, high))))
            elif name in wanted:
                msg = f"{name} has no tap changer to choose: it needs tap_min below tap_max, and a tap_step"
                raise SeraiError(msg)
    if GROUP in wanted and not found:
        msg = (
            f"{network.name} has no tap changer to choose: no transformer in service has a tap_min below its tap_max "
            f"and a tap_step"
        )
        raise SeraiError(msg)
    return found


def _tap(t: Table, row: int, bound: tuple[float, float]) -> Tap:
    low = int(np.ceil(max(t["tap_min"][row], bound[0])))
    high = int(np.floor(min(t["tap_max"][row], bound[1])))
    if low > high:
        msg = f"tap_position of {t.names[row]}: no whole step lies between {bound[0]:g} and {bound[1]:g} in its range"
        raise SeraiError(msg)
    sides = [c for c in ("hv_bus", "mv_bus", "lv_bus") if c in t.columns]
    return Tap(t.names[row], low, high, tuple(str(t[c][row]) for c in sides))


def positions(network: Network, taps: Iterable[Tap], own: Iterable[Known]) -> Positions:
    """Return where the changers stand; SeraiError names one outside its range or between two steps."""
    given = {k.where: k.value for k in own if k.quantity == "tap_position"}
    out = {}
    for tap in taps:
        t = network[network.kind_of(tap.name)]
        at = given.get(tap.name, float(t["tap_position"][t.row(tap.name)]))
        if at != round(at) or not tap.low <= at <= tap.high:
            msg = (
                f"tap_position of {tap.name} is {at:g}: its positions are the whole steps from {tap.low} to "
                f"{tap.high}; mend it, or give another as a Known"
            )
            raise SeraiError(msg)
        out[tap.name] = int(at)
    return out


def said(at: Positions) -> list[Known]:
    """Return positions as Knowns."""
    return [Known("tap_position", n, float(v), source="dispatch") for n, v in at.items()]


class Taps:
    """The search: `best` is the Moment that it ended with, its positions among the set-points."""

    def __init__(self, ask: Ask, hour: float | None, also: Sequence[Known] = ()) -> None:
        """Dispatch with the positions at hand, then step; raises what `changers` and `positions` raise."""
        self.deadline = time.perf_counter() + ask.seconds
        net = ask.network
        self.hour, self.also = hour, list(also)
        self.taps = changers(net, ask.groups, ask.bounds)
        self.ask = replace(ask, bounds={k: v for k, v in ask.bounds.items() if k[0] != "tap_position"})
        first = positions(net, self.taps, override(net, net.knowns(hour), ask.knowns))
        start = Moment(self.ask, hour, [*also, *said(first)])
        self.at, self.best = first, start
        self.seen = {tuple(first.values())}
        reason = self._search()
        best = self.best
        if reason and best.after is not None:
            best.found = replace(best.found, reason=reason)
        best.before, best.own = start.before, start.own
        best.taps = said(first)
        best.setpoints = [*best.setpoints, *said(self.at)]

    def _search(self) -> str:
        """Step until no step is kept; return why it ended before that, or nothing."""
        for _ in range(KEPT_MOVES):
            for at in self._candidates():
                if time.perf_counter() > self.deadline:
                    return "time"
                self.seen.add(tuple(at.values()))
                made = self._made(at)
                if made is not None and self._better(made):
                    self.at, self.best = at, made
                    break
            else:
                return ""
        return "rounds"

    def _made(self, at: Positions) -> Moment | None:
        """Return the dispatch with other positions, from the set-points at hand; None where there is none."""
        # the search is that of the case itself; only its start, the Knowns, moves along
        here = [k for k in self.best.setpoints if k.quantity not in TERMINAL]
        left = max(1.0, self.deadline - time.perf_counter())
        ask = replace(self.ask, knowns=(*self.ask.knowns, *here), seconds=left, told=None)
        try:
            made = Moment(ask, self.hour, [*self.also, *said(at)])
        except SeraiError:  # these positions have no answer
            return None
        return None if made.after is None else made

    def _better(self, made: Moment) -> bool:
        """Tell whether a dispatch breaks less, or as little and costs less, by more than the accuracy asked for."""
        old, new = self._rank(self.best), self._rank(made)
        if old[0] != new[0]:
            return new[0] < old[0]
        least = self.ask.accuracy
        if abs(new[1] - old[1]) > least * max(1.0, old[1]):
            return new[1] < old[1]
        return new[2] < old[2] - least * max(abs(old[2]), 1e-9)

    def _rank(self, m: Moment) -> tuple[bool, float, float]:
        """Return what a better dispatch has less of: no answer, violations of every kind, value."""
        if m.after is None:
            return True, np.inf, np.inf
        broken = m.found.broken + sum(v.size for v in others(self.ask, m.after[0], m.found))
        return not m.found.lawful, broken, m.found.value

    # ----------------------------------------------------------------------------------------------------- candidates

    def _candidates(self) -> list[Positions]:
        """Return the positions one step away that were not tried, the greatest gain foretold first."""
        out, gang = [], self._parallel()
        for names in [[t.name] for t in self.taps] + gang:
            for step in (1, -1):
                at = {n: v + step * (n in names) for n, v in self.at.items()}
                if all(t.low <= at[t.name] <= t.high for t in self.taps) and tuple(at.values()) not in self.seen:
                    out.append(at)
        slope = {t.name: self.slope(t) for t in self.taps}
        gain = [sum(slope[n] * (v - self.at[n]) for n, v in at.items()) for at in out]
        return [out[k] for k in sorted(range(len(out)), key=lambda k: -gain[k])]

    def _parallel(self) -> list[list[str]]:
        """Return the changers that join the same buses at one position, two and more."""
        groups: dict[tuple[tuple[str, ...], int], list[str]] = {}
        for t in self.taps:
            groups.setdefault((t.ends, self.at[t.name]), []).append(t.name)
        return [g for g in groups.values() if len(g) > 1]

    def slope(self, tap: Tap) -> float:
        """Return the scaled gain of a step up to first order; 0 where the search left no multipliers."""
        m = self.best
        price = m.found.law_price
        if price is None:
            return 0.0
        net, step = self.ask.network, 1 if self.at[tap.name] < tap.high else -1
        moved = System(net, override(net, m.own, said({tap.name: self.at[tap.name] + step})), cell=self.ask.cell)
        other = Horizon(moved, m.horizon.fixed, m.horizon.controls.tolist())
        change = other.laws(m.found.X)[0] - m.horizon.laws(m.found.X)[0]
        return float(price @ change) * step


def kept(system: System, taps: Iterable[Known], setpoints: Iterable[Known]) -> list[tuple[Known, Known]]:
    """Return (before, after) of every tap position chosen."""
    after = {key(system, k): k for k in setpoints if k.quantity == "tap_position"}
    return [(k, after[key(system, k)]) for k in taps]
