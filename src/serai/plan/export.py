# SPDX-License-Identifier: Apache-2.0
"""The whole program for other tools: an MPS file, and a linopy model with named variables and constraints.

Both are the extensive form: every future written out. Its meaning, constraint by constraint, is in docs/plan.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.errors import SeraiError
from serai.plan.extensive import Extensive
from serai.plan.neutrality import dependences, elements
from serai.plan.problem import Problem
from serai.plan.scenarios import expected
from serai.plan.value import firm_sales, left_without, peak_demand

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from serai.plan.made import Made
    from serai.plan.neutrality import Element

    Floats = NDArray[np.float64]


def to_mps(plan: Made, path: str | os.PathLike[str]) -> Path:
    """Write the whole program as an MPS file (maximise); decisions carry names, all other columns numbers.

    Raises SeraiError when the file cannot be written.
    """
    whole = Extensive(plan.problem, plan.neutrality, risk=plan.risk, tail=plan.tail)
    highs, case = whole.highs(), plan.problem.case
    years = plan.problem.years.tolist()
    for i, p in enumerate(case.projects):
        for y, year in enumerate(years):
            highs.passColName(int(whole.x[i, y]), _plain(f"built_{p.name}_{year}"))
    for k, g in zip(whole.u, plan.problem.open_contracts, strict=True):
        highs.passColName(int(k), _plain(f"signed_{case.contracts[g].name}"))
    for i, c in enumerate(case.corridors):
        for y, year in enumerate(years):
            highs.passColName(int(whole.booked[i, y]), _plain(f"booked_{c.name}_{year}"))
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    status = highs.writeModel(str(target))
    if not target.is_file():
        msg = f"{target}: the MPS file could not be written ({status}); its name must end in .mps"
        raise SeraiError(msg)
    return target


def _plain(name: str) -> str:
    """Return a name without spaces, which MPS does not know."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)


def to_linopy(plan: Made) -> Any:
    """Return the whole program as a `linopy.Model` (needs linopy; maximise, million USD).

    Solve it with `model.solve("highs")`: the objective is the value of the best plan within its gap.
    """
    import linopy  # noqa: PLC0415 - for those who have it

    return _Written(plan, linopy.Model()).model


class _Written:
    """A linopy model as it is written: first stage, futures, shares, stops, losses, risk."""

    def __init__(self, plan: Made, model: Any) -> None:
        import pandas as pd  # noqa: PLC0415 - labels

        self.plan, self.p, self.model = plan, plan.problem, model
        self.built: dict[tuple[str, int], Any] = {}
        case = self.p.case
        self.names = {
            "project": pd.Index([q.name for q in case.projects], name="project"),
            "year": pd.Index(self.p.years, name="year"),
            "contract": pd.Index([case.contracts[i].name for i in self.p.open_contracts], name="contract"),
            "corridor": pd.Index([c.name for c in case.corridors], name="corridor"),
            "hub": pd.Index(case.hubs, name="hub"),
            "link": pd.Index([x.name for x in case.links], name="link"),
            "season": pd.Index([s.name for s in case.settings.seasons], name="season"),
            "pair": pd.RangeIndex(len(self.p.pairs[0]), name="pair"),
        }
        self._first_stage()
        self._futures()
        self._stops()
        self._losses()
        model.add_objective(self.objective, sense="max")

    def _array(self, values: Floats, *dims: str, **more: Any) -> Any:
        import xarray as xr  # noqa: PLC0415

        names = {**self.names, **more}
        return xr.DataArray(values, coords=[names[d] for d in dims], dims=list(dims))

    def _first_stage(self) -> None:
        """Built stays built, stages in order, bookings within what stands; what all of it costs."""
        m, p, case = self.model, self.p, self.p.case
        n, years = self.names, len(self.p.years)
        high = np.maximum.accumulate(p.allowed, axis=1).astype(float)
        self.x = m.add_variables(coords=[n["project"], n["year"]], name="built", binary=True)
        m.add_constraints(self.x <= self._array(high, "project", "year"), name="may be decided")
        later = n["year"][1:]
        step = self.x.isel(year=slice(1, None)) - self.x.isel(year=slice(None, -1)).assign_coords(year=later)
        m.add_constraints(step >= 0, name="stays built")
        may = self._array(p.allowed.astype(float), "project", "year").isel(year=slice(1, None))
        m.add_constraints(step <= may, name="decided in a round")
        for q in case.projects:
            if q.after:
                rows = self.x.sel(project=q.after, drop=True) - self.x.sel(project=q.name, drop=True)
                m.add_constraints(rows >= 0, name=f"{q.name} after {q.after}")
        self._decided = n["year"].rename("decided")
        self._decisions = self.x.rename(year="decided")
        self.u = m.add_variables(coords=[n["contract"]], name="signed", binary=True)
        self.booked = m.add_variables(lower=0.0, coords=[n["corridor"], n["year"]], name="booked")
        for i, c in enumerate(case.corridors):
            rows = self.booked.sel(corridor=c.name, drop=True) - self._built("corridors", i)
            m.add_constraints(rows <= c.capacity, name=f"capacity of {c.name}")
        spent = np.zeros((len(case.projects), years))
        for i, q in enumerate(case.projects):
            money = q.capex * p.spending
            spent[i] += money - np.append(money[1:], 0.0)
            spent[i, : years - q.lead] += (q.upkeep * q.capex * p.discount)[q.lead :]
        toll = case.settings.ship_or_pay * p.fee[:, None] * p.discount
        self.objective = -(self.x * self._array(spent, "project", "year")).sum()
        self.objective = self.objective - (self.booked * self._array(toll, "corridor", "year")).sum()

    def _built(self, kind: str, number: int) -> Any:
        """Return what projects add to one hub, link or corridor, an expression over years; made once, used in all."""
        if (kind, number) not in self.built:
            self.built[kind, number] = self._add_up(self.p.adds(kind)[number])
        return self.built[kind, number]

    def _add_up(self, adds: Floats) -> Any:
        """Return what projects add by year from their capacities (P,)."""
        years, terms = len(self.p.years), []
        for i, q in enumerate(self.p.case.projects):
            if adds[i] and q.lead < years:
                carries = self._array(adds[i] * np.eye(years, k=-q.lead), "year", "decided", decided=self._decided)
                terms.append((self._decisions.isel(project=i, drop=True) * carries).sum("decided"))
        return sum(terms[1:], terms[0]) if terms else 0.0

    def _flows(self, p: Problem, tag: str, of: pd.Index, home: Floats, left: Sequence[Floats]) -> dict[str, Any]:
        """Add the flows of every year and future, or stress test, of a problem and what holds them; return variables.

        of    names of the futures or tests (T,);  home = what homes ask (H, T, Y, Q)
        left  what is available of corridors (C, T, Y, Q), what is left of links (L, T), lost of fields (H, T, Y)
        """
        m, n, case = self.model, self.names | {str(of.name): of}, p.case
        over = str(of.name)

        def add(name: str, *first: pd.Index) -> Any:
            return m.add_variables(lower=0.0, coords=[*first, of, n["year"], n["season"]], name=f"{tag}{name}")

        corridor, field, unserved = add("corridor", n["corridor"]), add("field", n["hub"]), add("unserved", n["hub"])
        forth, back = add("forth", n["link"]), add("back", n["link"])
        pair = m.add_variables(lower=0.0, coords=[n["pair"], of, n["year"]], name=f"{tag}sold")
        days = self._array(p.days, "season")
        need = self._array(home, "hub", over, "year", "season", **n)
        for h in case.hubs:
            balance = field.sel(hub=h, drop=True) + unserved.sel(hub=h, drop=True)
            for x in case.links:
                if h in (x.from_hub, x.to_hub):
                    net = forth.sel(link=x.name, drop=True) - back.sel(link=x.name, drop=True)
                    balance = balance + net * (1.0 if h == x.to_hub else -1.0)
            for c in case.corridors:
                if c.hub == h:
                    balance = balance - corridor.sel(corridor=c.name, drop=True)
            m.add_constraints(balance == need.sel(hub=h, drop=True), name=f"{tag}balance of {h}")
        m.add_constraints(unserved <= need, name=f"{tag}unserved")
        _, over_corridor = p.pairs
        for i, c in enumerate(case.corridors):
            mine = np.flatnonzero(over_corridor == i)
            rows = corridor.sel(corridor=c.name, drop=True).sum("season") - pair.isel(pair=mine).sum("pair")
            m.add_constraints(rows == 0, name=f"{tag}what leaves over {c.name} is sold")
        open_, links, lost = left
        share = self._array(open_, "corridor", over, "year", "season", **n)
        m.add_constraints(corridor - self.booked * share * days <= 0, name=f"{tag}booked")
        for i, h in enumerate(case.hubs):
            rows = field.sel(hub=h, drop=True) - self._built("fields", i) * days
            most = self._array(p.produced[i] - lost[i], over, "year", **n) * days
            m.add_constraints(rows <= most, name=f"{tag}output of {h}")
        for i, x in enumerate(case.links):
            stands = self._array(links[i], over, **n) * days
            for name, flow in (("forth", forth), ("back", back)):
                rows = flow.sel(link=x.name, drop=True) - self._built("links", i) * stands
                m.add_constraints(rows <= stands * x.capacity, name=f"{tag}{name} over {x.name}")
        return {"corridor": corridor, "field": field, "unserved": unserved, "sold": pair}

    def _limits(self, tag: str, of: pd.Index, pair: Any, limit: Floats) -> None:
        """Nothing is sold beyond what is nominated (G, T, Y), and nothing under a contract that is not signed."""
        over, (g, _) = str(of.name), self.p.pairs
        for j, name in enumerate(self.p.sales):
            sold = pair.isel(pair=np.flatnonzero(g == j)).sum("pair")
            most = self._array(np.where(np.isfinite(limit[j]), limit[j], 0.0), over, "year", **{over: of})
            if j in self.p.open_contracts:
                signed = self.u.sel(contract=name, drop=True)
                self.model.add_constraints(sold - signed * most <= 0, name=f"{tag}limit of {name}")
            elif np.isfinite(limit[j]).all():
                self.model.add_constraints(sold <= most, name=f"{tag}limit of {name}")

    def _futures(self) -> None:
        """Money of every future, mean and tail of the value, expected shares."""
        import pandas as pd  # noqa: PLC0415

        m, p, plan = self.model, self.p, self.plan
        s, of = p.scenarios, pd.RangeIndex(p.scenarios.count, name="future")
        lost = np.zeros((len(p.case.hubs), s.count, len(p.years)))
        f = self._flows(p, "", of, s.home, (s.available, np.ones((len(p.case.links), s.count)), lost))
        self._limits("", of, f["sold"], p.limit)
        discount, prob = self._array(p.discount, "year"), self._array(s.probability, "future", future=of)
        margin = self._array(p.margin, "pair", "future", "year", future=of) * discount
        money = (f["sold"] * margin).sum(["pair", "year"])
        money = money - (f["field"] * (self._array(p.cost_of_gas, "hub") * discount)).sum(["hub", "year", "season"])
        money = money - (f["unserved"] * (p.case.settings.unserved * discount)).sum(["hub", "year", "season"])
        fixed = np.einsum("gsy,y->gs", p.fixed, p.discount)
        if len(p.open_contracts):
            signed = self._array(fixed[p.open_contracts], "contract", "future", future=of)
            money = money + (self.u * signed).sum("contract")
        sure = self._array(np.delete(fixed, p.open_contracts, axis=0).sum(axis=0), "future", future=of)
        value = m.add_variables(coords=[of], name="value")
        m.add_constraints(value - money == sure, name="value of a future")
        eta, xi = m.add_variables(name="eta"), m.add_variables(lower=0.0, coords=[of], name="xi")
        m.add_constraints(xi - eta + value >= 0, name="shortfall below eta")
        self.objective = self.objective + (value * prob * (1.0 - plan.risk)).sum() + eta * plan.risk
        self.objective = self.objective - (xi * prob * (plan.risk / plan.tail)).sum()
        self.sold, self.revenue = f["sold"], self._array(p.netback, "pair", "future", "year", future=of) * prob
        self._shares(prob)

    def _shares(self, prob: Any) -> None:
        """share_b <= alpha sum, without a division, on expected volume and revenue."""
        p, rule = self.p, self.plan.neutrality
        _, _, way = p.ways
        late = slice(rule.since, None)
        for d in dependences(p):
            limit = rule.shares.get(d.dimension)
            if limit is None or limit >= 1.0:
                continue
            factor = self._array(np.asarray(d.ways[way] - limit), "pair")
            for measure, worth in (("volume", prob), ("revenue", self.revenue)):
                if measure in rule.measures:
                    rows = (self.sold * (worth * factor)).sum(["pair", "future"]).isel(year=late)
                    self.model.add_constraints(rows <= 0, name=f"share of {measure}: {d.dimension} {d.name}")

    def _stops(self) -> None:
        """What is left when a neighbour stops for a year, homes served, against the expected revenue."""
        import pandas as pd  # noqa: PLC0415

        m, rule, q = self.model, self.plan.neutrality, Problem(self.p.case, expected(self.p.case))
        if rule.max_loss is None:
            return
        gone = [d for d in dependences(q) if d.dimension in rule.stops]
        of, tag = pd.Index([f"{d.dimension} {d.name}" for d in gone], name="stop"), "stop: "
        every = (len(gone), len(q.years))
        whole = (np.ones((len(q.case.links), len(gone))), np.zeros((len(q.case.hubs), *every)))
        f = self._flows(q, tag, of, _each(q.scenarios.home, of), (_each(q.scenarios.available, of), *whole))
        self._limits(tag, of, f["sold"], np.broadcast_to(q.limit, (len(q.sales), *every)))
        way = np.array([d.ways[q.ways[2]] for d in gone]).T  # (pair, stop)
        shut = self._array(np.broadcast_to(way[..., None], (*way.shape, every[1])), "pair", "stop", "year", stop=of)
        m.add_constraints(f["sold"] <= 0, mask=shut, name=f"{tag}nothing is sold that way")
        m.add_constraints(f["unserved"] <= 0, name=f"{tag}homes")
        revenue = m.add_variables(coords=[self.names["year"]], name="expected revenue")
        m.add_constraints(revenue - (self.sold * self.revenue).sum(["pair", "future"]) == 0, name="expected revenue")
        kept = (f["sold"] * self._array(q.netback[:, 0], "pair", "year")).sum("pair")
        rows = (kept - revenue * (1.0 - rule.max_loss)).isel(year=slice(rule.since, None))
        m.add_constraints(rows >= 0, name=f"{tag}revenue")

    def _losses(self) -> None:
        """Homes on the peak day and firm sales without any one element."""
        rule, q = self.plan.neutrality, Problem(self.p.case, expected(self.p.case))
        if not rule.survive:
            return
        firm, late = rule.cover * firm_sales(self.p), slice(rule.since, None)
        lost = [e for e in elements(q.case) if rule.survive == "any one element" or e.kind == "corridor"]
        f = self._without(q, "without: ", lost, q.scenarios.home, 1.0)
        self.model.add_constraints(f["unserved"].isel(year=late) <= 0, name="without: homes")
        rows = f["sold"].sum("pair")
        if len(q.open_contracts):
            rows = rows - (self.u * self._array(firm[q.open_contracts], "contract", "year")).sum("contract")
        sure = self._array(np.delete(firm, q.open_contracts, axis=0).sum(axis=0), "year")
        self.model.add_constraints(rows.isel(year=late) >= sure.isel(year=late), name="without: firm sales")
        inland = [e for e in lost if e.kind != "corridor"]
        if inland:
            peak = peak_demand(q)[:, None, :, None] * q.days
            cold = self._without(q, "peak day without: ", inland, peak, 0.0)
            self.model.add_constraints(cold["unserved"].isel(year=late) <= 0, name="peak day without: warm")

    def _without(self, q: Problem, tag: str, lost: Sequence[Element], home: Floats, open_: float) -> dict[str, Any]:
        """Add flows without each of some elements; homes ask (H, 1, Y, Q), of corridors `open_` is available."""
        import pandas as pd  # noqa: PLC0415

        of = pd.Index([f"{e.kind} {e.name}" for e in lost], name="lost")
        corridors, links, fields = (np.stack(v, axis=1) for v in zip(*(left_without(q, e) for e in lost), strict=True))
        share = np.broadcast_to(open_ * corridors[:, :, None, None], (*corridors.shape, *home.shape[2:]))
        return self._flows(q, tag, of, _each(home, of), (share, links, fields))


def _each(values: Floats, of: pd.Index) -> Floats:
    """Return arrays of the one expected future (n, 1, Y, Q) for each of some tests, (n, T, Y, Q)."""
    return np.broadcast_to(values, (values.shape[0], len(of), *values.shape[2:]))
