# SPDX-License-Identifier: Apache-2.0
"""Mistakes of planning tables that show only when rows are seen together: names, years, ways that lead nowhere."""

from __future__ import annotations

from math import isfinite
from re import fullmatch
from typing import TYPE_CHECKING, Any

from serai.errors import Mistake
from serai.network.sheet import near

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from serai.plan.rows import Placed

MONTH = r"(1[89]|20|21)\d\d-(0[1-9]|1[0-2])"
RANGES: dict[str, tuple[float, float]] = {  # of the settings
    "years": (1, 60),
    "discount": (0.0, 1.0),
    "unserved": (1.0, 1e6),
    "oil_volatility": (0.0, 3.0),
    "oil_return": (0.0, 1.0),
    "residual_years": (0.0, 60.0),
    "decide_every": (1, 60),
    "ship_or_pay": (0.0, 1.0),
    "base_year": (1900, 2200),
    "first_year": (1900, 2200),
}
WHOLE = ("years", "decide_every", "base_year", "first_year")


def settings_mistakes(file: str, given: Mapping[str, Any]) -> list[Mistake]:
    """Return settings that are no number, not whole where they must be, or out of range."""
    found = []
    for name, (low, high) in RANGES.items():
        value = given.get(name)
        if value is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        if not number or (name in WHOLE and not isinstance(value, int)):
            found.append(Mistake(file, 0, name, f"must be a {'whole ' * (name in WHOLE)}number, got {value!r}"))
        elif not low <= value <= high:
            found.append(Mistake(file, 0, name, f"must be at least {low:g} and at most {high:g}, got {value:g}"))
    for season in given.get("seasons", ()) if isinstance(given.get("seasons"), list) else ():
        days = season.get("days", 1.0)
        if not isinstance(days, int | float) or not 0.0 < days <= 366.0:
            text = f"{season.get('name')}: days must be above 0 and at most 366, got {days!r}"
            found.append(Mistake(file, 0, "seasons", text))
    return found


def crossed(tables: dict[str, list[Any]], placed: dict[str, Placed]) -> list[Mistake]:
    """Return names that lead nowhere, names given twice and years in the wrong order.

    A row left out for a mistake of its own has been told: what names it, or hangs on it, is no second mistake.
    """
    found: list[Mistake] = []

    def every(table: str, column: str = "name") -> set[str]:
        return {getattr(row, column) for row in tables[table]} | placed[table].names(column)

    def known(table: str, column: str, names: Iterable[str], what: str) -> None:
        names = set(names)
        for i, row in enumerate(tables[table]):
            given = getattr(row, column)
            for name in given if isinstance(given, tuple) else (given,):
                if name and name not in names:
                    text = f"there is no {what} {name!r}{near(name, names)}"
                    found.append(placed[table].mistake(i, column, text))

    hubs, projects, markets = every("fields", "hub") | every("home", "hub"), every("projects"), every("markets")
    corridors = every("corridors")
    adds = corridors | every("links") | every("fields")
    known("corridors", "hub", hubs, "hub")
    known("links", "from_hub", hubs, "hub")
    known("links", "to_hub", hubs, "hub")
    known("projects", "adds_to", adds, "corridor, link or field")
    known("projects", "after", projects, "project")
    known("markets", "corridors", corridors, "corridor")
    known("contracts", "corridors", corridors, "corridor")
    known("contracts", "market", markets, "market")
    known("outages_history", "corridors", corridors, "corridor")
    known("past_sales", "market", markets, "market")
    known("works", "project", projects, "project")
    known("uses", "planned", adds, "corridor, link or field")
    found += _twice(tables, placed)
    found += _nowhere(tables, placed)
    found += _unreached(tables, placed)
    found += _times(tables, placed)
    return found


def _twice(tables: dict[str, list[Any]], placed: dict[str, Placed]) -> list[Mistake]:
    found = []
    for table in ("links", "fields", "corridors", "projects", "markets", "contracts"):
        seen: set[str] = set()
        for i, row in enumerate(tables[table]):
            if row.name in seen:
                found.append(placed[table].mistake(i, "name", f"{row.name!r} is given twice"))
            seen.add(row.name)
    return found


def _nowhere(tables: dict[str, list[Any]], placed: dict[str, Placed]) -> list[Mistake]:
    """Return corridors that no market or contract uses, and contracts that end before they start."""
    used = {c for row in (*tables["markets"], *tables["contracts"]) for c in row.corridors}
    found = [
        placed["corridors"].mistake(i, "name", f"{c.name!r} leads nowhere: no market or contract uses it")
        for i, c in enumerate(tables["corridors"])
        if c.name not in used and not placed["markets"].left_out and not placed["contracts"].left_out
    ]
    found += [
        placed["contracts"].mistake(i, "end", f"must not be before its start {g.start}, got {g.end}")
        for i, g in enumerate(tables["contracts"])
        if g.end < g.start
    ]
    return found


def _unreached(tables: dict[str, list[Any]], placed: dict[str, Placed]) -> list[Mistake]:
    """Return tables without a row, corridors and homes that no gas reaches, contracts over corridors to elsewhere."""
    found = [
        Mistake(f"{name}.csv", 0, "", "needs at least one row")
        for name in ("fields", "corridors", "markets")
        if not tables[name] and not placed[name].left_out
    ]
    whole = tables["fields"] and not placed["fields"].left_out and not placed["links"].left_out
    reached = {f.hub for f in tables["fields"]}
    for _ in tables["links"]:
        for x in tables["links"]:
            if {x.from_hub, x.to_hub} & reached:
                reached |= {x.from_hub, x.to_hub}
    for table in ("corridors", "home"):
        found += [
            placed[table].mistake(i, "hub", f"no field feeds hub {row.hub!r} and no link leads to it")
            for i, row in enumerate(tables[table])
            if whole and row.hub not in reached
        ]
    leads = {m.name: set(m.corridors) for m in tables["markets"]}
    found += [
        placed["contracts"].mistake(i, "corridors", f"{name!r} does not lead to market {g.market!r} in markets.csv")
        for i, g in enumerate(tables["contracts"])
        for name in g.corridors
        if g.market in leads and name not in leads[g.market]
    ]
    return found


def _times(tables: dict[str, list[Any]], placed: dict[str, Placed]) -> list[Mistake]:
    """Return months that are none, ends before beginnings, and stages that wait for each other."""
    found = []
    for i, cut in enumerate(tables["outages_history"]):
        wrong = [c for c in ("start", "end") if not fullmatch(MONTH, getattr(cut, c))]
        found += [
            placed["outages_history"].mistake(i, c, f"must be a month as 2009-04, got {getattr(cut, c)!r}")
            for c in wrong
        ]
        if not wrong and cut.end < cut.start:
            text = f"must not be before its start {cut.start}, got {cut.end}"
            found.append(placed["outages_history"].mistake(i, "end", text))
    after = {p.name: p.after for p in tables["projects"]}
    for i, p in enumerate(tables["projects"]):
        if p.latest < p.earliest:
            text = f"must not be before its earliest {p.earliest}, got {p.latest}"
            found.append(placed["projects"].mistake(i, "latest", text))
        before, seen = p.after, {p.name}
        while before and before not in seen:
            seen.add(before)
            before = after.get(before, "")
        if before == p.name:
            found.append(placed["projects"].mistake(i, "after", f"{p.name!r} would have to wait for itself"))
    return found
