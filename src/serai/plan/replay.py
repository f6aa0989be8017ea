# SPDX-License-Identifier: Apache-2.0
"""Hydraulic replay: can the pipes carry what the plan sells? Days of peak flow, through the exact laws, year by year.

The plan knows transport: so much from hub to hub. The network knows pressures. For each year the network is expanded by
what stands, the day of largest flow among the plan's futures is laid on it, and a dispatch looks for outputs of fields,
stations and regulators that deliver as much of the exports as the exact laws and all limits allow, homes in full. Where
that is less than the plan sells, the plan is refused; the limit with the largest multiplier is the element that cannot
carry it. It names what has to fall in the plan, a cut, and the plan is made anew: the capacity of the corridor or trunk
line that uses the element, else the share of each corridor that lacks in that year, in winter or out of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from serai.dispatch.choices import choices, column_bounds, controls, released, setpoints, without
from serai.dispatch.horizon import Horizon
from serai.dispatch.limits import ranges
from serai.dispatch.objective import Objective
from serai.dispatch.sequence import Task, sequence
from serai.errors import SeraiError
from serai.known import Known
from serai.network import read
from serai.plan.case import Derated
from serai.plan.expansion import (
    BCM,
    Day,
    checked,
    day_knowns,
    expanded,
    hubs_of,
    meetings,
    planned_of,
    turned,
    waiting,
)
from serai.plan.montecarlo import operate, rule_of
from serai.plan.value import standing
from serai.simulate.steady import steady
from serai.system import Closed, System, override
from serai.units import YEAR

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from serai.dispatch.sequence import Found
    from serai.network import Network
    from serai.plan.case import Corridor, Link, PlanningCase
    from serai.plan.made import Made
    from serai.plan.value import Policy

CHOSEN = ("stations", "control valves", "pressures")
SECONDS = 20.0  # for one day
STARTS = (0.3, 0.6, 0.0)  # shares of the exports from which the search begins, in turn
EXACT = 1e-6  # mismatch of the laws, recomputed: more is no state
SHORT = 2e-3  # of the exports asked: less than this lacking is carried
SPARE = 0.01  # of what was carried: what a cut leaves free, so that the next plan is not refused for a hair
ALL_OPEN = 0.999  # share of a corridor, of what it has in other futures: below it something is stopped
TERMINAL = ("delivered", "withdrawal", "supplied")
UNITS = {"pressure": ("bara", 1e-5), "inlet_pressure": ("bara", 1e-5), "outlet_pressure": ("bara", 1e-5),
         "power": ("MW", 1e-6), "flow": ("kg/s", 1.0), "supplied": ("kg/s", -1.0), "ratio": ("", 1.0)}  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """One day under the exact laws: exports asked and delivered [bcm/y].

    carried    all that is asked; every law and limit holds, confirmed by `steady` with the set-points found
    mismatch   of the laws there, recomputed outside the search (nan where no state keeps the limits)
    element, quantity, side, limit, unit   of the limit that holds the exports back most
    short      corridor -> what of it cannot be delivered [bcm/y];  why = in words, where no state could be looked for
    """

    year: int
    season: str
    asked: float
    delivered: float
    carried: bool
    element: str = ""
    quantity: str = ""
    side: str = ""
    limit: float = nan
    unit: str = ""
    mismatch: float = nan
    short: tuple[tuple[str, float], ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Cut:
    """A corridor or trunk line, and how much of it the network can carry with what stands, [bcm/y].

    asked    what the plan sent over it on the worst day;  built = projects that stood then and add to it
    element  that cannot carry it, in which year
    derated  where the element is shared with others: the corridor is cut in that year and kind of season alone
    """

    planned: str
    carried: float
    asked: float
    element: str
    year: int
    built: tuple[str, ...] = ()
    derated: Derated | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What is cut."""
        d = self.derated
        return (self.planned, d.year, d.winter) if d else (self.planned,)


@dataclass(frozen=True)
class Replay:
    """What the exact laws say of a plan: one trial a year and season with its day, and the cuts of those refused."""

    trials: tuple[Trial, ...]
    cuts: tuple[Cut, ...] = ()
    days: tuple[Day, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether every day can be carried."""
        return all(t.carried for t in self.trials)

    @cached_property
    def table(self) -> pd.DataFrame:
        """The trials as a table."""
        names = [n for n in Trial.__dataclass_fields__ if n != "short"]
        return pd.DataFrame([[getattr(t, n) for n in names] for t in self.trials], columns=names)

    def __repr__(self) -> str:
        """Say what it is in one line."""
        done = sum(t.carried for t in self.trials)
        named = ", ".join(dict.fromkeys(t.element for t in self.trials if not t.carried))
        return f"<serai replay: {done} of {len(self.trials)} days carried{'; refused at ' + named if named else ''}>"


def replay(
    plan: Made,
    network: Network | None = None,
    *,
    years: Sequence[int] = (),
    seasons: Sequence[str] = (),
    before: Replay | None = None,
    progress: Callable[[float], None] | None = None,
) -> Replay:
    """Run each year's days of largest flow through the exact laws on the expanded network.

    network  the plan's case as a network; None = read it
    years    calendar years, none given = all;  seasons = by name, none given = the first winter and the first other one
    before   a replay of the same builds: days that were carried and are the same now are not solved again

    Raises UnknownName where the planning tables name what the network does not have.
    """
    case = plan.problem.case
    network = network or read(case.name)
    checked(network, case)
    stage = Stage(plan, network, operate(plan.problem, rule_of(plan)))
    wanted = [y for y, year in enumerate(plan.problem.years) if not years or int(year) in years]
    done = {(t.year, t.season): (t, d) for t, d in zip(before.trials, before.days, strict=True)} if before else {}
    trials: list[Trial] = []
    days: list[Day] = []
    cuts: dict[tuple[Any, ...], Cut] = {}
    for k, y in enumerate(wanted):
        for q in _seasons(case, seasons):
            day = stage.busiest(y, q)
            same, was = done.get((int(plan.problem.years[y]), case.settings.seasons[q].name), (None, None))
            trial = same if same and was and same.carried and was.same(day) else stage.run(y, q, day)
            trials.append(trial)
            days.append(day)
            for cut in stage.cuts(y, day, trial):
                if cut.key not in cuts or cut.carried < cuts[cut.key].carried:
                    cuts[cut.key] = cut
        if progress is not None:
            progress((k + 1) / len(wanted))
    return Replay(tuple(trials), tuple(cuts.values()), tuple(days))


def with_cuts(case: PlanningCase, cuts: Sequence[Cut]) -> PlanningCase:
    """Return the case with what the network can carry: the capacity of a corridor or link, and of what was built on it.

    A project that had not been built keeps its capacity: what it does to the network has not been tried.
    """
    rows = {c.planned: c for c in cuts if c.derated is None}

    def less(row: Corridor | Link) -> Any:
        return replace(row, capacity=min(row.capacity, rows[row.name].carried)) if row.name in rows else row

    corridors, links = tuple(map(less, case.corridors)), tuple(map(less, case.links))
    has = {r.name: r.capacity for r in (*corridors, *links)}
    projects = tuple(
        replace(p, capacity=min(p.capacity, max(0.0, rows[p.adds_to].carried - has[p.adds_to])))
        if p.adds_to in rows and p.name in rows[p.adds_to].built
        else p
        for p in case.projects
    )
    shares = (c.derated for c in cuts if c.derated is not None)
    return replace(case, corridors=corridors, links=links, projects=projects, derated=(*case.derated, *shares))


def _seasons(case: PlanningCase, names: Sequence[str]) -> list[int]:
    all_ = case.settings.seasons
    if names:
        return [i for i, s in enumerate(all_) if s.name in names]
    first = {s.winter: i for i, s in reversed(list(enumerate(all_)))}
    return sorted(first.values())


class Stage:
    """The network on which days of a plan are laid."""

    def __init__(self, plan: Made, network: Network, sold: Policy) -> None:
        """Take the network's coldest and its middle day; what its power plants burn on them stays as it is."""
        self.plan, self.network, self.sold = plan, network, sold
        self.hub = hubs_of(network, plan.problem.case)
        names = sorted(network.days, key=lambda d: network.days[d].air_temperature)
        days = {True: names[0], False: names[len(names) // 2]} if names else {}
        self.days = {winter: self._day(days.get(winter)) for winter in (True, False)}
        self.met: dict[bool, int] = {}  # in winter or not: where gas of both ends of a line met last, and was carried

    def _day(self, name: str | None) -> tuple[Network, dict[str, float]]:
        """Return the network on a day, and what plants burn on it by hub [kg/s]."""
        net, plants = self.network if name is None else self.network.on(name), dict[str, float]()
        if len(net["plants"]):
            burnt, t = steady(net).plant_fuel, net["plants"]
            for plant, value in zip(burnt["plant"].values, burnt.values, strict=True):
                hub = self.hub[str(t["gas_node"][t.row(str(plant))])]
                plants[hub] = plants.get(hub, 0.0) + float(value)
        return net, plants

    def busiest(self, y: int, q: int) -> Day:
        """Return the day of the future that exports most in a year and season, of those in which nothing is stopped.

        A stop sends gas other ways and is what N-1 and stress tests ask about; where every future has one, all count.
        """
        p = self.plan.problem
        whole = self.sold.by_corridor[:, :, y, q].sum(axis=0)
        open_ = p.scenarios.available[:, :, y, q]
        calm = (open_ >= ALL_OPEN * open_.max(axis=1, keepdims=True)).all(axis=0)
        s, days = int(np.argmax(np.where(calm, whole, -1.0) if calm.any() else whole)), p.days[q]
        flows = (self.sold.by_corridor[:, s, y, q], self.sold.produced[:, s, y, q], p.scenarios.home[:, s, y, q])
        return Day(*(v / days for v in flows))

    def run(self, y: int, q: int, day: Day) -> Trial:
        """Deliver as much of a day's exports as the laws and limits allow.

        Lines that run backwards have their stations turned, from the far end up to where that carries most: where gas
        of both ends may meet, last year's place first, or all stations as they are.
        """
        back, winter = self._reversed(day), self.plan.problem.case.settings.seasons[q].winter
        if not back:
            return self._run(y, q, day, (), 0)
        places = meetings(self.network, self.plan.problem.case, back)
        best: Trial | None = None
        for near in dict.fromkeys([self.met.get(winter, places[0]), *places]):
            trial = self._run(y, q, day, back, near)
            if trial.carried:
                self.met[winter] = near
                return trial
            best = trial if best is None or trial.delivered > best.delivered else best
        trial = self._run(y, q, day, (), 0)
        return trial if best is None or trial.carried or trial.delivered > best.delivered else best

    def _run(self, y: int, q: int, day: Day, back: Sequence[str], near: int) -> Trial:
        p, at = self.plan.problem, self.plan.solved.decisions
        season = p.case.settings.seasons[q]
        base, plants = self.days[season.winter]
        net, round_ = turned(expanded(base, p, at, y), p.case, back, near)
        told = Trial(int(p.years[y]), season.name, float(day.corridors.sum()), 0.0, carried=False)
        borders = [c for c in dict.fromkeys(c.offtake for c in p.case.corridors) if c in net.active("offtakes")]
        try:
            known = [*day_knowns(net, p, at, y, day, plants), *(Known("open", n, 1.0, source="plan") for n in round_)]
            run = _Run(net, known, borders, waiting(p, at, y))
            found = run.best()
        except SeraiError as error:
            named = [*getattr(error, "elements", ()), *getattr(error, "missing", ())]
            return replace(told, element=named[0] if named else "", quantity="no state", why=str(error))
        held = self._held(told, found)
        if not found.feasible:
            return held
        lacks = self._short(run.lacking(found), day)
        delivered = told.asked - sum(v for _, v in lacks)
        carried = told.asked - delivered <= SHORT * max(1.0, told.asked)
        return run.confirmed(
            found, replace(told if carried else held, delivered=delivered, carried=carried, short=lacks)
        )

    def _reversed(self, day: Day) -> list[str]:
        """Return the trunk lines that a day runs from their far hub to the near one."""
        return [x.name for x in self.plan.problem.case.links if self._through(x, day) < -SHORT]

    def _held(self, told: Trial, found: Found) -> Trial:
        """Name what holds the exports back: a limit that no state keeps, or the one with the largest multiplier."""
        if found.violations:
            v = found.violations[0]
            unit, factor = UNITS.get(v.quantity, ("", 1.0))
            side = "low" if v.value < v.limit else "high"
            return replace(told, element=v.element, quantity=v.quantity, side=side, limit=v.limit * factor, unit=unit)
        inner = [b for b in found.binding if b.quantity not in TERMINAL] or list(found.binding)
        if not inner:
            return told
        # a multiplier is per SI unit: what a hundredth of the limit's own size is worth makes them alike
        best = max(inner, key=lambda b: abs(b.price) * max(abs(b.limit), 1.0 if b.quantity == "flow" else 0.0))
        unit, factor = UNITS.get(best.quantity, ("", 1.0))
        return replace(told, element=best.element, quantity=best.quantity, side=best.side, limit=best.limit * factor,
                       unit=unit)  # fmt: skip

    def _short(self, lacking: dict[str, float], day: Day) -> tuple[tuple[str, float], ...]:
        """Share what a border lacks among its corridors, the cheapest first, [bcm/y]."""
        case, found = self.plan.problem.case, []
        for offtake, whole in lacking.items():
            mine = [i for i, c in enumerate(case.corridors) if c.offtake == offtake]
            left = whole
            for i in sorted(mine, key=self._netback):
                part = min(left, float(day.corridors[i]))
                if part > 0.0:
                    found.append((case.corridors[i].name, part))
                left -= part
        return tuple(found)

    def _netback(self, corridor: int) -> float:
        p = self.plan.problem
        return float(p.netback[p.pairs[1] == corridor].mean())

    # -------------------------------------------------------------------------------------------------------- cuts

    def cuts(self, y: int, day: Day, trial: Trial) -> list[Cut]:
        """Return what a refused trial teaches: what has to fall, and to how much.

        The trunk line that uses the element, where all that lacks lies beyond it; each corridor that lacks and uses
        it. Where none does, it is shared: then each corridor that lacks has less in that year and kind of season.
        """
        case = self.plan.problem.case
        if trial.carried or not trial.short:
            return []
        links = {x.name: x for x in case.links}
        users = planned_of(case, self.network, trial.element)
        used = [n for n in users if n in links]
        far = {c.name for c in case.corridors for n in used if c.hub == links[n].to_hub}
        short = {n: v for n, v in trial.short if v > SHORT * max(1.0, trial.asked)} or dict(trial.short)
        if used and set(short) <= far:
            through = self._through(links[used[0]], day)
            return [self._cut(used[0], through - sum(short.values()), through, trial, y)]
        flow = {c.name: float(f) for c, f in zip(case.corridors, day.corridors, strict=True)}
        own = [n for n in short if n in users] or list(short)
        found = [self._cut(n, flow[n] - short[n], flow[n], trial, y) for n in own]
        return found if set(own) & set(users) else [self._derated(c, trial, y) for c in found]

    def _derated(self, cut: Cut, trial: Trial, y: int) -> Cut:
        """Return a cut for the year and kind of season of a trial alone."""
        p = self.plan.problem
        i = next(k for k, c in enumerate(p.case.corridors) if c.name == cut.planned)
        winter = next(s.winter for s in p.case.settings.seasons if s.name == trial.season)
        q = next(k for k, s in enumerate(p.case.settings.seasons) if s.winter == winter)
        could = float(self.plan.solved.decisions.booked[i, y] * p.scenarios.available[i, :, y, q].max())
        share = min(1.0, cut.carried / could) if could > 0.0 else 1.0
        return replace(cut, derated=Derated(cut.planned, trial.year, winter, share))

    def _cut(self, planned: str, carried: float, asked: float, trial: Trial, y: int) -> Cut:
        stands = standing(self.plan.problem, self.plan.solved.decisions.x)[:, y] > 0.5
        built = tuple(
            p.name for p, s in zip(self.plan.problem.case.projects, stands, strict=True) if s and p.adds_to == planned
        )
        return Cut(planned, max(0.0, (1.0 - SPARE) * carried), asked, trial.element, trial.year, built)

    def _through(self, link: Link, day: Day) -> float:
        """Return what a day sends over a trunk line, by the balance of its far hub [bcm/y]."""
        case = self.plan.problem.case
        h = case.hubs.index(link.to_hub)
        out = sum(float(f) for c, f in zip(case.corridors, day.corridors, strict=True) if c.hub == link.to_hub)
        return out + float(day.home[h] - day.produced[h])


class _Run:
    """One day on one network: what may be chosen, and the search for the most that can be delivered."""

    def __init__(self, network: Network, knowns: Sequence[Known], borders: Sequence[str], waits: Sequence[str]) -> None:
        self.network, self.knowns = network, knowns
        given = override(network, network.knowns(), knowns)
        self.system = System(network, given)
        freed = released(network, given, (*CHOSEN, *network.active("supplies").names, *borders), keep=waits)
        self.chosen = choices(self.system, freed)
        self.out = {c.element: c for c in self.chosen if c.known.quantity == "withdrawal"}
        self.fixed = without(self.system, self.system.fix(), self.chosen)
        self.start = Closed(self.system, self.system.fix()).x.copy()
        self.before = {c.column: float(self.start[c.column]) for c in self.chosen}

    def best(self) -> Found:
        """Return the state that delivers most, from the first start that leads to one that keeps every limit."""
        linear = np.zeros(len(self.start))
        for c in self.out.values():
            linear[c.column] = -1.0
        horizon = Horizon(self.system, [self.fixed], controls(self.chosen))
        limits, bounds = ranges(self.system, self.fixed), column_bounds(self.chosen, self.before)
        best: Found | None = None
        for share in STARTS:
            start = self.start.copy()
            for c in self.out.values():
                start[c.column] -= (1.0 - share) * c.known.value
            task = Task(horizon, limits, bounds, [], Objective("exports", "kg/s", linear), start[None, :])
            found = sequence(task, seconds=SECONDS)
            if best is None or (found.feasible, -found.broken, -found.value) > (
                best.feasible,
                -best.broken,
                -best.value,
            ):
                best = found
            enough = best.feasible and sum(self.lacking(best).values()) <= SHORT
            if enough or (best.feasible and best.reason == "optimal"):
                break
        assert best is not None  # noqa: S101 - there is a start
        return best

    def lacking(self, found: Found) -> dict[str, float]:
        """Return what each border asks and does not get, [bcm/y]."""
        rate = BCM * self.network.gas.standard_density / YEAR
        said = {k.where: k.value for k in setpoints(self.system, self.chosen, found.X[0], self.before)}
        return {name: max(0.0, c.known.value - said[name]) / rate for name, c in self.out.items()}

    def confirmed(self, found: Found, trial: Trial) -> Trial:
        """Solve the laws anew with the set-points found: no answer, a mismatch or a broken limit refuses the day."""
        points = setpoints(self.system, self.chosen, found.X[0], self.before)
        try:
            result = steady(self.network, [*self.knowns, *points])
        except SeraiError as error:
            return replace(trial, carried=False, quantity="no state", why=str(error))
        trial = replace(trial, mismatch=result.mismatch, carried=trial.carried and result.mismatch <= EXACT)
        broken = result.breaks()
        if not broken:
            return trial
        b = broken[0]
        unit, factor = UNITS.get(b.quantity, ("", 1.0))
        return replace(trial, carried=False, element=b.element, quantity=b.quantity, limit=b.limit * factor, unit=unit,
                       side="low" if b.value < b.limit else "high")  # fmt: skip
