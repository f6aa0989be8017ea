# SPDX-License-Identifier: Apache-2.0
"""Futures: prices, nominations, stops of corridors and demand at home, drawn from a seed.

Oil is mean-reverting in its logarithm; a market's price follows it by a share and moves on its own beside it. Stops are
fitted to the history of cuts: their rate by an empirical Bayes estimate (corridors without a past borrow the pooled
rate), their length and depth drawn from the cuts that happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from serai.plan.case import Contract, Cut, Derated, PlanningCase

    Floats = NDArray[np.float64]

PRIOR_YEARS = 8.0  # weight of the pooled rate of stops against a corridor's own years
OWN_CUTS = 3  # from this many of its own on, a corridor's stops are drawn from its own


@dataclass(frozen=True)
class Scenarios:
    """Futures of equal or given probability. S scenarios, Y years, Q seasons.

    probability   (S,)
    price         of each market (n_market, S, Y) [USD/1,000 m3]
    contract_price   (n_contract, S, Y) [USD/1,000 m3]
    nominated     by the buyer of each contract (n_contract, S, Y) [bcm]
    paid_not_taken, made_up   take-or-pay: paid without taking, and taken later without paying (n_contract, S, Y) [bcm]
    available     share of each corridor that can be used (n_corridor, S, Y, Q)
    home          demand of each hub (n_hub, S, Y, Q) [bcm]
    """

    probability: Floats
    price: Floats
    contract_price: Floats
    nominated: Floats
    paid_not_taken: Floats
    made_up: Floats
    available: Floats
    home: Floats

    @property
    def count(self) -> int:
        """How many scenarios there are."""
        return len(self.probability)


def draw(case: PlanningCase, count: int = 100, *, seed: int = 1) -> Scenarios:
    """Draw `count` futures of equal probability; the same seed draws the same ones."""
    rng = np.random.default_rng(seed)
    s, n, q = case.settings, count, len(case.settings.seasons)
    years = s.years
    lag = max((g.oil_lag for g in case.contracts), default=0)
    oil = _reverting(rng, n, years + lag, s.oil_volatility, s.oil_return)
    price = np.array(
        [
            m.price * (1.0 - m.oil + m.oil * oil[:, lag:]) * _reverting(rng, n, years, m.own, s.oil_return)
            for m in case.markets
        ]
    )
    markets = {m.name: m for m in case.markets}
    contract_price = np.array(
        [
            markets[g.market].price
            * (1.0 - g.discount)
            * (1.0 - markets[g.market].oil + markets[g.market].oil * oil[:, lag - g.oil_lag : lag - g.oil_lag + years])
            for g in case.contracts
        ]
    ).reshape(-1, n, years)
    nominated = np.array([_nominated(rng, g, n, s.first_year, years) for g in case.contracts]).reshape(-1, n, years)
    paths = [_make_up(g, nominated[i], s.first_year) for i, g in enumerate(case.contracts)]
    return Scenarios(
        np.full(n, 1.0 / n),
        price,
        contract_price,
        nominated,
        np.array([p[0] for p in paths]).reshape(-1, n, years),
        np.array([p[1] for p in paths]).reshape(-1, n, years),
        _available(rng, case, n) * usable(case, case.derated),
        _home(rng, case, n, q),
    )


def expected(case: PlanningCase) -> Scenarios:
    """Return the one future without surprise: mean prices, mean nominations, no stop, mean weather."""
    s, years, q = case.settings, case.settings.years, len(case.settings.seasons)
    markets = {m.name: m for m in case.markets}
    sizes = (len(case.contracts), 1, years)
    nominated = np.array([g.take * g.quantity * _runs(g, s.first_year, years) for g in case.contracts]).reshape(sizes)
    prices = [np.full(years, markets[g.market].price * (1.0 - g.discount)) for g in case.contracts]
    paths = [_make_up(g, nominated[i], s.first_year) for i, g in enumerate(case.contracts)]
    return Scenarios(
        np.ones(1),
        np.array([np.full((1, years), m.price) for m in case.markets]),
        np.array(prices).reshape(sizes),
        nominated,
        np.array([p[0] for p in paths]).reshape(sizes),
        np.array([p[1] for p in paths]).reshape(sizes),
        usable(case, case.derated),
        _home(None, case, 1, q),
    )


def usable(case: PlanningCase, rows: Sequence[Derated]) -> Floats:
    """Return the share of each corridor that rows of a replay leave, (n_corridor, 1, Y, Q); rows of one multiply."""
    s, names = case.settings, [c.name for c in case.corridors]
    found = np.ones((len(names), 1, s.years, len(s.seasons)))
    winter = np.array([season.winter for season in s.seasons])
    for row in rows:
        found[names.index(row.corridor), 0, row.year - s.first_year, winter == row.winter] *= row.share
    return found


def _reverting(rng: np.random.Generator, n: int, years: int, sigma: float, pull: float) -> Floats:
    """Return factors of mean 1 (n, years): the exponential of a first-order autoregression that starts at 0.

    Every shock comes with its opposite in another future (antithetic variates; Hammersley & Morton 1956), so that a
    hundred futures have nearly the mean of all.
    """
    log = np.zeros((n, years))
    variance = np.zeros(years)
    half = rng.standard_normal(((n + 1) // 2, years)) * sigma
    shocks = np.concatenate([half, -half])[:n]
    for y in range(years):
        log[:, y] = (1.0 - pull) * (log[:, y - 1] if y else 0.0) + shocks[:, y]
        variance[y] = (1.0 - pull) ** 2 * (variance[y - 1] if y else 0.0) + sigma**2
    return np.asarray(np.exp(log - variance / 2.0))


def _runs(g: Contract, first: int, years: int) -> Floats:
    """Return 1 in the years in which a contract runs, (years,)."""
    y = first + np.arange(years)
    return ((y >= g.start) & (y <= g.end)).astype(float)


def _nominated(rng: np.random.Generator, g: Contract, n: int, first: int, years: int) -> Floats:
    share = np.clip(g.take + g.take_spread * rng.standard_normal((n, years)), 0.0, 1.0)
    return np.asarray(g.quantity * share * _runs(g, first, years))


def _make_up(g: Contract, nominated: Floats, first: int) -> tuple[Floats, Floats]:
    """Return what is paid without being taken, and what is taken later without being paid, (n, years) each.

    The buyer takes less than the take-or-pay quantity, pays `paid` of the difference, and has `make_up` years to take
    it beyond that quantity; the oldest first, and what is not taken in time is lost to him.
    """
    n, years = nominated.shape
    floor = g.take_or_pay * g.quantity * _runs(g, first, years)
    short = g.paid * np.maximum(0.0, floor - nominated)
    made = np.zeros((n, years))
    account = np.zeros((n, g.make_up))  # by age, the youngest first
    for y in range(years):
        room = np.maximum(0.0, nominated[:, y] - floor[y])
        for age in reversed(range(g.make_up)):
            taken = np.minimum(account[:, age], room)
            account[:, age] -= taken
            room -= taken
            made[:, y] += taken
        if g.make_up:
            account = np.column_stack([short[:, y], account[:, :-1]])
    return short, made


def _home(rng: np.random.Generator | None, case: PlanningCase, n: int, q: int) -> Floats:
    s = case.settings
    share = np.array([x.days for x in s.seasons]) / sum(x.days for x in s.seasons)
    winter = np.array([x.winter for x in s.seasons])
    found = np.empty((len(case.hubs), n, s.years, q))
    weather = rng.standard_normal((n, s.years)) if rng is not None else np.zeros((n, s.years))
    for i, hub in enumerate(case.hubs):
        homes = [h for h in case.home if h.hub == hub]
        found[i] = 0.0
        for h in homes:
            rest = (1.0 - h.winter * share[winter].sum()) / max(share[~winter].sum(), 1e-12)
            profile = share * np.where(winter, h.winter, rest)
            growth = (1.0 + h.growth) ** (s.first_year - s.base_year + np.arange(s.years))
            cold = np.maximum(0.5, 1.0 + h.spread * weather)  # one weather for the country
            found[i] += h.demand * growth[None, :, None] * cold[:, :, None] * profile[None, None, :]
    return found


# --------------------------------------------------------------------------------------------------------- stops


def months(text: str) -> int:
    """Return a month `2009-04` as a count of months."""
    year, month = text.split("-")
    return 12 * int(year) + int(month) - 1


def length(cut: Cut) -> int:
    """Return how many months a cut lasted."""
    return months(cut.end) - months(cut.start) + 1


def stop_rates(case: PlanningCase) -> Floats:
    """Return how many stops a year each corridor expects, (n_corridor,).

    Empirical Bayes: (own stops + pooled rate x PRIOR_YEARS) / (own years + PRIOR_YEARS), the mean of the gamma
    posterior of a Poisson rate (Robbins 1956); the years that a stop itself took do not count as exposure.
    """
    end = 12 * case.settings.base_year
    first = min((months(c.start) for c in case.outages_history), default=end)
    stops, years = np.zeros(len(case.corridors)), np.zeros(len(case.corridors))
    for i, c in enumerate(case.corridors):
        own = [x for x in case.outages_history if c.name in x.corridors]
        since = max(first, 12 * c.since) if c.since else end
        stops[i] = len(own)
        years[i] = max(0.0, (end - since - sum(length(x) * x.lost for x in own)) / 12.0)
    pooled = stops.sum() / years.sum() if years.sum() else 0.0
    return np.asarray((stops + pooled * PRIOR_YEARS) / (years + PRIOR_YEARS))


def _available(rng: np.random.Generator, case: PlanningCase, n: int) -> Floats:
    s = case.settings
    edges = np.concatenate([[0.0], np.cumsum([x.days for x in s.seasons])]) / sum(x.days for x in s.seasons)
    count = 12 * s.years
    found = np.ones((len(case.corridors), n, s.years, len(s.seasons)))
    if not case.outages_history:
        return found
    middle = (np.arange(12) + 0.5) / 12.0
    season = np.clip(np.searchsorted(edges, middle, side="right") - 1, 0, len(s.seasons) - 1)
    for i, (c, rate) in enumerate(zip(case.corridors, stop_rates(case), strict=True)):
        own = [x for x in case.outages_history if c.name in x.corridors]
        cuts = own if len(own) >= OWN_CUTS else list(case.outages_history)
        left = np.ones((n, count))
        starts = rng.random((n, count)) < -np.expm1(-rate / 12.0)
        kinds = rng.integers(len(cuts), size=(n, count))
        for k, month in zip(*np.nonzero(starts), strict=True):
            cut = cuts[kinds[k, month]]
            part = left[k, month : month + length(cut)]
            np.minimum(part, 1.0 - cut.lost, out=part)
        by_month = left.reshape(n, s.years, 12)
        for q in range(len(s.seasons)):
            if (season == q).any():
                found[i, :, :, q] = by_month[:, :, season == q].mean(axis=2)
    return found
