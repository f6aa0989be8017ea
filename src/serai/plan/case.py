# SPDX-License-Identifier: Apache-2.0
"""The planning tables of a case: hubs, fields, corridors, projects, markets, contracts, home, history of cuts."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, fields
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from serai.errors import CaseError, Mistake
from serai.network import bundled
from serai.network.sheet import near
from serai.plan.crossed import crossed, settings_mistakes
from serai.plan.rows import Placed, cell, read_rows, wrong_values

if TYPE_CHECKING:
    import os

FOLDER = "planning"
SETTINGS = "plan.toml"
CONFIDENCE = ("high", "medium", "low")
CAUSES = ("technical", "political", "commercial")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A trunk line between two hubs, usable both ways: capacity [bcm/y].

    lines  equal lines side by side, of which one may fail at a time
    """

    name: str = cell()
    from_hub: str = cell()
    to_hub: str = cell()
    capacity: float = cell("rate", low=0.0)
    lines: int = cell(low=1, default=1)
    source: str = cell(default="")
    confidence: str = cell(allowed=CONFIDENCE, default="low")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """What a field can produce in the base year [bcm/y], how it declines [1/y], what a unit costs [USD/1,000 m3].

    trains  equal parts, of which one may fail at a time
    supply  names of the supplies in the network that the replay drives
    """

    name: str = cell()
    hub: str = cell()
    capacity: float = cell("rate", low=0.0)
    decline: float = cell("share", low=0.0, high=1.0)
    cost: float = cell("price", low=0.0)
    trains: int = cell(low=1, default=1)
    supply: tuple[str, ...] = cell(default=())
    source: str = cell(default="")
    confidence: str = cell(allowed=CONFIDENCE, default="low")


@dataclass(frozen=True, slots=True, kw_only=True)
class Corridor:
    """A way out of the country: from a hub over a border to markets, through transit states.

    route     border point; several corridors may leave through the same one
    since     year from which it could be used, for the rate of its stops; 0 = never so far
    bloc      to which its buyers belong
    capacity  usable today [bcm/y]
    transit_fee, swap_fee   [USD/1,000 m3]; fuel = share of the gas that the way abroad burns
    offtake   name of the offtake in the network that the replay drives
    """

    name: str = cell()
    hub: str = cell()
    route: str = cell()
    bloc: str = cell()
    transit: tuple[str, ...] = cell(default=())
    capacity: float = cell("rate", low=0.0)
    transit_fee: float = cell("price", low=0.0)
    swap_fee: float = cell("price", low=0.0, default=0.0)
    since: int = cell(default=0)
    fuel: float = cell("share", low=0.0, high=1.0, default=0.0)
    offtake: str = cell(default="")
    source: str = cell(default="")
    confidence: str = cell(allowed=CONFIDENCE, default="low")


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Something that can be built: it adds capacity [bcm/y] to a corridor, a link or a field `lead` years after.

    after  a project that must be decided before or in the same year (stages)
    """

    name: str = cell()
    adds_to: str = cell()
    capacity: float = cell("rate", low=0.0)
    capex: float = cell("money", low=0.0)
    upkeep: float = cell("share", low=0.0, high=1.0, default=0.02)
    lead: int = cell("years", low=0, high=20)
    after: str = cell(default="")
    earliest: int = cell(default=0)
    latest: int = cell(default=9999)
    source: str = cell(default="")
    confidence: str = cell(allowed=CONFIDENCE, default="low")


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Where gas is sold at the day's price: its level in the base year, how it moves, how much it takes.

    oil        share of the price that follows oil (1 = wholly)
    own        standard deviation of what else moves it, of the logarithm, a year
    limit      largest yearly volume without a contract [bcm/y]
    """

    name: str = cell()
    price: float = cell("price", low=0.0)
    oil: float = cell("share", low=0.0, high=1.0)
    own: float = cell("share", low=0.0, high=5.0)
    limit: float = cell("rate", low=0.0, default=inf)
    corridors: tuple[str, ...] = cell()
    source: str = cell(default="")
    confidence: str = cell(allowed=CONFIDENCE, default="low")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A sale over years: yearly quantity [bcm/y] to a market over corridors, from `start` to `end`.

    option        signed = binding; open = the plan decides whether (and not before `start`)
    discount      below the market's price of the year
    oil_lag       years by which the oil share of its price trails
    take_or_pay   share of the quantity that the buyer pays for whether or not he takes it
    paid          share of such payments that really comes
    make_up       years within which the buyer may take what he paid for
    take          mean and
    take_spread   standard deviation of the share that the buyer nominates
    deliver_or_pay  penalty for what is nominated and not delivered, as a share of the price
    in_kind       yearly volume that repays a debt and brings no money
    """

    name: str = cell()
    market: str = cell()
    corridors: tuple[str, ...] = cell()
    option: str = cell(allowed=("signed", "open"))
    start: int = cell()
    end: int = cell()
    quantity: float = cell("rate", low=0.0)
    discount: float = cell("share", low=0.0, high=1.0, default=0.0)
    oil_lag: int = cell("years", low=0, high=5, default=0)
    take_or_pay: float = cell("share", low=0.0, high=1.0, default=0.0)
    paid: float = cell("share", low=0.0, high=1.0, default=1.0)
    make_up: int = cell("years", low=0, high=20, default=0)
    take: float = cell("share", low=0.0, high=1.0, default=1.0)
    take_spread: float = cell("share", low=0.0, high=1.0, default=0.0)
    deliver_or_pay: float = cell("share", low=0.0, high=5.0, default=0.0)
    in_kind: float = cell("rate", low=0.0, default=0.0)
    source: str = cell(default="")
    confidence: str = cell(allowed=CONFIDENCE, default="low")


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Gas used at home by hub: yearly volume in the base year [bcm/y], growth [1/y], peak day over mean day.

    winter  mean rate in winter over the year's mean;  spread  standard deviation between years (weather)
    regions  of the network's offtakes that hang on this hub, for the replay
    """

    hub: str = cell()
    demand: float = cell("rate", low=0.0)
    growth: float = cell("share", low=-0.5, high=0.5, default=0.0)
    winter: float = cell("share", low=0.0, high=5.0, default=1.0)
    spread: float = cell("share", low=0.0, high=1.0, default=0.0)
    peak: float = cell("share", low=1.0, high=10.0, default=2.0)
    regions: tuple[str, ...] = cell(default=())
    source: str = cell(default="")
    confidence: str = cell(allowed=CONFIDENCE, default="low")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Something that stopped exports: first and last month (2009-04), over which corridors, what share was lost."""

    start: str = cell()
    end: str = cell()
    corridors: tuple[str, ...] = cell()
    cause: str = cell(allowed=CAUSES)
    lost: float = cell("share", low=0.0, high=1.0)
    event: str = cell(default="")
    source: str = cell(default="")
    confidence: str = cell(allowed=CONFIDENCE, default="low")


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What was sold where in a year that is over: volume [bcm] and price at the border [USD/1,000 m3]."""

    year: int = cell()
    market: str = cell()
    volume: float = cell("volume", low=0.0)
    price: float = cell("price", low=0.0)
    source: str = cell(default="")
    confidence: str = cell(allowed=CONFIDENCE, default="low")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a project does to the network, for the hydraulic replay; fields and border points grow by themselves.

    kind     of element: pipes, compressors, gas_nodes, offtakes
    change   `open` puts the element into service, `double` lays a second pipe beside it, `more` adds `power` [MW] to a
             station, `add` is a new offtake at the node `at`
    """

    project: str = cell()
    kind: str = cell(allowed=("pipes", "compressors", "gas_nodes", "offtakes"))
    element: str = cell()
    change: str = cell(allowed=("open", "double", "more", "add"))
    at: str = cell(default="")
    power: float = cell("power", low=0.0, default=0.0)
    source: str = cell(default="")
    confidence: str = cell(allowed=CONFIDENCE, default="low")


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Which pipes (by the `corridor` of their table) and stations of the network a corridor or a trunk line uses."""

    planned: str = cell()
    elements: tuple[str, ...] = cell()


@dataclass(frozen=True, slots=True, kw_only=True)
class Season:
    """A part of the year: its days and whether it is winter."""

    name: str
    days: float
    winter: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds for the whole plan, from `plan.toml`.

    base_year        of prices, money, capacities
    discount         real rate [1/y];  unserved = cost of home gas not delivered [USD/1,000 m3]
    oil_volatility   standard deviation of the logarithm of the oil price, a year; oil_return = pull to its mean [1/y]
    residual_years   years of the last year's cash that the end value counts
    decide_every     years between two rounds of decisions on projects
    ship_or_pay      share of the transit fee that is paid on capacity booked, used or not
    """

    base_year: int
    first_year: int
    years: int
    discount: float
    unserved: float
    oil_volatility: float
    oil_return: float
    residual_years: float
    decide_every: int
    ship_or_pay: float
    seasons: tuple[Season, ...]


@dataclass(frozen=True)
class Derated:
    """Share of a corridor that can be used in a year, in winter or out of it: no table, what replays found."""

    corridor: str
    year: int
    winter: bool
    share: float


TABLES: dict[str, type] = {
    "links": Link,
    "fields": Field,
    "corridors": Corridor,
    "projects": Project,
    "markets": Market,
    "contracts": Contract,
    "home": Home,
    "outages_history": Cut,
    "past_sales": Past,
    "works": Work,
    "uses": Use,
}
OPTIONAL = ("links", "past_sales", "works", "uses")


@dataclass(frozen=True)
class PlanningCase:
    """All planning tables of a case, checked against each other; `derated` is what replays found beside."""

    name: str
    settings: Settings
    links: tuple[Link, ...]
    fields: tuple[Field, ...]
    corridors: tuple[Corridor, ...]
    projects: tuple[Project, ...]
    markets: tuple[Market, ...]
    contracts: tuple[Contract, ...]
    home: tuple[Home, ...]
    outages_history: tuple[Cut, ...]
    past_sales: tuple[Past, ...] = ()
    works: tuple[Work, ...] = ()
    uses: tuple[Use, ...] = ()
    derated: tuple[Derated, ...] = ()

    def __post_init__(self) -> None:
        """Raise CaseError for what no file could hold: a case made in a program is checked as one that is read."""
        tables = {name: list(getattr(self, name)) for name in TABLES}
        checked = {name: wrong_values(rows, f"{name}.csv") for name, rows in tables.items()}
        mistakes = [m for wrong, _ in checked.values() for m in wrong]
        seasons = [asdict(s) for s in self.settings.seasons]
        mistakes += settings_mistakes(SETTINGS, asdict(self.settings) | {"seasons": seasons})
        mistakes += crossed(tables, {name: placed for name, (_, placed) in checked.items()})
        if mistakes:
            raise CaseError(self.name, mistakes)

    @property
    def hubs(self) -> tuple[str, ...]:
        """The hubs, in the order in which fields and homes name them."""
        return tuple(dict.fromkeys([*(f.hub for f in self.fields), *(h.hub for h in self.home)]))


def read_planning(case: str | os.PathLike[str]) -> PlanningCase:
    """Read the folder `planning` of a bundled case or of a case folder.

    Raises CaseError with every mistake: file, row, column, what it must be.
    """
    folder = bundled().get(str(case), Path(case)) / FOLDER
    mistakes: list[Mistake] = []
    if not folder.is_dir():
        raise CaseError(str(case), [Mistake(FOLDER, 0, "", "this folder is missing: it holds the planning tables")])
    tables: dict[str, list[Any]] = {}
    placed: dict[str, Placed] = {}
    for name, kind in TABLES.items():
        path = folder / f"{name}.csv"
        if path.is_file() or name not in OPTIONAL:
            tables[name], placed[name] = read_rows(path, kind, mistakes)
        else:
            tables[name], placed[name] = [], Placed(path.name, ())
    settings = _settings(folder / SETTINGS, mistakes)
    mistakes += crossed(tables, placed)
    if mistakes or settings is None:
        raise CaseError(f"{case}: {FOLDER}", mistakes)
    return PlanningCase(str(case), settings, **{n: tuple(rows) for n, rows in tables.items()})


def _settings(path: Path, mistakes: list[Mistake]) -> Settings | None:
    """Read `plan.toml`; a missing or odd value is a mistake."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        mistakes.append(Mistake(path.name, 0, "", f"cannot be read: {error}"))
        return None
    before = len(mistakes)
    names = {f.name: f.type for f in fields(Settings)}
    mistakes += [Mistake(path.name, 0, name, "must be given") for name in names if name not in given]
    mistakes += [
        Mistake(path.name, 0, name, f"no such setting{near(name, names)}") for name in given if name not in names
    ]
    seasons = given.get("seasons", [])
    if not isinstance(seasons, list) or not seasons or any({"name", "days", "winter"} - set(s) for s in seasons):
        mistakes.append(Mistake(path.name, 0, "seasons", "each needs name, days and winter"))
    elif abs(sum(s["days"] for s in seasons) - 365.0) > 1.5:
        mistakes.append(Mistake(path.name, 0, "seasons", "the days must add up to a year"))
    mistakes += settings_mistakes(path.name, given)
    if len(mistakes) > before:
        return None
    return Settings(**{**given, "seasons": tuple(Season(**s) for s in seasons)})


def inputs(case: PlanningCase) -> pd.DataFrame:
    """Return every row of every table that says how sure it is: file, name, confidence, source."""
    rows = [
        (f"{table}.csv", str(getattr(row, next(f.name for f in fields(row)))), row.confidence, row.source)
        for table in TABLES
        for row in getattr(case, table)
        if hasattr(row, "confidence")
    ]
    return pd.DataFrame(rows, columns=["file", "row", "confidence", "source"])
