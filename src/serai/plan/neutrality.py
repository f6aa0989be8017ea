# SPDX-License-Identifier: Apache-2.0
"""Neutrality: a bound on dependence, one idea used everywhere.

A dependence is a set of ways to sell: all through one route, one transit state, to one market or one bloc. Its share of
the exported volume and of the revenue is bounded, so is what its stop for twelve months may cost, and the loss of any
one piece of the network must leave homes warm and firm sales deliverable.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from serai.errors import SeraiError, UnknownName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from serai.plan.case import PlanningCase
    from serai.plan.problem import Problem

    Floats = NDArray[np.float64]

DIMENSIONS = ("route", "transit", "market", "bloc")
MEASURES = ("volume", "revenue")


@dataclass(frozen=True)
class Neutrality:
    """Bounds on dependence.

    max_share   largest share of any one dependence, one number for all dimensions or by dimension
                (`route`, `transit`, `market`, `bloc`); a dimension that is not named is not bounded
    measures    of what: `volume`, `revenue`
    max_loss    largest share of the revenue that a stop of any one dependence for 12 months may cost; None = no bound
    stops       dimensions whose stop `max_loss` is about
    survive     "any one element": the loss of any one corridor, trunk line or field train leaves homes served on the
                peak day and `cover` x the firm sales deliverable; "" = no such rule
    since       years after the first before the bounds hold (pipes take years to build)
    """

    max_share: float | Mapping[str, float] | None = None
    measures: tuple[str, ...] = MEASURES
    max_loss: float | None = None
    stops: tuple[str, ...] = DIMENSIONS
    survive: str = ""
    cover: float = 1.0
    since: int = 6
    shares: dict[str, float] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse bounds that mean nothing."""
        given = self.max_share
        shares = dict.fromkeys(DIMENSIONS, given) if isinstance(given, int | float) else dict(given or {})
        for name in (*shares, *self.stops):
            if name not in DIMENSIONS:
                msg = f"neutrality knows no dimension {name!r}: use {', '.join(DIMENSIONS)}"
                raise UnknownName(msg)
        for name in self.measures:
            if name not in MEASURES:
                msg = f"neutrality measures {' and '.join(MEASURES)}, not {name!r}"
                raise UnknownName(msg)
        for what, share in [*shares.items(), *([("max_loss", self.max_loss)] if self.max_loss is not None else [])]:
            if not 0.0 <= share <= 1.0:
                msg = f"neutrality {what}: a share lies between 0 and 1, got {share}"
                raise SeraiError(msg)
        if self.survive not in ("", "any one element", "any one corridor"):
            msg = f"survive must be 'any one element', 'any one corridor' or '', got {self.survive!r}"
            raise SeraiError(msg)
        object.__setattr__(self, "shares", {k: float(v) for k, v in shares.items()})

    @property
    def limits(self) -> dict[str, float]:
        """The bounds on shares that can bind, by dimension."""
        return {k: v for k, v in self.shares.items() if v < 1.0}

    @property
    def losses(self) -> dict[str, float]:
        """The bound on what a stop may cost, by dimension; empty where there is none."""
        return {} if self.max_loss is None else dict.fromkeys(self.stops, self.max_loss)


@dataclass(frozen=True)
class Dependence:
    """One neighbour, border point, market or bloc, and the ways (W,) of selling that need it."""

    dimension: str
    name: str
    ways: NDArray[np.bool_]


def dependences(problem: Problem) -> list[Dependence]:
    """Return every dependence of a plan: all routes, transit states, markets and blocs."""
    case = problem.case
    market, corridor, _ = problem.ways
    rows = [case.corridors[c] for c in corridor]
    of = {
        "route": [(r.route,) for r in rows],
        "transit": [r.transit for r in rows],
        "market": [(case.markets[m].name,) for m in market],
        "bloc": [(r.bloc,) for r in rows],
    }
    return [
        Dependence(dimension, name, np.array([name in has for has in names]))
        for dimension, names in of.items()
        for name in dict.fromkeys(n for has in names for n in has)
    ]


def tightest(problem: Problem, limits: Mapping[str, float], *, nested: bool = True) -> list[tuple[Dependence, float]]:
    """Return the dependences, each with the limit of its dimension, whose bounds keep all the others.

    nested  whether a dependence is kept by the bound on one whose ways include its own (true of volumes and of stops;
            revenue of a way may be negative); otherwise only one of the same ways keeps it
    """
    every = [(d, limits[d.dimension]) for d in dependences(problem) if d.dimension in limits]

    def keeps(i: int, j: int) -> bool:
        (a, tight), (b, loose) = every[i], every[j]
        same = bool((a.ways == b.ways).all())
        includes = same or (nested and bool((a.ways >= b.ways).all()))
        return includes and tight <= loose and (not same or tight < loose or i < j)

    return [e for j, e in enumerate(every) if not any(keeps(i, j) for i in range(len(every)) if i != j)]


def herfindahl(shares: Floats) -> Floats:
    """Return the Herfindahl-Hirschman index of shares along the first axis: 1 = all on one, 1/n = even."""
    return np.asarray((shares**2).sum(axis=0))


@dataclass(frozen=True)
class Element:
    """A piece of the network that may fail: kind (corridor, link, field), its number, the share of it that is lost."""

    kind: str
    number: int
    name: str
    lost: float


def elements(case: PlanningCase) -> list[Element]:
    """Return every piece that N-1 takes out: whole corridors, one line of each trunk, one train of each field."""

    def part(name: str, count: int) -> str:
        return name if count == 1 else f"{name}, one of {count}"

    return [
        *(Element("corridor", i, c.name, 1.0) for i, c in enumerate(case.corridors)),
        *(Element("link", i, part(x.name, x.lines), 1.0 / x.lines) for i, x in enumerate(case.links)),
        *(Element("field", i, part(f.name, f.trains), 1.0 / f.trains) for i, f in enumerate(case.fields)),
    ]
