# SPDX-License-Identifier: Apache-2.0
"""The plan as arrays: what the tables and the futures mean for builds, contracts, bookings and yearly flows.

First stage: x[i, y] = 1 when project i is decided by year y, u[g] = 1 when contract g is signed, K[c, y] = capacity
booked on corridor c. Second stage: the yearly network of `recourse`, whose capacities are linear in x, u and K.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.plan.case import PlanningCase
    from serai.plan.scenarios import Scenarios

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

PARTS = 2  # of the futures; more parts teach more at a time and make the master larger


@dataclass(frozen=True)
class Problem:
    """Sizes: P projects, G sales (contracts, then a spot sale for each market), C corridors, H hubs, L links, Y, Q, S.

    A sale reaches its market over its corridors; (sale, corridor) is a pair, A of them.
    """

    case: PlanningCase
    scenarios: Scenarios

    # ------------------------------------------------------------------------------------------------ sizes, names

    @cached_property
    def years(self) -> Ints:
        """Calendar years of the plan, (Y,)."""
        return self.case.settings.first_year + np.arange(self.case.settings.years)

    @cached_property
    def days(self) -> Floats:
        """Share of the year that each season is, (Q,)."""
        days = np.array([s.days for s in self.case.settings.seasons])
        return np.asarray(days / days.sum())

    @cached_property
    def discount(self) -> Floats:
        """Present value of a dollar of each year, the last year with the end value that follows it, (Y,)."""
        s = self.case.settings
        d = (1.0 + s.discount) ** -(self.years - s.base_year).astype(float)
        end = sum((1.0 + s.discount) ** -k for k in range(1, int(s.residual_years) + 1))
        d[-1] *= 1.0 + end
        return np.asarray(d)

    @cached_property
    def spending(self) -> Floats:
        """Present value of a dollar spent in each year, (Y,)."""
        s = self.case.settings
        return np.asarray((1.0 + s.discount) ** -(self.years - s.base_year).astype(float))

    @cached_property
    def sales(self) -> tuple[str, ...]:
        """Names of the sales, (G,): contracts, then spot sales as `market, spot`."""
        return (*(g.name for g in self.case.contracts), *(f"{m.name}, spot" for m in self.case.markets))

    @cached_property
    def market_of(self) -> Ints:
        """Market of each sale, (G,)."""
        names = [m.name for m in self.case.markets]
        return np.array([names.index(g.market) for g in self.case.contracts] + list(range(len(names))))

    @cached_property
    def pairs(self) -> tuple[Ints, Ints]:
        """Sale and corridor of each pair, (A,) each."""
        at = {c.name: i for i, c in enumerate(self.case.corridors)}
        rows = [*(g.corridors for g in self.case.contracts), *(m.corridors for m in self.case.markets)]
        found = [(g, at[c]) for g, names in enumerate(rows) for c in names]
        return np.array([g for g, _ in found]), np.array([c for _, c in found])

    @cached_property
    def open_contracts(self) -> Ints:
        """The contracts about which the plan decides, by number."""
        return np.array([i for i, g in enumerate(self.case.contracts) if g.option == "open"], dtype=np.int64)

    @cached_property
    def ways(self) -> tuple[Ints, Ints, Ints]:
        """(market, corridor) combinations: market and corridor of each (W,), and the one of each pair (A,)."""
        g, c = self.pairs
        both = list(zip(self.market_of[g].tolist(), c.tolist(), strict=True))
        every = sorted(set(both))
        return (
            np.array([k for k, _ in every]),
            np.array([c for _, c in every]),
            np.array([every.index(b) for b in both]),
        )

    # --------------------------------------------------------------------------------------------------- first stage

    @cached_property
    def parts(self) -> Floats:
        """Parts of the futures whose money the master holds apart: 1 for members, (B, S); alike in mean price."""
        s = self.scenarios
        level = (s.price.mean(axis=(0, 2)) if len(s.price) else np.zeros(s.count)).argsort().argsort()
        count = min(PARTS, s.count)
        return np.asarray((level * count // s.count)[None, :] == np.arange(count)[:, None], dtype=float)

    @cached_property
    def allowed(self) -> NDArray[np.bool_]:
        """Whether a project may be decided in a year, (P, Y)."""
        turn = np.arange(len(self.years)) % self.case.settings.decide_every == 0
        open_ = [turn & (self.years >= p.earliest) & (self.years <= p.latest) for p in self.case.projects]
        return np.array(open_, dtype=bool).reshape(len(self.case.projects), len(self.years))

    @cached_property
    def produced(self) -> Floats:
        """What the fields of each hub can give without projects, (H, Y) [bcm/y]."""
        past = (self.years - self.case.settings.base_year).astype(float)
        found = np.zeros((len(self.case.hubs), len(self.years)))
        for f in self.case.fields:
            found[self.case.hubs.index(f.hub)] += f.capacity * (1.0 - f.decline) ** past
        return found

    def adds(self, kind: str) -> Floats:
        """Return what each project adds to each hub (`fields`), link or corridor, (n, P) [bcm/y]."""
        return self._added[kind]

    @cached_property
    def _added(self) -> dict[str, Floats]:
        """By kind; built once, as every bound needs it."""
        found = {}
        for kind in ("fields", "links", "corridors"):
            rows = getattr(self.case, kind)
            places = {r.name: i for i, r in enumerate(rows)}
            if kind == "fields":
                places = {f.name: self.case.hubs.index(f.hub) for f in rows}
            found[kind] = np.zeros((len(self.case.hubs) if kind == "fields" else len(rows), len(self.case.projects)))
            for i, p in enumerate(self.case.projects):
                if p.adds_to in places:
                    found[kind][places[p.adds_to], i] = p.capacity
        return found

    @cached_property
    def cost_of_gas(self) -> Floats:
        """Mean cost of a hub's gas, by capacity, (H,) [USD/1,000 m3]."""
        found = np.zeros(len(self.case.hubs))
        for h, hub in enumerate(self.case.hubs):
            own = [f for f in self.case.fields if f.hub == hub]
            found[h] = sum(f.capacity * f.cost for f in own) / max(sum(f.capacity for f in own), 1e-9)
        return found

    @cached_property
    def fee(self) -> Floats:
        """What a corridor's transit costs, (C,) [USD/1,000 m3]; `ship_or_pay` of it is due on bookings."""
        return np.array([c.transit_fee for c in self.case.corridors])

    @cached_property
    def build_cost(self) -> Floats:
        """What deciding a project by a year costs, (P, Y): x is cumulative, so spending is a difference."""
        found = np.zeros((len(self.case.projects), len(self.years)))
        for i, project in enumerate(self.case.projects):
            spent = project.capex * self.spending
            found[i] += spent - np.append(spent[1:], 0.0)  # x_y - x_{y-1} is spent in y
            upkeep = project.upkeep * project.capex * self.discount
            found[i, : max(0, len(spent) - project.lead)] += upkeep[project.lead :]
        return found

    @cached_property
    def booking_cost(self) -> Floats:
        """What a unit booked costs, used or not, (C, Y)."""
        return np.asarray(self.discount * self.case.settings.ship_or_pay * self.fee[:, None])

    # -------------------------------------------------------------------------------------------------- second stage

    @cached_property
    def price(self) -> Floats:
        """Price of each sale, (G, S, Y) [USD/1,000 m3]."""
        s = self.scenarios
        return np.concatenate([s.contract_price, s.price])

    @cached_property
    def limit(self) -> Floats:
        """What each sale can take when signed, (G, S, Y) [bcm]: what is nominated, or the market's limit."""
        s = self.scenarios
        spot = np.array([m.limit for m in self.case.markets])
        return np.concatenate([s.nominated, np.broadcast_to(spot[:, None, None], s.price.shape)])

    @cached_property
    def netback(self) -> Floats:
        """What a unit sold by a pair brings at the border before the cost of gas, (A, S, Y) [USD/1,000 m3]."""
        g, c = self.pairs
        fuel = np.array([x.fuel for x in self.case.corridors])
        fees = (1.0 - self.case.settings.ship_or_pay) * self.fee + np.array([x.swap_fee for x in self.case.corridors])
        return np.asarray(self.price[g] * (1.0 - fuel[c])[:, None, None] - fees[c][:, None, None])

    @cached_property
    def margin(self) -> Floats:
        """As `netback`, with the penalty that delivering avoids, (A, S, Y)."""
        g, _ = self.pairs
        return np.asarray(self.netback + self._penalty[g])

    @cached_property
    def _penalty(self) -> Floats:
        rate = np.array([x.deliver_or_pay for x in self.case.contracts] + [0.0] * len(self.case.markets))
        return np.asarray(rate[:, None, None] * self.price)

    @cached_property
    def fixed(self) -> Floats:
        """Money of a signed contract that no flow changes, (G, S, Y) [million USD].

        Take-or-pay received, less what is made up or repays a debt in kind, less the penalty on all that is nominated
        (each unit delivered wins its penalty back: `margin`).
        """
        s, n = self.scenarios, len(self.case.contracts)
        found = np.zeros_like(self.price)
        floor = s.paid_not_taken * s.contract_price
        kind = np.array([g.in_kind for g in self.case.contracts])[:, None, None] * (s.nominated > 0.0)
        found[:n] = floor - (s.made_up + np.minimum(kind, s.nominated)) * s.contract_price
        found[:n] -= self._penalty[:n] * s.nominated
        return found

    @cached_property
    def by_year(self) -> ByYear:
        """Arrays of the futures in the order of the yearly networks: (Y, S, ..)."""
        s = self.scenarios
        one = (self.margin, self.netback, self.limit)
        return ByYear(
            *(np.ascontiguousarray(a.transpose(2, 1, 0)) for a in one),
            *(np.ascontiguousarray(a.transpose(2, 1, 0, 3)) for a in (s.available, s.home)),
        )

    # ------------------------------------------------------------------------------------------- the yearly network

    @cached_property
    def arcs(self) -> Arcs:
        """The arcs of one year."""
        return Arcs.of(self)


@dataclass(frozen=True)
class ByYear:
    """Futures as yearly networks need them: margin, netback (Y, S, A), limit (Y, S, G), the rest (Y, S, .., Q)."""

    margin: Floats
    netback: Floats
    limit: Floats
    available: Floats
    home: Floats


@dataclass(frozen=True)
class Arcs:
    """Arcs of the yearly network, and where each group of them stands.

    field (H, Q), home (H, Q), forth and back (L, Q), corridor (C, Q), pair (A,), sale (G,): numbers of arcs
    """

    tail: Ints
    head: Ints
    field: Ints
    home: Ints
    forth: Ints
    back: Ints
    corridor: Ints
    pair: Ints
    sale: Ints

    @classmethod
    def of(cls, p: Problem) -> Arcs:
        """Number nodes (source, hub by season, corridor, sale, sink) and arcs."""
        hubs, links, q = len(p.case.hubs), len(p.case.links), len(p.days)
        corridors, sales = len(p.case.corridors), len(p.sales)
        hub = 1 + np.arange(hubs * q).reshape(hubs, q)
        corridor = 1 + hubs * q + np.arange(corridors)
        sale = corridor[-1] + 1 + np.arange(sales)
        sink = int(sale[-1]) + 1
        at = p.case.hubs.index
        one, two = ([at(x.from_hub) for x in p.case.links], [at(x.to_hub) for x in p.case.links])
        of = [at(c.hub) for c in p.case.corridors]
        g, c = p.pairs
        groups = [
            (np.zeros(hubs * q, dtype=np.int64), hub.ravel()),
            (hub.ravel(), np.full(hubs * q, sink)),
            (hub[one].ravel(), hub[two].ravel()),
            (hub[two].ravel(), hub[one].ravel()),
            (hub[of].ravel(), np.repeat(corridor, q)),
            (corridor[c], sale[g]),
            (sale, np.full(sales, sink)),
        ]
        edges = np.cumsum([0, *(len(t) for t, _ in groups)])
        numbers = [np.arange(a, b) for a, b in pairwise(edges)]
        shapes = [(hubs, q), (hubs, q), (links, q), (links, q), (corridors, q), (-1,), (-1,)]
        tail = np.concatenate([t for t, _ in groups]).astype(np.int64)
        head = np.concatenate([h for _, h in groups]).astype(np.int64)
        return cls(tail, head, *(x.reshape(s) for x, s in zip(numbers, shapes, strict=True)))
