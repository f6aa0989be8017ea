# SPDX-License-Identifier: Apache-2.0
"""Figures of an export plan: bands of exports, shares against their limits, the spread of value, the replayed days."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from serai.plan.neutrality import dependences
from serai.report.charts import Frame, heading, spread, tick_texts, ticks
from serai.report.svg import figure, path, shortened, tag, words
from serai.report.words import number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.plan.montecarlo import MonteCarlo
    from serai.plan.plan import Plan
    from serai.plan.replay import Replay

    Floats = NDArray[np.float64]

WIDTH, HEIGHT = 440.0, 300.0  # px
ROW = 19.0  # px between rows of shares


def exports(plan: Plan) -> str:
    """Return exports by bloc and year as bands, with last year on record as a column beside them."""
    blocs = _by_bloc(plan)
    past_year, past = _past(plan)
    years = plan.problem.years.astype(float)
    order = sorted(blocs, key=lambda b: -float(blocs[b][-1]))
    top = max(float(np.sum(list(blocs.values()), axis=0).max()), sum(past.values())) * 1.12
    f = Frame(96.0, WIDTH - 182.0, 14.0, HEIGHT - 24.0, 0.0, top, years[0], years[-1])
    out = _scale(f, 40.0)
    base = np.zeros(len(years))
    ends = []
    for k, bloc in enumerate(order):
        upper = base + blocs[bloc]
        there = [(f.x(x), f.y(v)) for x, v in zip(years, upper, strict=True)]
        back = [(f.x(x), f.y(v)) for x, v in zip(years[::-1], base[::-1], strict=True)]
        out += path([*there, *back], f"b{min(k, 5) + 1}") + path(there, "edge")
        ends.append((0.5 * (f.y(upper[-1]) + f.y(base[-1])), bloc, float(blocs[bloc][-1])))
        base = upper
    height = 0.0
    for k, bloc in enumerate(order):
        size = past.get(bloc, 0.0)
        y0, y1 = f.y(height + size), f.y(height)
        out += tag("rect", x=46.0, y=y0, width=26.0, height=max(y1 - y0, 0.0), cls=f"b{min(k, 5) + 1}")
        height += size
    out += words(str(past_year), 59.0, f.bottom + 16, "t", anchor="middle") if past else ""
    for year in (years[0], years[len(years) // 2], years[-1]):
        out += words(f"{year:.0f}", f.x(year), f.bottom + 16, "t", anchor="middle")
    out += words(f"total {number(base[-1], 0)}", f.right, f.y(base[-1]) - 6, "k", anchor="end")
    ys = spread([e[0] for e in sorted(ends)], 15.0, f.top, f.bottom - 4)
    for (_, bloc, value), y in zip(sorted(ends), ys, strict=True):
        out += words(shortened(bloc, 146.0), f.right + 8, y + 4, "name")
        out += words(number(value, 0), WIDTH - 2, y + 4, "k", anchor="end")
    said = (
        f"Exports by bloc, {years[0]:.0f} to {years[-1]:.0f}: {number(base[0], 0)} to {number(base[-1], 0)} bcm a year"
    )
    return heading("Export by bloc", "bcm a year", "expected") + figure(WIDTH, HEIGHT, out, said)


def _by_bloc(plan: Plan) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    for c in plan.problem.case.corridors:
        found[c.bloc] = np.asarray(found.get(c.bloc, 0.0) + plan.flows[c.name].to_numpy())
    return {b: v for b, v in found.items() if float(v.max()) > 0.05}


def _past(plan: Plan) -> tuple[int, dict[str, float]]:
    """Return the last year on record and its sales by bloc [bcm]."""
    case = plan.problem.case
    year = max((s.year for s in case.past_sales), default=0)
    bloc = {c.name: c.bloc for c in case.corridors}
    of = {m.name: bloc[m.corridors[0]] for m in case.markets}
    found: dict[str, float] = {}
    for s in case.past_sales:
        if s.year == year:
            found[of[s.market]] = found.get(of[s.market], 0.0) + s.volume
    return year, found


def _scale(f: Frame, left: float) -> str:
    marks = ticks(f.low, f.high)
    out = ""
    for value, text in zip(marks, tick_texts(marks), strict=True):
        y = f.y(value)
        out += tag("path", d=f"M{left:.1f} {y:.1f}H{f.right:.1f}", cls="rule") + words(
            text, left - 6, y + 4, "t", anchor="end"
        )
    return out + tag("path", d=f"M{left:.1f} {f.bottom:.1f}H{f.right:.1f}", cls="ax")


def shares(plan: Plan, measure: str = "volume") -> str:
    """Return every share in the first and the last year, with its limit hatched."""
    rows: list[tuple[str, str]] = []
    for dimension, title in (("market", "Market"), ("bloc", "Bloc"), ("route", "Border point"), ("transit", "Transit")):
        names = [d.name for d in dependences(plan.problem) if d.dimension == dimension]
        seen = [n for n in names if float(plan.shares[dimension, n, measure].max()) > 0.005]
        ranked = sorted(seen, key=lambda n: -float(plan.shares[dimension, n, measure].iloc[-1]))
        rows += [(dimension, title), *((dimension, n) for n in ranked)]
    left, right, top = 172.0, WIDTH - 48.0, 22.0
    f = Frame(left, right, top, top + ROW * len(rows), 0.0, 1.0, 0.0, 1.0)
    first, last = plan.problem.years[0], plan.problem.years[-1]
    out, y = words("0", left, 14, "t", anchor="middle") + words("100 %", right, 14, "t", anchor="middle"), top - ROW
    titles = {"Market", "Bloc", "Border point", "Transit"}
    out += words(str(last), WIDTH - 2, 14, "t", anchor="end")
    worst = ""
    for dimension, name in rows:
        y += ROW
        if name in titles:
            limit = plan.neutrality.shares.get(dimension)
            count = sum(1 for d, n in rows if d == dimension and n not in titles)
            out += words(name, 0, y + 15, "t")
            if limit is not None and limit < 1.0 and count:
                x, below = f.x(limit), y + ROW
                out += tag("rect", x=x, y=below, width=right - x, height=ROW * count, fill="url(#hatch)")
                out += tag("path", d=f"M{x:.1f} {below - 2:.1f}v{ROW * count + 2:.1f}", cls="lim")
                out += words(f"limit {number(100 * limit, 0)}", x, y + 15, "halop", anchor="middle")
            continue
        a, b = (float(plan.shares[dimension, name, measure].iloc[k]) for k in (0, -1))
        over = plan.neutrality.shares.get(dimension, 1.0) + 1e-6 < b
        out += words(shortened(name, left - 14.0), 0, y + 14, "name")
        out += tag("path", d=f"M{left:.1f} {y + 10:.1f}v-6v12", cls="ax")
        out += tag("path", d=f"M{f.x(a):.1f} {y + 10:.1f}H{f.x(b):.1f}", cls="stem")
        out += tag("circle", cx=f.x(a), cy=y + 10, r=4.0, cls="ring")
        out += tag("circle", cx=f.x(b), cy=y + 10, r=4.5, cls="over" if over else "dot")
        out += words(f"{number(100 * b, 0)} %", WIDTH - 2, y + 14, "k", anchor="end")
        worst = worst or f"{name} {number(100 * b, 0)} %"
    said = f"Shares of {measure} by neighbour in {first} and {last}, the largest market first: {worst}"
    note = f"of {measure}; ring {first}, dot {last}; hatched: not allowed"
    return heading("Shares and neutrality limits", "", note) + figure(WIDTH, y + ROW + 4, out, said)


def spread_of_value(found: MonteCarlo) -> str:
    """Return the distribution of the net present value over fresh futures."""
    values = found.value / 1000.0
    low, high = np.quantile(values, [0.0, 0.995])
    edges = np.linspace(min(low, 0.0), high, 33)
    count, _ = np.histogram(np.minimum(values, high), edges)
    share = 100.0 * count / len(values)
    f = Frame(40.0, WIDTH - 18.0, 30.0, HEIGHT - 40.0, 0.0, float(share.max()) * 1.15, edges[0], edges[-1])
    tail = float(np.quantile(values, found.tail))
    out = _scale(f, 40.0)
    for k, v in enumerate(share):
        x0, x1 = f.x(edges[k]) + 0.5, f.x(edges[k + 1]) - 0.5
        cls = "column tail" if edges[k + 1] <= tail else "column"
        out += tag("rect", x=x0, y=f.y(v), width=x1 - x0, height=f.bottom - f.y(v), cls=cls)
    for value in ticks(edges[0], edges[-1], 6):
        out += words(number(value, 0), f.x(value), f.bottom + 16, "t", anchor="middle")
    for value, text, y in (
        (values.mean(), f"mean {number(values.mean(), 0)}", 12.0),
        (found.worst / 1000.0, f"worst {number(100 * found.tail, 0)} %: {number(found.worst / 1000.0, 0)}", 26.0),
    ):
        out += tag("path", d=f"M{f.x(value):.1f} {y + 3:.1f}V{f.bottom:.1f}", cls="dash")
        out += words(text, f.x(value) + 4, y, "k")
    out += words("net present value, billion USD", (f.left + f.right) / 2, HEIGHT - 6, "t", anchor="middle")
    said = f"Net present value over {len(values)} futures: mean {number(values.mean(), 0)} billion USD"
    note = f"{len(values):,} futures that the plan was not made with"
    return heading("Value over futures", "% of futures", note) + figure(WIDTH, HEIGHT, out, said)


def concentration(plan: Plan) -> str:
    """Return the Herfindahl-Hirschman index of each dimension over the years."""
    years, table = plan.problem.years.astype(float), plan.concentration
    names = {"route": "border point", "market": "market", "bloc": "bloc"}
    f = Frame(
        40.0, WIDTH - 92.0, 14.0, HEIGHT - 24.0, 0.0, max(0.5, float(table.to_numpy().max()) * 1.1), *years[[0, -1]]
    )
    out, ends = _scale(f, 40.0), []
    for k, column in enumerate(table):
        values = table[column].to_numpy()
        out += path([(f.x(a), f.y(b)) for a, b in zip(years, values, strict=True)], f"series s{k + 1}")
        ends.append((f.y(values[-1]), f"{names[str(column)]} {number(values[-1], 2)}"))
    for (_, label), y in zip(
        sorted(ends), spread([e[0] for e in sorted(ends)], 14.0, f.top, f.bottom - 2), strict=True
    ):
        out += words(label, f.right + 7, y + 4, "name")
    for year in (years[0], years[len(years) // 2], years[-1]):
        out += words(f"{year:.0f}", f.x(year), f.bottom + 16, "t", anchor="middle")
    last = ", ".join(label for _, label in sorted(ends))
    said = f"Herfindahl-Hirschman index of volume, {years[0]:.0f} to {years[-1]:.0f}; at the end: {last}"
    title = heading("Concentration", "Herfindahl-Hirschman index of volume", "1 = all on one neighbour")
    return title + figure(WIDTH, HEIGHT, out, said)


def replayed(found: Replay) -> str:
    """Return one cell a day that was replayed; a cross where the pipes cannot carry it."""
    years = list(dict.fromkeys(t.year for t in found.trials))
    seasons = list(dict.fromkeys(t.season for t in found.trials))
    left, top = 56.0, 24.0
    wide = (WIDTH - left - 4.0) / len(years)
    high = 44.0
    out = "".join(words(s, left - 8, top + high * (k + 0.5) + 4, "t", anchor="end") for k, s in enumerate(seasons))
    for k, year in enumerate(years):
        if k % max(1, len(years) // 5) == 0:
            out += words(str(year), left + wide * (k + 0.5), 14, "t", anchor="middle")
    for t in found.trials:
        x, y = left + wide * years.index(t.year), top + high * seasons.index(t.season)
        box = {"x": x + 1, "y": y + 1, "width": wide - 2, "height": high - 2}
        out += tag("rect", **box, cls="cell" if t.carried else "cell no")
        if not t.carried:
            cx, cy = x + wide / 2, y + high / 2
            out += tag("path", d=f"M{cx - 4:.1f} {cy - 4:.1f}l8 8m0 -8l-8 8", cls="cross")
    done = sum(t.carried for t in found.trials)
    said = f"Hydraulic replay: {done} of {len(found.trials)} days can be carried"
    title = heading("Hydraulic replay", "can the pipes carry it?", f"{done} of {len(found.trials)} days")
    return title + figure(WIDTH, top + high * len(seasons) + 6, out, said)


def against_risk(table: pd.DataFrame) -> str:
    """Return expected value against the mean of the worst futures: a line for each bound on shares."""
    lines = [
        (f"{number(100 * share, 0)} %", part.sort_values("risk"), part["worst"] / 1000.0, part["mean"] / 1000.0)
        for share, part in _by(table, "share")
    ]
    note = "a line for each largest share allowed; dot: this plan"
    title = heading("Value against risk", "expected value, billion USD", note)
    return title + _lines(lines, "mean of the worst tenth of futures, billion USD", "Value against risk")


def price_of_neutrality(table: pd.DataFrame) -> str:
    """Return the value given up against the bound on shares: a line for each weight of risk."""
    lines = []
    for risk, part in _by(table, "risk"):
        given_up = (part["value"].max() - part["value"]) / 1000.0
        rows = part.sort_values("share", ascending=False)  # the tightest last: there the lines part and are named
        lines.append((f"weight {risk:g}", rows, -100.0 * part["share"], given_up))
    note = "a line for each weight of the worst futures; dot: this plan"
    title = heading("Price of neutrality", "value given up, billion USD", note)
    return title + _lines(lines, "largest share allowed, %", "Price of neutrality", falls=True)


def _by(table: pd.DataFrame, column: str) -> list[tuple[float, pd.DataFrame]]:
    """Return the points that have a plan, by the values of a column."""
    solved = table.loc[np.isfinite(table["value"].to_numpy(np.float64))]
    values = solved[column].to_numpy(np.float64)
    return [(float(value), solved.loc[values == value]) for value in np.unique(values)]


def _lines(
    lines: list[tuple[str, pd.DataFrame, pd.Series, pd.Series]], axis: str, said: str, *, falls: bool = False
) -> str:
    """Return lines of plans with their labels behind the end; each is a label, rows in order, x and y by row.

    falls  whether x runs down, given as its negative
    """
    every = pd.concat([v for _, _, _, v in lines]).to_numpy(float), pd.concat([v for _, _, v, _ in lines]).to_numpy()
    f = Frame(52.0, WIDTH - 74.0, 14.0, HEIGHT - 40.0, *_wide(every[0]), *_wide(every[1].astype(float)))
    out, over, ends = _scale(f, 52.0), "", []
    for k, (label, rows, x, y) in enumerate(lines):
        places = [(f.x(float(x[i])), f.y(float(y[i]))) for i in rows.index]
        out += path(places, f"series s{min(k, 5) + 1}")
        for (a, b), chosen in zip(places, rows["chosen"], strict=True):
            over += tag("circle", cx=a, cy=b, r=5.0 if chosen else 3.4, cls="dot" if chosen else "ring")
        ends.append((places[-1][1], label))
    marks = ticks(f.first, f.last, 5)
    for value, text in zip(marks, tick_texts([abs(m) if falls else m for m in marks]), strict=True):
        out += words(text, f.x(value), f.bottom + 16, "t", anchor="middle")
    ends.sort()
    for (_, label), y_label in zip(ends, spread([e[0] for e in ends], 14.0, f.top, f.bottom - 2), strict=True):
        out += words(label, f.right + 7, y_label + 4, "name")
    out += words(axis, (f.left + f.right) / 2, HEIGHT - 6, "t", anchor="middle")
    return figure(WIDTH, HEIGHT, out + over, f"{said}: {sum(len(rows) for _, rows, _, _ in lines)} plans")


def _wide(values: Floats) -> tuple[float, float]:
    span = float(values.max() - values.min()) or max(1.0, abs(float(values.max())) * 0.1)
    return float(values.min()) - 0.08 * span, float(values.max()) + 0.08 * span
