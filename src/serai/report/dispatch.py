# SPDX-License-Identifier: Apache-2.0
"""A page of a dispatch: the objective before and after by hour, the set-points, what is broken and what binds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from serai.report.charts import Chart, Line, line_chart
from serai.report.document import document, write_whole
from serai.report.svg import HATCH, tag
from serai.report.tables import Cell, figure_cell, table, text
from serai.report.words import decimals_for, esc, number, plural, power_of_ten, sentence
from serai.units import BAR, HOUR

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

    from serai.dispatch import Binding, Dispatch, Violation

    Floats = NDArray[np.float64]

CHARTS = 18  # set-points drawn, those that move most first
ROWS = 15  # limits listed
LINEPACK = "linepack at the end"  # the limit of a day that has no hour of its own
MOVED = 1e-6  # relative: a set-point that moves less stays as it was
SAID = {
    "optimal": "Every limit holds, the exact laws confirm it, and no small move gains: a local optimum.",
    "feasible": "Every limit holds and the exact laws confirm it; the search ended before it could gain no more.",
    "infeasible near": "No state that keeps every limit was found; this is the smallest violation found.",
    "refused": "The laws, solved anew with these set-points, do not confirm them.",
}
UNITS = {  # of quantities: unit shown, SI units in one of it; all others are shown as they are
    **dict.fromkeys(("pressure", "outlet_pressure", "inlet_pressure", "pressure_drop", "drop"), ("bar", BAR)),
    **dict.fromkeys(("power", "active_power"), ("MW", 1e6)),
    "reactive_power": ("Mvar", 1e6),
    **dict.fromkeys(
        ("flow", "supply", "withdrawal", "supplied", "delivered", "net supply", "net withdrawal"), ("kg/s", 1.0)
    ),
    "magnitude": ("pu", 1.0),
    "loading": ("of the rating", 1.0),
    LINEPACK: ("t", 1e3),
}
GOALS = {"W": ("MW", 1e6), "J": ("MWh", 3.6e9), "kg": ("t", 1e3)}  # objectives in the unit that is read


def write_dispatch(found: Dispatch, where: str | os.PathLike[str]) -> Path:
    """Write the page of a dispatch, one file that needs no other; it appears whole or not at all."""
    return write_whole(dispatch_page(found), where)


def dispatch_page(found: Dispatch) -> str:
    """Return the page of a dispatch as HTML."""
    lasts = "time" in found.table.dims
    drawn = _day(found) if lasts else _moment(found)
    body = f"{HATCH}{_head(found)}<main>{_verdict(found)}{drawn}{_limits(found)}</main>{_foot(found)}"
    return document(f"{found.network.title or found.network.name} · Serai dispatch", body)


def _head(found: Dispatch) -> str:
    unit, factor = GOALS.get(found.unit, (found.unit, 1.0))
    values = [found.value_before / factor, found.value / factor]
    digits = decimals_for(values, 4)
    share = 100.0 * found.saved / found.value_before if found.value_before else float("nan")
    facts = [
        ("Status", found.status),
        (f"{sentence(found.goal)} before", f"{number(values[0], digits)} {unit}"),
        ("after", f"{number(values[1], digits)} {unit}"),
        ("less by", f"{number(share, 1)} %"),
        ("Search", f"{number(found.seconds, 0)} s"),
    ]
    listed = "".join(f"<div><dt>{esc(k)}</dt><dd>{esc(v)}</dd></div>" for k, v in facts)
    name = f"{found.network.title or found.network.name}{' · ' + found.network.day if found.network.day else ''}"
    made = " Losses are shown as all that the units make: with given loads it falls with them."
    return (
        f'<header><p class="mark">serai</p><h1>{esc(name)}: dispatch</h1><dl>{listed}</dl>'
        f"<p>Before: the set-points of the case. After: those that the search chose, confirmed by the laws solved anew."
        f"{made if found.goal == 'losses' else ''}</p></header>"
    )


def _verdict(found: Dispatch) -> str:
    why = f" {esc(sentence(found.reason))}." if found.status == "refused" else ""
    items = f'<li class="{"ok" if found.feasible else "no"}"><span><b>{SAID[found.status]}</b>{why}</span></li>'
    items += "".join(f'<li class="wait"><span>{esc(sentence(n))}.</span></li>' for n in found.notes)
    return f'<section class="verdict"><ul>{items}</ul></section>'


# ------------------------------------------------------------------------------------------------- set-points


def _day(found: Dispatch) -> str:
    """Return charts of the objective and of every set-point that moves, over the hours of the dispatch."""
    t = found.table
    hours = t["time"].values / HOUR
    unit, factor = GOALS.get(found.unit, (found.unit, 1.0))
    both = [(w, t[f"value_{w}"].values / factor, style) for w, style in (("after", "s1"), ("before", "s2"))]
    lines = tuple(Line(*one) for one in both)
    goal = Chart(f"{sentence(found.goal)} in each step", unit, hours, lines, x_unit="h")
    moved = [k for k in range(t.sizes["setpoint"]) if _moved(t, k)]
    moved.sort(key=lambda k: -_share(t, k))
    charts = [goal, *_held(found, hours), *(_course(t, k, hours) for k in moved[:CHARTS])]
    figures = "".join(tag("figure", line_chart(c), cls="panel") for c in charts if _drawable(c))
    left = t.sizes["setpoint"] - len(moved)
    note = f"{plural(len(moved), 'set-point')} moved; {left} stay{'s' if left == 1 else ''} as before"
    if len(moved) > CHARTS:
        note += f"; the {CHARTS} that move most are drawn"
    head = f'<div class="part head"><h2>The day</h2><span class="q">hours since the start; {note}</span></div>'
    return f'{head}<div class="grid">{figures}</div>'


def _drawable(chart: Chart) -> bool:
    return len(chart.x) > 1 and any(np.isfinite(line.values).any() for line in chart.lines)


def _held(found: Dispatch, hours: Floats) -> list[Chart]:
    """Return the linepack before and after, where there are pipes that hold gas."""
    lines = []
    for label, result, style in (("after", found.result, "s1"), ("before", found.before, "s2")):
        if result is not None and "linepack" in result.dataset:
            held = np.asarray(result.linepack_total, dtype=np.float64) / 1e3
            lines.append(Line(label, held[-len(hours) :], style))
    return [Chart("Gas in the pipes", "t", hours, tuple(lines), x_unit="h")] if lines else []


def _course(t: xr.Dataset, k: int, hours: Floats) -> Chart:
    one = t.isel(setpoint=k)
    quantity = str(one["quantity"].item())
    unit, factor = UNITS.get(quantity, ("", 1.0))
    lines = tuple(
        Line(label, one[label].values / factor, style) for label, style in (("after", "s1"), ("before", "s2"))
    )
    return Chart(str(one["element"].item()), _in_words(quantity, unit), hours, lines, height=150.0, x_unit="h")


def _in_words(quantity: str, unit: str) -> str:
    return f"{quantity.replace('_', ' ')}, {unit}" if unit else quantity.replace("_", " ")


def _moved(t: xr.Dataset, k: int) -> bool:
    return _share(t, k) > MOVED


def _share(t: xr.Dataset, k: int) -> float:
    """Return by how much a set-point moves, of its size."""
    was, now = (np.atleast_1d(t[v].isel(setpoint=k).values) for v in ("before", "after"))
    size = max(float(np.abs(now).max()), float(np.nanmax(np.abs(was), initial=0.0)), 1e-9)
    return float(np.nanmax(np.abs(now - was), initial=0.0)) / size if np.isfinite(was).any() else np.inf


def _moment(found: Dispatch) -> str:
    """Return the set-points of a steady state that moved, as a table."""
    t = found.table
    moved = sorted((k for k in range(t.sizes["setpoint"]) if _moved(t, k)), key=lambda k: -_share(t, k))
    rows = []
    for k in moved:
        one = t.isel(setpoint=k)
        quantity = str(one["quantity"].item())
        unit, factor = UNITS.get(quantity, ("", 1.0))
        was, now = float(one["before"]) / factor, float(one["after"]) / factor
        digits = 0 if quantity == "tap_position" else 3
        rows.append([text(one["element"].item()), text(quantity.replace("_", " ")), figure_cell(was, digits),
                     figure_cell(now, digits), figure_cell(now - was, digits), text(unit)])  # fmt: skip
    left = t.sizes["setpoint"] - len(moved)
    note = f"{plural(len(moved), 'set-point')} moved; {left} stay{'s' if left == 1 else ''} as before"
    listed = table(["Element", "Quantity", ">Before", ">After", ">Change", "Unit"], rows) if rows else ""
    head = f'<div class="part head"><h2>Set-points</h2><span class="q">{note}</span></div>'
    return head + (f'<section class="panel">{listed}</section>' if rows else "")


# ------------------------------------------------------------------------------------------------- limits


def _limits(found: Dispatch) -> str:
    out = ""
    lasts = "time" in found.table.dims
    if found.violations:
        rows = [_broken(v, found, lasts=lasts) for v in found.violations[:ROWS]]
        heads = ["Element", "Quantity", ">Value", ">Limit", "Unit", *([">At|h"] if lasts else [])]
        out += _part("What is broken", _of(len(found.violations), "the worst first"), table(heads, rows))
    if found.conflict:
        rows = [_bound([b], found, lasts=lasts)[:-1] for b in found.conflict[:ROWS]]
        note = "drop any one of these and the rest can hold, as far as the laws linearised there tell"
        out += _part("What cannot hold together", note, table(_heads(lasts=lasts), rows))
    unit, _ = GOALS.get(found.unit, (found.unit, 1.0))
    groups = _by_limit(found.binding)
    rows = [_bound(g, found, lasts=lasts) for g in groups[:ROWS]]
    if rows:
        heads = [*_heads(lasts=lasts), f">A percent is worth|{unit}"]
        out += _part("What binds", _of(len(groups), "the dearest first"), table(heads, rows))
    elif found.feasible:
        out += _part("What binds", "no limit holds the objective back", "")
    return out


def _by_limit(binding: Sequence[Binding]) -> list[list[Binding]]:
    """Return the bindings of each limit together, over all hours; the dearest limit first."""
    groups: dict[tuple[str, str, str, float], list[Binding]] = {}
    for b in binding:
        groups.setdefault((b.quantity, b.element, b.side, b.limit), []).append(b)
    return sorted(groups.values(), key=lambda g: -_worth(g))


def _worth(group: Sequence[Binding]) -> float:
    """Return what the objective falls by where a limit gives way by a percent, in every hour that it binds."""
    return sum(0.01 * abs(b.limit) * b.price for b in group)


def _heads(*, lasts: bool) -> list[str]:
    return ["Element", "Quantity", "Side", ">Limit", "Unit", *([">Hours"] if lasts else [])]


def _of(count: int, order: str) -> str:
    return f"{order}; {ROWS} of {count:,}" if count > ROWS else order


def _part(title: str, note: str, listed: str) -> str:
    head = f'<div class="part head"><h2>{title}</h2><span class="q">{esc(note)}</span></div>'
    return head + (f'<section class="panel">{listed}</section>' if listed else "")


def _hour(found: Dispatch, moment: int) -> Cell:
    times = found.table["time"].values
    return figure_cell(float(times[min(moment, len(times) - 1)]) / HOUR, 1)


def _broken(v: Violation, found: Dispatch, *, lasts: bool) -> list[Cell]:
    unit, factor = UNITS.get(v.quantity, ("", 1.0))
    row = [text(v.element), text(v.quantity.replace("_", " ")), figure_cell(v.value / factor, 3, bad=True),
           figure_cell(v.limit / factor, 3), text(unit)]  # fmt: skip
    return [*row, _hour(found, v.moment)] if lasts else row


def _bound(group: Sequence[Binding], found: Dispatch, *, lasts: bool) -> list[Cell]:
    b = group[0]
    unit, factor = UNITS.get(b.quantity, ("", 1.0))
    _, scale = GOALS.get(found.unit, (found.unit, 1.0))
    worth = _worth(group) / scale
    row = [text(b.element), text(b.quantity.replace("_", " ")), text("at least" if b.side == "low" else "at most"),
           figure_cell(b.limit / factor, 0 if b.quantity == LINEPACK else 3), text(unit)]  # fmt: skip
    return [*row, *([_hours(group, found)] if lasts else []), figure_cell(worth, decimals_for([worth], 3))]


def _hours(group: Sequence[Binding], found: Dispatch) -> Cell:
    """Return when a limit binds: one hour, or how many of the steps from the first to the last."""
    times = found.table["time"].values / HOUR
    if group[0].quantity == LINEPACK:
        return Cell("end", "n")
    at = sorted({min(b.moment, len(times) - 1) for b in group})
    if len(at) == 1:
        return Cell(f"{times[at[0]]:g}", "n")
    whole = at[-1] - at[0] + 1 == len(at)
    span = f"{times[at[0]]:g}–{times[at[-1]]:g}"
    return Cell(span if whole else f"{len(at)} in {span}", "n")


def _foot(found: Dispatch) -> str:
    sure = f"The laws' largest mismatch, recomputed outside the solver, is {power_of_ten(found.mismatch)}. "
    return f"<footer>{sure if found.result is not None else ''}Made by Serai. No request leaves this page.</footer>"
