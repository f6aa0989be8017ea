# SPDX-License-Identifier: Apache-2.0
"""Plans small enough to be solved by hand: one hub, one season, no discount unless a test says otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from serai.plan.case import (
    Contract,
    Corridor,
    Cut,
    Field,
    Home,
    Link,
    Market,
    PlanningCase,
    Project,
    Season,
    Settings,
)
from serai.plan.problem import Problem
from serai.plan.scenarios import Scenarios, expected

ONE_SEASON = (Season(name="year", days=365.0, winter=False),)
SETTINGS = Settings(
    base_year=2026, first_year=2026, years=3, discount=0.0, unserved=3000.0, oil_volatility=0.0, oil_return=0.0,
    residual_years=0.0, decide_every=1, ship_or_pay=0.0, seasons=ONE_SEASON,
)  # fmt: skip


def corridor(name: str, capacity: float, **more) -> Corridor:
    given = {"hub": "Hub", "route": name, "bloc": name, "transit_fee": 0.0, **more}
    return Corridor(name=name, capacity=capacity, **given)


def market(name: str, price: float, corridors: tuple[str, ...], **more) -> Market:
    return Market(**{"name": name, "price": price, "oil": 0.0, "own": 0.0, "corridors": corridors, **more})


def plan_case(**tables) -> PlanningCase:
    """20 bcm a year at 10 USD, 5 used at home, sold at 100 over 'A' (8 bcm) and at 60 over 'B' (10 bcm)."""
    given = {
        "name": "tiny",
        "settings": SETTINGS,
        "links": (),
        "fields": (Field(name="Field", hub="Hub", capacity=20.0, decline=0.0, cost=10.0),),
        "corridors": (corridor("A", 8.0), corridor("B", 10.0)),
        "projects": (),
        "markets": (market("Alpha", 100.0, ("A",)), market("Beta", 60.0, ("B",))),
        "contracts": (),
        "home": (Home(hub="Hub", demand=5.0),),
        "outages_history": (),
        **tables,
    }
    return PlanningCase(**given)


def sure(case: PlanningCase) -> Problem:
    """The case under the one future without surprise."""
    return Problem(case, expected(case))


def futures(case: PlanningCase, prices: list[dict[str, float]]) -> Problem:
    """The case under futures of equal probability that differ in the markets' prices."""
    one = expected(case)
    n, years = len(prices), case.settings.years
    price = np.array([[[p.get(m.name, m.price)] * years for p in prices] for m in case.markets], dtype=float)

    def several(array: np.ndarray) -> np.ndarray:
        return np.repeat(array, n, axis=1)

    return Problem(
        case,
        Scenarios(
            np.full(n, 1.0 / n), price, several(one.contract_price), several(one.nominated),
            several(one.paid_not_taken), several(one.made_up), several(one.available), several(one.home),
        ),
    )  # fmt: skip


def two_hubs(**tables) -> PlanningCase:
    """Two hubs, two seasons, stages, an open contract, stops in the past: a plan with every part, still small."""
    settings = replace(
        SETTINGS, years=4, discount=0.08, oil_volatility=0.2, oil_return=0.1, residual_years=2.0, ship_or_pay=0.3,
        seasons=(Season(name="winter", days=120.0, winter=True), Season(name="rest", days=245.0, winter=False)),
    )  # fmt: skip
    given = {
        "settings": settings,
        "links": (Link(name="Trunk", from_hub="Hub", to_hub="Coast", capacity=6.0),),
        "fields": (
            Field(name="Field", hub="Hub", capacity=24.0, decline=0.03, cost=15.0, trains=3),
            Field(name="Shelf", hub="Coast", capacity=4.0, decline=0.0, cost=30.0),
        ),
        "corridors": (
            corridor("East", 12.0, transit=("U",), transit_fee=30.0, fuel=0.04),
            corridor("South", 4.0, transit_fee=5.0, swap_fee=10.0),
            corridor("West", 0.0, hub="Coast", transit=("V", "W"), transit_fee=60.0, fuel=0.03),
        ),
        "projects": (
            Project(name="West one", adds_to="West", capacity=5.0, capex=300.0, lead=1),
            Project(name="West two", adds_to="West", capacity=5.0, capex=260.0, lead=1, after="West one"),
            Project(name="Trunk two", adds_to="Trunk", capacity=4.0, capex=90.0, lead=1),
            Project(name="Field two", adds_to="Field", capacity=6.0, capex=500.0, lead=1),
        ),
        "markets": (
            market("Dawn", 220.0, ("East",), oil=0.8, own=0.1, limit=5.0),
            market("Noon", 150.0, ("South",), oil=0.4, own=0.2),
            market("Dusk", 330.0, ("West",), oil=0.5, own=0.3, limit=6.0),
        ),
        "contracts": (
            Contract(
                name="Old", market="Dawn", corridors=("East",), option="signed", start=2020, end=2040, quantity=8.0,
                oil_lag=1, take_or_pay=0.8, paid=0.9, make_up=2, take=0.85, take_spread=0.1, deliver_or_pay=0.2,
            ),
            Contract(
                name="New", market="Dusk", corridors=("West",), option="open", start=2027, end=2040, quantity=4.0,
                discount=0.05, take_or_pay=0.7, take=0.9, take_spread=0.05, deliver_or_pay=0.3,
            ),
        ),
        "home": (
            Home(hub="Hub", demand=6.0, growth=0.02, winter=1.4, spread=0.05, peak=1.8),
            Home(hub="Coast", demand=2.0, growth=0.01, winter=1.3, spread=0.05, peak=1.6),
        ),
        "outages_history": (
            Cut(start="2020-01", end="2020-06", corridors=("East",), cause="technical", lost=0.5),
            Cut(start="2022-03", end="2023-02", corridors=("South",), cause="political", lost=1.0),
        ),
        **tables,
    }  # fmt: skip
    return plan_case(**given)
