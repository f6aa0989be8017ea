# SPDX-License-Identifier: Apache-2.0
"""The page: everything in one HTML file that opens without a network and prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from serai.network.quality import SOURCES, quality, words
from serai.report import about as about_case
from serai.report import tables
from serai.report.day import gas_figures, margins, power_figures, pressure_figures
from serai.report.document import document
from serai.report.map import draw_map, legend
from serai.report.place import places
from serai.report.profile import profile_figures
from serai.report.svg import HATCH
from serai.report.words import VOLUME, VOLUME_RATE, clock, esc, number, plural, power_of_ten, sentence

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from serai.report.shown import Shown

FACTS = "facts.csv"  # of a case: columns entry, what, source, confidence
Key = tuple[str, str, str, str]
WIDE_MAP, NARROW_MAP = 920.0, 396.0  # px


def page(shown: Shown, outages: xr.Dataset | None = None) -> str:
    """Return the whole page as HTML."""
    body = "".join((
        HATCH, _head(shown), "<main>", _verdict(shown), _overview(shown), _gas(shown), _power(shown),
        _outages(shown, outages), _about_case(shown), _quality(shown), _trust(shown), "</main>", _foot(),
    ))  # fmt: skip
    return document(f"{_title(shown)} · Serai report", body)


def _title(shown: Shown) -> str:
    return shown.network.title or shown.network.name


def _head(shown: Shown) -> str:
    net = shown.network
    when = (
        f"{clock(float(shown.hours[0]))} to {clock(float(shown.hours[-1]))} local time"
        if shown.lasts
        else "steady state"
    )
    facts = [("Case", net.name), ("Day", net.day or "every day"), ("Time", when)]
    note = net.days[net.day].note if net.day in net.days else ""
    shown_facts = "".join(f"<div><dt>{esc(k)}</dt><dd>{esc(v)}</dd></div>" for k, v in facts)
    day = f'<p class="note">{esc(sentence(note))}.</p>' if note else ""
    return (
        f'<header><p class="mark">serai</p><h1>{esc(_title(shown))}</h1><dl>{shown_facts}</dl>'
        f"<p>{_about(shown)}</p>{day}</header>"
    )


def _about(shown: Shown) -> str:
    """Say in two sentences what this page is."""
    what = [w for w, there in (("the gas pipelines", shown.has_gas), ("the power grid", shown.has_power)) if there]
    together = ", solved together as one system" if len(what) > 1 else ""
    time = f"{number(shown.days * 24, 0)} hours" if shown.lasts else "one steady state"
    rows = quality(shown.network)[-1]
    known = (
        f"{rows.low:,} of its {rows.rows:,} rows ({number(100.0 * rows.synthetic, 0)} %) are synthetic or inferred: "
        "the map draws them stitched, a page near the end counts them."
        if rows.low
        else "No row of the case is marked as synthetic."
    )
    return esc(
        f"This page shows {time} of {' and '.join(what) or 'an empty network'}{together}, "
        "computed from the equations of physics and the facts of the case; it is a calculation, not a measurement. "
        + known
    )


# ------------------------------------------------------------------------------------------------- verdict


def _findings(shown: Shown) -> list[tuple[str, str]]:
    """Return (mark, sentence) of each thing that a reader must know first."""
    r = shown.result
    broken, modes = shown.breaks, dict.fromkeys(name for _, name, _ in r.modes)
    where = f", largest in the {esc(r.worst)}" if r.worst else ""
    lines = [
        (
            "ok",
            (
                "<b>The equations hold.</b> Recomputed outside the solver, "
                f"the largest mismatch is {power_of_ten(r.mismatch)}{where}."
            ),
        )
    ]
    if broken:
        lines.append(
            (
                "no",
                (
                    f"<b>{sentence(plural(len(broken), 'limit'))} broken.</b> "
                    f"{esc(_few([b.element for b in broken]))}; all in the table below."
                ),
            )
        )
    else:
        lines.append(("ok", f"<b>No limit is broken.</b> Checked: {_checked(shown)}."))
    if modes:
        lines.append(
            ("wait", f"<b>{sentence(plural(len(modes), 'element'))} left the set-point.</b> {esc(_few(list(modes)))}.")
        )
    else:
        lines.append(("ok", "<b>Every set-point holds.</b>"))
    stopped = [*r.notes, *r.dead]
    if stopped:
        lines.append(
            (
                "no",
                f"<b>{plural(len(stopped), 'remark')} on what does not run.</b> {esc(_few([n for n, _ in stopped]))}.",
            )
        )
    return lines


def _verdict(shown: Shown) -> str:
    lines = _findings(shown)
    items = "".join(f'<li class="{cls}"><span>{html}</span></li>' for cls, html in lines)
    more = ""
    if shown.breaks:
        more += _panel("Limits broken", tables.broken_limits(shown))
    if left := tables.left_setpoints(shown):
        more += _panel("Set-points left", left, "in order of time" if shown.lasts else "")
    return f'<section class="verdict"><ul>{items}</ul></section>' + (f'<div class="two">{more}</div>' if more else "")


def _checked(shown: Shown) -> str:
    gas = ("pressures", "flows", "station ratios and power") if shown.has_gas else ()
    power = ("voltages", "loadings", "active and reactive power of units") if shown.has_power else ()
    return ", ".join((*gas, *power)) or "nothing"


def _few(names: list[str], most: int = 4) -> str:
    names = list(dict.fromkeys(names))
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


# ------------------------------------------------------------------------------------------------- overview


def _overview(shown: Shown) -> str:
    where = places(shown.network)
    wide, used = draw_map(shown, WIDE_MAP, where)
    narrow, used_narrow = draw_map(shown, NARROW_MAP, where)
    how = {
        "geographic": "by latitude and longitude",
        "schematic": "schematic, not to scale",
        "drawn": "drawn from the connections, not to scale",
    }
    flows = "flows are means of the day" if shown.lasts else "flows of the steady state"
    panel = (
        f'<section class="panel mapbox"><h2>Network</h2><span class="q">{how[where.how]} · {flows}</span>'
        f'<div class="wide">{wide}</div><div class="slim">{narrow}</div>{legend(used | used_narrow, shown)}</section>'
    )
    keys = f'<section class="panel figures"><h2>Key figures</h2>{key_figures(shown)}</section>'
    return f'<div class="overview">{panel}{keys}</div>'


def key_rows(shown: Shown) -> list[Key]:
    """Return the key figures: name, remark, value, unit."""
    rows = _gas_keys(shown) if shown.has_gas else []
    return rows + (_power_keys(shown) if shown.has_power else [])


def key_figures(shown: Shown) -> str:
    """Return the key figures as a list in HTML."""
    out = ""
    for name, remark, value, unit in key_rows(shown):
        small = f"<small>{esc(remark)}</small>" if remark else ""
        shown_value = f'<b>{esc(value)}</b><span class="u">{esc(unit)}</span>'
        out += f'<div class="kpi"><dt>{esc(name)}{small}</dt><dd>{shown_value}</dd></div>'
    return f"<dl>{out}</dl>"


def _gas_keys(shown: Shown) -> list[Key]:
    def mean(v: NDArray[np.float64]) -> str:
        return number(float(shown.mean(v)), 1)

    abroad = np.sum(list(shown.exports().values()), axis=0) if shown.exports() else np.zeros(len(shown.hours))
    home = shown.rate_total("delivered") - abroad + shown.rate_total("plant_fuel")
    supply = shown.rate_total("supplied")
    rows: list[Key] = [
        ("Gas supply", _range(shown, supply), mean(supply), VOLUME_RATE),
        ("Gas used at home", "power plants included" if shown.has("plant_fuel") else "", mean(home), VOLUME_RATE),
    ]
    if shown.exports():
        rows.append(("Gas export", _range(shown, abroad), mean(abroad), VOLUME_RATE))
    if shown.has("fuel"):
        fuel = shown.rate_total("fuel")
        rows.append(
            ("Fuel of compressor stations", _range(shown, fuel, 3), number(float(shown.mean(fuel)), 3), VOLUME_RATE)
        )
    if shown.has("linepack_total"):
        rows += _linepack(shown)
    near = margins(shown)
    for side, word in (("lowest", "Nearest to the lowest pressure"), ("highest", "Nearest to the highest pressure")):
        found = next((m for m in near if m[5] == side), None)
        if found:
            node, value, limit, _, hour, _ = found
            when = f" at {clock(hour)}" if shown.lasts else ""
            rows.append((word, f"{node}{when}, limit {number(limit)}", number(value, 1), "bara"))
    return rows


def _linepack(shown: Shown) -> list[Key]:
    stored = shown.volume("linepack_total")
    if not shown.lasts:
        return [("Linepack", "gas in all pipes", number(float(stored[0]), 1), VOLUME)]
    k = int(np.argmin(stored))
    change = float(stored[-1] - stored[0])
    sign = "+" if change > 0 else ""
    return [
        ("Linepack at the start", "", number(float(stored[0]), 1), VOLUME),
        ("Linepack at the end", f"{sign}{number(change, 1)} over the time", number(float(stored[-1]), 1), VOLUME),
        ("Linepack at its lowest", f"at {clock(float(shown.hours[k]))}", number(float(stored[k]), 1), VOLUME),
    ]


def _power_keys(shown: Shown) -> list[Key]:
    made, losses = shown.power_total("active_power"), shown.power_total("losses")
    abroad = (
        np.sum(list(shown.power_exports().values()), axis=0) if shown.power_exports() else np.zeros(len(shown.hours))
    )
    home = shown.power_total("drawn") - abroad + shown.power_total("drive_power")
    share = 100.0 * float(shown.mean(losses)) / float(shown.mean(made)) if float(shown.mean(made)) else float("nan")
    rows: list[Key] = [
        ("Generation", _range(shown, made, 0), number(float(shown.mean(made)), 0), "MW"),
        ("Load at home", _range(shown, home, 0), number(float(shown.mean(home)), 0), "MW"),
    ]
    if shown.power_exports():
        rows.append(("Electricity export", _range(shown, abroad, 0), number(float(shown.mean(abroad)), 0), "MW"))
    rows.append(("Grid losses", f"{number(share, 2)} % of generation", number(float(shown.mean(losses)), 1), "MW"))
    if shown.has("loading"):
        values = np.nan_to_num(100.0 * shown.raw("loading"), nan=-1.0)
        at, k = np.unravel_index(int(values.argmax()), values.shape)
        when = f", {clock(float(shown.hours[at]))}" if shown.lasts else ""
        rows.append(
            ("Highest line loading", f"{shown.names('loading')[int(k)]}{when}", number(float(values[at, k]), 1), "%")
        )
    magnitude = shown.raw("magnitude")
    names = shown.names("magnitude")
    for word, pick in (("Lowest voltage", np.nanargmin), ("Highest voltage", np.nanargmax)):
        at, k = np.unravel_index(int(pick(magnitude)), magnitude.shape)
        when = f", {clock(float(shown.hours[at]))}" if shown.lasts else ""
        rows.append((word, f"{names[int(k)]}{when}", number(float(magnitude[at, k]), 3), "per unit"))
    return rows


def _range(shown: Shown, values: NDArray[np.float64], decimals: int = 1) -> str:
    if not shown.lasts:
        return ""
    low, high = number(float(values.min()), decimals), number(float(values.max()), decimals)
    return f"mean; {low} to {high}" if low != high else "constant"


# ------------------------------------------------------------------------------------------------- sections


def _panel(title: str, content: str, remark: str = "", cls: str = "") -> str:
    quiet = f'<span class="q">{esc(remark)}</span>' if remark else ""
    return f'<section class="panel {cls}"><h3>{esc(title)}</h3>{quiet}{content}</section>' if content else ""


def _heading(title: str, remark: str) -> str:
    return f'<div class="head later"><h3>{esc(title)}</h3><span class="q">{esc(remark)}</span></div>'


def _gas(shown: Shown) -> str:
    if not shown.has_gas:
        return ""
    volume = f"m³ at {tables.standard_conditions(shown)}"
    out = f'<h2>Gas</h2><span class="q">{volume}; pressures absolute</span>'
    if figures := gas_figures(shown):
        out += f'<div class="grid">{figures}</div>'
    if figures := pressure_figures(shown):
        out += _heading("Pressures at main nodes", "hatched: not allowed") + f'<div class="grid">{figures}</div>'
    if figures := profile_figures(shown):
        remark = "in the direction of flow; hatched: not allowed; upright lines: ends, stations and regulators"
        out += _heading("Pressure along the main corridors", remark) + f'<div class="grid broad">{figures}</div>'
    balance = "Gas balance of the day" if shown.lasts else "Gas balance"
    out += (
        '<div class="two">'
        + _panel(balance, tables.gas_balance(shown))
        + _panel("Pressures nearest to a limit", tables.worst_pressures(shown))
        + "</div>"
    )
    return f'<section class="part">{out}{_panel("Compressor stations", tables.stations(shown))}</section>'


def _power(shown: Shown) -> str:
    if not shown.has_power:
        return ""
    out = "<h2>Electricity</h2>"
    if figures := power_figures(shown):
        out += f'<div class="grid">{figures}</div>'
    balance = "Power balance of the day" if shown.lasts else "Power balance"
    out += (
        '<div class="two">'
        + _panel(balance, tables.power_balance(shown))
        + _panel("Highest loadings", tables.loadings(shown))
        + "</div>"
    )
    return f'<section class="part">{out}</section>'


def _outages(shown: Shown, outages: xr.Dataset | None) -> str:
    if outages is None:
        return ""
    panel = f'<section class="panel">{tables.outage_table(outages, shown)}</section>'
    return f'<section class="part"><h2>Outages</h2>{panel}</section>'


def _about_case(shown: Shown) -> str:
    """Explain the system to a newcomer in the words of the case; nothing where it has none."""
    about = words(shown.network)
    if not about:
        return ""
    named = about_case.named_facts(about, words(shown.network, FACTS))
    remark = "for a newcomer; a name in brackets is the fact that a number comes from"
    return (
        f'<section class="part"><h2>How this system works</h2><span class="q">{remark}</span>'
        f'<div class="panel prose">{about_case.html(about)}</div>'
        + _panel("The facts in brackets", tables.facts(named), f"from {FACTS} of the case", "named")
        + "</section>"
    )


def _quality(shown: Shown) -> str:
    """Say how sure the rows of the case are."""
    said = tables.synthetic_share(shown)
    if "sources clash" in words(shown.network, SOURCES).lower():
        said += f" Where sources clash, {SOURCES} of the case says which was taken, and why."
    return (
        '<section class="part"><h2>How sure the data are</h2>'
        f'<section class="panel"><p>{esc(said)}</p>{tables.data_quality(shown)}</section></section>'
    )


def _trust(shown: Shown) -> str:
    return (
        '<section class="part"><h2>What this rests on</h2><div class="two"><div class="stack">'
        + _panel("Modelling choices", tables.choices(shown))
        + _panel("Mismatches, recomputed", tables.certificate(shown), "by other formulas than the solver's")
        + "</div>"
        + _panel("Sources", tables.sources(shown))
        + "</div></section>"
    )


def _foot() -> str:
    from serai import __version__  # noqa: PLC0415 - the package is not loaded yet when this module is

    return f"<footer>Made by Serai {esc(__version__)}. Apache-2.0.</footer>"
