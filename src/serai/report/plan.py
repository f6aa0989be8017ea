# SPDX-License-Identifier: Apache-2.0
"""The page of an export plan for a ministry: who depends on whom, what it costs, does it survive, can it be carried."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.plan.breaking import breaking
from serai.plan.regret import all_to, fixed, regret
from serai.report import plan_figures as figures
from serai.report.document import document, write_whole
from serai.report.svg import HATCH, tag
from serai.report.tables import Cell, figure_cell, table, text
from serai.report.words import NONE, esc, number, plural

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd

    from serai.plan.montecarlo import MonteCarlo
    from serai.plan.plan import Plan
    from serai.plan.regret import Regret
    from serai.plan.replay import Cut, Replay
    from serai.plan.value import Decisions

FEW = 12  # rows of the longer lists
REFUSED = "refused by the pipes"  # the plan of the first round, as it is called among the others
PROVEN = 0.01  # gap above which the search has not ended


@dataclass(frozen=True)
class Study:
    """A plan and what was asked of it; what is None is left out of the page.

    rounds    plans and replays of the rounds before it was accepted, the last one first
    frontier  the table of `serai.plan.frontier.frontier`
    """

    plan: Plan
    monte_carlo: MonteCarlo | None = None
    regret: Regret | None = None
    breaking: pd.DataFrame | None = None
    backtest: pd.DataFrame | None = None
    rounds: Sequence[tuple[Plan, Replay]] = ()
    frontier: pd.DataFrame | None = None

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what was asked of the plan as tables, by name."""
        found = {"breaking": self.breaking, "backtest": self.backtest, "frontier": self.frontier}
        if self.regret is not None:
            found["regret"] = self.regret.regret
        if self.monte_carlo is not None:
            found["monte_carlo"] = self.monte_carlo.summary
        if self.replay is not None:
            found["replay"] = self.replay.table
        return {name: rows for name, rows in found.items() if rows is not None}

    @property
    def replay(self) -> Replay | None:
        """The replay of the plan itself."""
        return self.rounds[0][1] if self.rounds else None


def study_of(
    rounds: Sequence[tuple[Plan, Replay | None]],
    progress: Callable[[float], None] | None = None,
    frontier: pd.DataFrame | None = None,
) -> Study:
    """Ask of a plan what a ministry asks: fresh futures, regret against plain plans, what breaks it, the back-test.

    rounds  plans and replays of the rounds before it was accepted, the last one first
    """
    made = rounds[0][0]
    problem, told = made.problem, progress or (lambda _: None)
    found = made.monte_carlo()
    told(0.2)
    market = max(problem.case.contracts, key=lambda g: g.quantity * (g.option == "signed")).market
    against: dict[str, Plan | Decisions] = {
        "do nothing": fixed(problem),
        f"all to {market}": all_to(problem, market),
        "this plan": made,
    }
    if len(rounds) > 1:
        against[REFUSED] = rounds[-1][0].solved.decisions
    weighed = regret(against, problem, progress=lambda share: told(0.2 + 0.5 * share))
    bound = made.neutrality.max_loss if made.neutrality.max_loss is not None else 0.5
    broken = breaking(made, max_loss=bound, cover=made.neutrality.cover)
    told(0.9)
    tried = tuple((p, r) for p, r in rounds if r is not None)
    return Study(made, found, weighed, broken, made.backtest(), tried, frontier)


def write_plan(study: Study, path: str | os.PathLike[str]) -> Path:
    """Write the page of a plan; the file appears whole or not at all."""
    return write_whole(page(study), path)


def page(study: Study) -> str:
    """Return the whole page as HTML."""
    title = f"Export plan of {_name(study.plan).capitalize()}"
    body = "".join((
        HATCH, _head(study, title), "<main>", _verdict(study), _overview(study), _decisions(study), _security(study),
        _risk(study), _surface(study), _replay(study), _inputs(study), "</main>", _foot(),
    ))  # fmt: skip
    return document(f"{title} · Serai report", body, "plan.css")


def _name(plan: Plan) -> str:
    return Path(plan.problem.case.name).name.replace("_", " ")


def _head(study: Study, title: str) -> str:
    p, rule = study.plan, study.plan.neutrality
    s = p.problem.case.settings
    limits = ", ".join(f"{k} {number(100 * v, 0)} %" for k, v in rule.shares.items()) or "none"
    facts = [
        ("Years", f"{p.problem.years[0]} to {p.problem.years[-1]}"),
        ("Futures", f"{p.problem.scenarios.count:,}"),
        ("Largest shares", f"{limits}, from {p.problem.years[min(rule.since, len(p.problem.years) - 1)]}"),
        ("Loss when one stops", f"{number(100 * rule.max_loss, 0)} %" if rule.max_loss is not None else "not bounded"),
        ("Survives", rule.survive or "not asked"),
        ("Weight of risk", number(p.risk, 2)),
    ]
    shown = "".join(f"<div><dt>{esc(k)}</dt><dd>{esc(v)}</dd></div>" for k, v in facts)
    about = (
        "Which corridors to build and sell through, so that no one route, transit state, buyer or bloc can cut the "
        "country's income or its heating. Prices, costs and many volumes are planning assumptions: the last section "
        f"says how sure each input is. Money is USD of {s.base_year}, discounted at {number(100 * s.discount, 0)} %."
    )
    return f'<header><p class="mark">serai</p><h1>{esc(title)}</h1><dl>{shown}</dl><p>{esc(about)}</p></header>'


# ------------------------------------------------------------------------------------------------------- verdict


def _verdict(study: Study) -> str:
    p = study.plan
    lines = [
        (
            "ok" if p.gap <= PROVEN else "wait",
            (
                f"<b>Worth {number(p.value / 1000, 1)} billion USD.</b> No plan within these bounds is worth more than "
                f"{number(p.bound / 1000, 1)}: gap {number(100 * p.gap, 2)} %, {number(p.solved.seconds, 0)} s."
            ),
        ),
        _said_of_shares(study),
        _said_of_loss(study),
    ]
    if study.replay is not None:
        days = study.replay.trials
        done = sum(t.carried for t in days)
        where = ", ".join(dict.fromkeys(t.element for t in days if not t.carried))
        lines.append(
            ("ok", f"<b>The pipes carry it.</b> All {done} replayed days keep the exact laws and every limit.")
            if study.replay.accepted
            else ("no", f"<b>The pipes refuse {plural(len(days) - done, 'day')}.</b> {esc(where)} cannot carry it.")
        )
    items = "".join(f'<li class="{cls}"><span>{html}</span></li>' for cls, html in lines)
    return f'<section class="verdict"><ul>{items}</ul></section>'


def _said_of_shares(study: Study) -> tuple[str, str]:
    p = study.plan
    late = p.shares.iloc[min(p.neutrality.since, len(p.shares) - 1) :]
    worst = late.max()
    every: dict[Any, float] = {k: float(v) for k, v in worst.items()}
    if not p.neutrality.shares:
        dimension, name, measure = max(every, key=lambda k: every[k])
        return "wait", (
            f"<b>No share is bounded.</b> Largest: {esc(dimension)} {esc(name)}, "
            f"{number(100 * worst.max(), 0)} % of {esc(measure)}."
        )
    bounded = {k: v for k, v in every.items() if k[0] in p.neutrality.shares and k[2] in p.neutrality.measures}
    over = {k: v - p.neutrality.shares[k[0]] for k, v in bounded.items()}
    key = max(over, key=lambda k: over[k])
    name = f"{key[0]} {key[1]}, {number(100 * bounded[key], 1)} % of {key[2]}"
    if over[key] > 1e-6:
        return "no", f"<b>A share passes its limit.</b> {esc(name)}."
    return "ok", f"<b>Every share keeps its limit.</b> Nearest: {esc(name)}."


def _said_of_loss(study: Study) -> tuple[str, str]:
    p = study.plan
    late = p.certificate[p.certificate["year"] >= int(p.problem.years[min(p.neutrality.since, len(p.shares) - 1)])]
    fails = late[~late["holds"].astype(bool)]
    if len(fails):
        named = ", ".join(fails["element"].drop_duplicates().head(4))
        return "no" if p.neutrality.survive else "wait", (
            f"<b>N-1 fails for {plural(fails['element'].nunique(), 'piece')}.</b> {esc(named)}; in the table below."
        )
    worst = late.loc[late["cover"].idxmin()] if late["cover"].notna().any() else None
    near = (
        f" Nearest: {worst['element']}, {number(100 * worst['cover'], 0)} % of firm sales." if worst is not None else ""
    )
    return "ok", f"<b>N-1 holds.</b> Homes stay warm and firm sales are delivered without any one piece.{esc(near)}"


# ------------------------------------------------------------------------------------------------------ sections


def _panel(title: str, content: str, remark: str = "", cls: str = "") -> str:
    quiet = f'<span class="q">{esc(remark)}</span>' if remark else ""
    return f'<section class="panel {cls}"><h3>{esc(title)}</h3>{quiet}{content}</section>'


def _each(rows: pd.DataFrame) -> Iterator[Any]:
    """Yield the rows of a table, columns as attributes."""
    yield from rows.itertuples()


def _figure(html: str, *, tall: bool = False) -> str:
    return tag("figure", html, cls="panel tall" if tall else "panel")


def _overview(study: Study) -> str:
    shown, tall = [figures.exports(study.plan), figures.shares(study.plan)], 1  # shares: a row for every neighbour
    if study.monte_carlo is not None:
        shown.append(figures.spread_of_value(study.monte_carlo))
    if study.frontier is not None and len(study.frontier):
        shown += _frontier(study.frontier)
    shown.append(figures.concentration(study.plan))
    if study.replay is not None:
        shown.append(figures.replayed(study.replay))
    return f'<div class="three">{"".join(_figure(s, tall=k == tall) for k, s in enumerate(shown))}</div>'


def _frontier(points: pd.DataFrame) -> list[str]:
    """Return value against risk and the price of neutrality, where there is more than one risk, more than one bound."""
    solved = points[np.isfinite(points["value"])]
    out = []
    if len(set(solved["risk"])) > 1:
        out.append(figures.against_risk(points))
    if len(set(solved["share"])) > 1:
        out.append(figures.price_of_neutrality(points))
    return out


def _surface(study: Study) -> str:
    """Return the points of the frontier as a table."""
    if study.frontier is None or not len(study.frontier):
        return ""
    rows, own = [], study.frontier.loc[study.frontier["chosen"].astype(bool), "builds"].tolist()
    for r in _each(study.frontier):
        if not np.isfinite(r.value):
            rows.append([figure_cell(r.risk, 2), figure_cell(100 * r.share, 0), *[Cell("–", "n")] * 7,
                         Cell("no plan keeps the bounds", "wrap")])  # fmt: skip
            continue
        money = (r.value, r.bound, r.mean, r.worst)
        rows.append(
            [Cell(f"<b>{number(r.risk, 2)}</b>" if r.chosen else number(r.risk, 2), "n"), figure_cell(100 * r.share, 0),
             *(figure_cell(v / 1000, 1) for v in money), figure_cell(100 * r.gap, 2, bad=not r.proven),
             figure_cell(r.price_dual / 1000, 2), figure_cell(r.price_difference / 1000, 2),
             Cell("<b>this plan</b>: " * r.chosen + esc(_against([] if r.chosen else own, r.builds)), "wrap")]
        )  # fmt: skip
    heads = [">Weight of|the worst", ">Largest|share, %", ">Value|billion USD", ">None above|billion USD",
             ">Mean|billion USD", ">Worst tenth|billion USD", ">Gap|%", ">Price of a point,|builds held",
             ">Price of a point,|to next bound", "Builds"]  # fmt: skip
    short = int((np.isfinite(study.frontier["value"]) & ~study.frontier["proven"]).sum())
    remark = (
        "value = (1 − weight) × mean + weight × worst tenth; price: billion USD for each point of the largest share"
    )
    remark += f"; {plural(short, 'gap')} wider than asked" if short else ""
    return (
        '<section class="part"><h2>What caution and neutrality cost</h2><div class="stack">'
        + _panel("Plans at other risks and bounds", table(heads, rows), remark) + "</div></section>"
    )  # fmt: skip


def _against(own: Sequence[str], builds: str) -> str:
    """Say which projects a plan builds: against this plan where it is known, else all."""
    here = [b for b in builds.split("; ") if b]
    if not own:
        return "; ".join(here) or "no project"
    base = [b for b in own[0].split("; ") if b]
    more, less = [b for b in here if b not in base], [b for b in base if b not in here]
    said = [f"with {', '.join(more)}"] * bool(more) + [f"without {', '.join(less)}"] * bool(less)
    return "; ".join(said) or "the same"


def _decisions(study: Study) -> str:
    b, c = study.plan.builds, study.plan.contracts
    binding = {g.name for g in study.plan.problem.case.contracts if g.option == "signed"}
    built = table(
        ["Project", "Adds to", ">Decided", ">Carries from", ">Size|bcm/y", ">Cost|million USD", "Confidence"],
        [
            [text(r.project), text(r.adds_to), text_right(str(r.decided)), text_right(str(r.carries)),
             figure_cell(r.capacity, 0), figure_cell(r.capex, 0), text(r.confidence)]
            for r in _each(b)
        ],
    )  # fmt: skip
    signed = table(
        ["Contract", "Market", ">From", ">To", ">Quantity|bcm/y", "Decision"],
        [
            [text(r.contract), text(r.market), text_right(str(r.start)), text_right(str(r.end)),
             figure_cell(r.quantity, 1), Cell("signed already" if r.contract in binding
                  else "<b>sign</b>" if r.signed else '<span class="low">do not sign</span>')]
            for r in _each(c)
        ],
    )  # fmt: skip
    total = f"{len(b)} projects, {number(b['capex'].sum() / 1000, 1)} billion USD"
    return (
        '<section class="part"><h2>Decisions</h2><div class="two">'
        + _panel("Build", built, total) + _panel("Contracts", signed) + "</div></section>"
    )  # fmt: skip


def text_right(value: str) -> Cell:
    """Return a right-aligned text: a year, which takes no thousands separator."""
    return Cell(esc(value), "n")


def _security(study: Study) -> str:
    p = study.plan
    last = int(p.problem.years[-1])
    rows = p.certificate[p.certificate["year"] == last].sort_values("cover", na_position="last")
    lost = table(
        ["Lost piece", ">Left|bcm/y", ">Cover|%", ">Homes lack|bcm/y", "Verdict"],
        [
            [text(r.element), figure_cell(r.left, 1), figure_cell(100 * r.cover, 0),
             figure_cell(r.missing, 2, bad=r.missing > 1e-6),
             Cell('<span class="kept">holds</span>' if r.holds else '<span class="fails">fails</span>')]
            for r in _each(rows.head(FEW))
        ],
    )  # fmt: skip
    index = p.n_minus_1[p.n_minus_1["year"].isin([int(p.problem.years[0]), last])]
    areas = table(
        ["Area", ">Year", ">Entry EPm", ">Production Pm", ">Largest Im", "Which", ">Demand Dmax", ">N-1|%"],
        [
            [text(r.area), text_right(str(r.year)), *(figure_cell(v, 0) for v in (r.EPm, r.Pm, r.Im)), text(r.element),
             figure_cell(r.Dmax, 0), figure_cell(r.percent, 0, bad=r.percent < 100.0)]
            for r in _each(index.rename(columns={"index": "percent"}))
        ],
    )  # fmt: skip
    out = _panel(f"N-1 by piece, {last}", lost, "homes on the peak day; what can be exported over what is sold firm")
    if study.breaking is not None:
        out += _panel(
            "Smallest sets of outages that break the plan", _breaking(study.breaking), _counted(study.breaking)
        )
    rule = "million m³/d; EU 2017/1938 Annex II, at least 100; firm export: without the largest border point"
    wide = _panel("N-1 index", areas, rule)
    if study.backtest is not None:
        wide += _panel(
            "Back-test", _backtest(study.backtest), "share of the year's revenue lost in the cuts that happened"
        )
    return (
        f'<section class="part"><h2>What it survives</h2><div class="two">{out}</div><div class="stack">{wide}</div>'
        "</section>"
    )


def _counted(found: pd.DataFrame) -> str:
    return f"{found.attrs.get('solved', 0):,} sets solved, sizes in turn"


def _breaking(found: pd.DataFrame) -> str:
    units = {"homes": "bcm/y on the peak day", "firm export": "bcm/y", "revenue": "points beyond the bound"}
    rows = []
    for _, part in found.groupby(["year", "criterion"]):
        for r in _each(part.head(3)):
            factor = 100.0 if r.criterion == "revenue" else 1.0
            name = r.set or f"none of up to {found.attrs.get('most', 0)}"
            by = f"{number(r.by * factor, 1)} {units[r.criterion]}" if r.size else "–"
            rows.append([text_right(str(r.year)), text(r.criterion), Cell(esc(name), "wrap"), text(by)])
    return table([">Year", "Breaks", "Set", "By"], rows)


def _backtest(found: pd.DataFrame) -> str:
    def share(value: float) -> Cell:
        return Cell(f"{number(100 * value, 1)}" if np.isfinite(value) else "–", "n")

    return table(
        [">Year", "What happened", ">History|% of volume", ">History|% of revenue", ">Plan, same corridors|%",
         ">Plan, largest neighbour|%"],
        [
            [text_right(str(r.Index)), Cell(esc(r.events), "wrap"), share(r.history_lost),
             share(r.history_revenue_lost), share(r.same_corridors), share(r.same_rank)]
            for r in _each(found)
        ],
    )  # fmt: skip


def _risk(study: Study) -> str:
    out = ""
    if study.regret is not None:
        value, given_up = study.regret.value, study.regret.regret
        rows = []
        for family in value.columns:
            best = value[family].idxmax()
            cells = [
                Cell(f"{number(given_up.loc[n, family] / 1000, 1)} "
                     f'<span class="small">{number(value.loc[n, family] / 1000, 0)}</span>',
                     "n best" if n == best else "n")
                for n in value.index
            ]  # fmt: skip
            rows.append([text(family), *cells])
        worst = [Cell(number(v / 1000, 1), "n") for v in study.regret.worst]
        rows.append([text("largest regret"), *worst])
        choice = study.regret.worst.drop(REFUSED, errors="ignore").idxmin()  # what cannot be carried is no choice
        remark = f"billion USD against the best of these plans, small: value; least regret: {choice}"
        heads = ["Futures", *(f">{n}" for n in value.index)]
        out += _panel("Regret", table(heads, rows, "regret"), remark)
    if study.monte_carlo is not None:
        s = study.monte_carlo.summary
        heads = ["", *(f">{c}" for c in s.columns[:7]), ">futures with any|%"]
        rows = [
            [text(n), *(figure_cell(r.iloc[k], 0 if "USD" in str(n) else 2) for k in range(7)),
             figure_cell(100 * r.iloc[7], 1)]
            for n, r in s.iterrows()
        ]  # fmt: skip
        out += _panel("Value and home gas over futures", table(heads, rows))
    return f'<section class="part"><h2>What else may come</h2><div class="stack">{out}</div></section>' if out else ""


def _replay(study: Study) -> str:
    if study.replay is None:
        return ""
    rounds = []
    for k, (made, tried) in enumerate(reversed(study.rounds)):
        done = sum(t.carried for t in tried.trials)
        where = ", ".join(dict.fromkeys(t.element for t in tried.trials if not t.carried)) or "–"
        verdict = "kept" if tried.accepted else "fails"
        rounds.append(
            [text_right(str(k + 1)), figure_cell(made.value / 1000, 1),
             Cell(f'<span class="{verdict}">{done} of {len(tried.trials)}</span>'), Cell(esc(where), "wrap"),
             Cell(esc(_cuts(tried.cuts)), "wrap")]
        )  # fmt: skip
    heads = [">Round", ">Value|billion USD", "Days carried", "Cannot carry it", "Fed back as a cut, bcm/y"]
    said = "a plan of transport alone is refused; what the laws carry bounds the next one"
    return (
        '<section class="part"><h2>What the pipes say</h2>'
        + _panel("Rounds of plan and replay", table(heads, rounds), said)
        + "</section>"
    )


def _cuts(cuts: Sequence[Cut]) -> str:
    """Say what the pipes carry of what; cuts of a corridor that differ only in their year stand as one, the worst."""
    alike: dict[tuple[str, bool | None], list[Cut]] = {}
    for c in cuts:
        alike.setdefault((c.planned, c.derated.winter if c.derated else None), []).append(c)
    said = []
    for (name, winter), some in alike.items():
        least = min(some, key=lambda c: c.carried / max(c.asked, 1e-9))
        when = "" if winter is None else f" {'in' if winter else 'outside'} winter {_spans([c.year for c in some])}"
        as_little = "as little as " if len(some) > 1 else ""
        said.append(f"{name} carries {as_little}{number(least.carried, 1)} of {number(least.asked, 1)}{when}")
    return "; ".join(said) or NONE


def _spans(years: Sequence[int]) -> str:
    """Return years in words, those that follow each other as a span: 2030, 2033 to 2035."""
    runs: list[list[int]] = []
    for year in sorted(set(years)):
        if runs and runs[-1][-1] == year - 1:
            runs[-1].append(year)
        else:
            runs.append([year])
    return ", ".join(f"{r[0]} to {r[-1]}" if len(r) > 2 else ", ".join(map(str, r)) for r in runs)


def _inputs(study: Study) -> str:
    rows = study.plan.inputs
    count = rows.pivot_table(index="file", columns="confidence", values="row", aggfunc="count", fill_value=0)
    whole = [
        [text(file), *(figure_cell(r.get(c, 0), 0) for c in ("high", "medium", "low"))] for file, r in count.iterrows()
    ]
    total = [Cell("all"), *(figure_cell(count[c].sum() if c in count else 0, 0) for c in ("high", "medium", "low"))]
    every = [[text(r.file), text(r.row), text(r.confidence), Cell(esc(r.source), "wrap")] for r in _each(rows)]
    return (
        '<section class="part"><h2>How sure the inputs are</h2>'
        + _panel("Rows by confidence", table(["File", ">high", ">medium", ">low"], [*whole, total]),
                 "low: a planning assumption or an inference, shown as such everywhere")
        + '<details class="panel"><summary>Every input with its source</summary>'
        + table(["File", "Row", "Confidence", "Source"], every) + "</details></section>"
    )  # fmt: skip


def _foot() -> str:
    from serai import __version__  # noqa: PLC0415 - the package is not loaded yet when this module is

    return f"<footer>Made by Serai {esc(__version__)}. Apache-2.0.</footer>"
