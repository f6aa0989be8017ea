# SPDX-License-Identifier: Apache-2.0
"""The page of a diagnosis: what is wrong, where it can be, how sure that is, and what could not have been seen."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, nan
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm

from serai.diagnose.course import History
from serai.diagnose.incident import clock
from serai.estimate.meters import dimension
from serai.report.charts import heading, tick_texts, ticks
from serai.report.document import document, write_whole
from serai.report.map import draw_map, legend
from serai.report.place import places
from serai.report.shown import Shown
from serai.report.svg import HATCH, figure, path, shortened, tag, words
from serai.report.tables import Cell, figure_cell, table, text
from serai.report.words import decimals_for, esc, number, plural, sentence

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from serai.diagnose.daily import Sheet as DaySheet
    from serai.diagnose.scan import Diagnosis
    from serai.estimate import Estimate
    from serai.network import Network
    from serai.report.map import Sheet

WIDE_MAP, NARROW_MAP = 920.0, 396.0  # px
WORST = 10  # residuals that are drawn
RANKED = 8  # explanations of one fault that are listed
WIDTH, HEIGHT = 400.0, 300.0  # px of a figure
BEST = 0.9  # chance with which a size is called surely seen

KINDS = {
    "leak": "gas leaks", "leak or theft": "gas leaks or is taken", "reading": "a reading is wrong",
    "bias or forged": "a reading is wrong or forged", "forged": "readings are forged", "power loss": "power is taken",
    "branch open": "a branch is open that is said to be closed",
    "branch closed": "a branch is closed that is said to be open",
    "position": "a station or valve stands otherwise than said",
    "valve open": "a valve is open that is said to be shut",
    "efficiency": "a machine works otherwise than its law", "resistance": "a pipe resists otherwise than its law",
    "command": "a set-point is not kept", "unit": "a meter sends in another unit", "stuck": "a station stands still",
}  # fmt: skip
UNIT = {"Pa": ("bar", 1e5), "W": ("MW", 1e6), "var": ("Mvar", 1e6), "kg/s": ("kg/s", 1.0), "of it": ("of it", 1.0),
        "pu": ("pu", 1.0), "SI": ("SI", 1.0)}  # fmt: skip
OF_KIND = {"leak": "kg/s", "power loss": "W", "branch open": "of it", "branch closed": "of it", "valve open": "kg/s",
           "position": "Pa"}  # fmt: skip
OF_DIMENSION = {"pressure": "Pa", "mass flow": "kg/s", "power": "W", "reactive power": "var", "per unit": "pu"}


@dataclass(frozen=True)
class Wrong:
    """One thing that is wrong as the page shows it; sizes in `unit` (what a reader sees)."""

    kind: str
    suspects: tuple[tuple[str, str, float], ...]  # kind, where, score
    size: float
    sigma: float
    unit: str
    score: float
    limit: float
    chance: str
    smallest: float
    since: str = ""
    pipe: str = ""
    share: float = nan
    share_sigma: float = nan
    over: bool = False


@dataclass(frozen=True)
class Page:
    """What a page is made of."""

    network: Network
    title: str
    wrong: tuple[Wrong, ...]
    estimate: Estimate | None
    map_of: Shown | None
    facts: tuple[tuple[str, str], ...]
    limit: float
    sheets: tuple[DaySheet, ...] = ()
    notes: tuple[str, ...] = ()


def write_diagnosis(found: Diagnosis | History, where: str | os.PathLike[str]) -> Path:
    """Write the page of a diagnosis; the file appears whole or not at all."""
    return write_whole(diagnosis_page(found), where)


def diagnosis_page(found: Diagnosis | History) -> str:
    """Return the page of a diagnosis of one scan, or of many, as HTML."""
    page = _of_history(found) if isinstance(found, History) else _of_scan(found)
    body = "".join((HATCH, _head(page), "<main>", _verdict(page), _overview(page), _details(page), _sheets(page),
                    _trust(page), "</main>", _foot()))  # fmt: skip
    return document(f"{page.title} · Serai diagnosis", body, "diagnosis.css")


# ------------------------------------------------------------------------------------------------- what is shown


def _of_scan(d: Diagnosis) -> Page:
    e = d.estimate
    wrong = []
    for f in d.faults:
        best = f.suspects[0]
        unit, factor = _unit(OF_KIND.get(best.kind, ""), e, best.where)
        suspects = tuple((s.kind, s.where, abs(s.score)) for s in f.suspects)
        wrong.append(Wrong(f.kind, suspects, f.size / factor, f.sigma / factor, unit, abs(f.score), d.limit,
                           f"chance says so in {_share(f.false_alarm)} of clean scans", f.least / factor))  # fmt: skip
    for c in d.commands:
        k = c.command
        unit, factor = UNIT.get(OF_DIMENSION.get(dimension(k.quantity), ""), ("", 1.0))
        suspects = (("command", k.where, abs(c.score)),)
        wrong.append(Wrong("command", suspects, c.held / factor, c.sigma / factor, unit, abs(c.score), d.limit,
                           f"chance says so in {_share(c.false_alarm)} of clean scans", nan))  # fmt: skip
    facts = (("Case", e.network.name), ("Readings", f"{int(e.used.sum()):,}"), ("Hypotheses", f"{len(d.tested):,}"),
             ("Told from", f"{d.limit:.2f} sigmas"))  # fmt: skip
    shown = Shown(e.state) if e.converged else None
    notes = tuple(f.text for f in d.findings)
    return Page(e.network, e.network.title or e.network.name, tuple(wrong), e, shown, facts, d.limit, notes=notes)


def _of_history(h: History) -> Page:
    c = h.course
    now = {x.number for x in c.incidents}
    wrong = []
    for x in h.incidents:
        unit, factor = UNIT.get(x.unit, (x.unit, 1.0))
        chance = f"chance says so {_share(x.false_alarm)} times a month" if isfinite(x.false_alarm) else ""
        suspects = tuple((k, w, x.score) for k, w in x.suspects)
        wrong.append(Wrong(
            x.kind, suspects, x.size / factor, x.sigma / factor, unit, x.score, x.limit, chance, x.smallest / factor,
            f"since {clock(x.onset)}, told {clock(x.told)}", x.pipe, x.share, x.share_sigma, x.number not in now,
        ))  # fmt: skip
    estimate = c.last.estimate if c.last is not None else None
    limit = c.last.limit if c.last is not None else nan
    facts = (("Case", c.network.name), ("Scans", f"{c.counts['scans']:,} of a minute"),
             ("Readings", f"{c.counts['taken']:,}"), ("False alarms", f"{c.budget:g} a month at most"))  # fmt: skip
    counted = [f"{n:,} readings {what}" for what, n in sorted(c.counts.counted.items())
               if what in ("late", "useless", "unknown tag", "from the future", "superseded")]  # fmt: skip
    shown = Shown(c.begun) if c.begun is not None else None
    return Page(c.network, c.network.title or c.network.name, tuple(wrong), estimate, shown, facts, limit,
                c.sheets, (*c.notes, *counted))  # fmt: skip


def _unit(kind: str, e: Estimate, where: str) -> tuple[str, float]:
    if not kind:
        meter = next((m for m in e.meters if m.name == where), None)
        kind = OF_DIMENSION.get(dimension(meter.quantity), "SI") if meter else "SI"
    return UNIT.get(kind, (kind, 1.0))


def _share(value: float) -> str:
    if value < 1e-12:
        return "less than 10⁻¹²"
    return f"{value:.1g}" if value < 0.01 else number(value, 2)


def _head(p: Page) -> str:
    facts = "".join(f"<div><dt>{esc(k)}</dt><dd>{esc(v)}</dd></div>" for k, v in p.facts)
    return (
        f'<header><p class="mark">serai</p><h1>{esc(p.title)}: diagnosis</h1><dl>{facts}</dl>'
        "<p>This page says what in the readings cannot be as the laws of physics and the meters' classes have it: "
        "which one thing explains it, where it can be, how large it is, and how often chance alone would have said so. "
        "What the data cannot tell apart stands together as one set.</p></header>"
    )


def _verdict(p: Page) -> str:
    if not p.wrong:
        what = "<b>Nothing is wrong that these readings could tell.</b> What they could not, stands below."
        return f'<section class="verdict"><ul><li class="ok"><span>{what}</span></li></ul></section>'
    items = ""
    for k, w in enumerate(p.wrong[:6], start=1):
        size = f", {_size(w)}" if isfinite(w.size) else ""
        over = " It is over." if w.over else ""
        items += (
            f'<li class="{"wait" if w.over else "no"}"><span><b>{k}. {esc(sentence(KINDS.get(w.kind, w.kind)))}: '
            f"{esc(_place(w))}{esc(size)}.</b> {esc(sentence(w.since))}{'.' if w.since else ''} "
            f"{esc(sentence(w.chance))}{'.' if w.chance else ''}{over}</span></li>"
        )
    more = f"<li><span>{plural(len(p.wrong) - 6, 'more below', 'more below')}</span></li>" if len(p.wrong) > 6 else ""
    return f'<section class="verdict"><ul>{items}{more}</ul></section>'


def _place(w: Wrong) -> str:
    if w.pipe:
        sure = f" ± {100 * w.share_sigma:.0f} %" if isfinite(w.share_sigma) else ""
        return f"{100 * w.share:.0f}{sure} of the way along {w.pipe}" if sure else f"{100 * w.share:.0f} % of {w.pipe}"
    first = w.suspects[0][1]
    more = len({name for _, name, _ in w.suspects}) - 1
    return f"{first} or {plural(more, 'other')}" if more > 0 else first


def _size(w: Wrong) -> str:
    digits = decimals_for([w.size, w.sigma], 3)
    return f"{number(w.size, digits)} ± {number(w.sigma, digits)} {w.unit}".strip()


# ------------------------------------------------------------------------------------------------- map


def _overview(p: Page) -> str:
    drawn = ""
    if p.map_of is not None and (p.map_of.has_gas or p.map_of.has_power):
        where = places(p.network)
        wide, used = draw_map(p.map_of, WIDE_MAP, where, overlay=lambda s: _suspects(s, p))
        narrow, used_narrow = draw_map(p.map_of, NARROW_MAP, where, overlay=lambda s: _suspects(s, p))
        said = "where each of the things above can be" if p.wrong else "nothing is suspected"
        key = (
            '<span><svg width="30" height="14" viewBox="0 0 30 14" aria-hidden="true">'
            '<path class="susp casing" d="M8 7H22"/><path class="susp core" d="M4 7H26"/></svg>likeliest, and as likely'
            "</span>" if p.wrong else ""
        )  # fmt: skip
        drawn = (
            f'<section class="panel mapbox"><h2>Where</h2><span class="q">{said}</span>'
            f'<div class="wide">{wide}</div><div class="slim">{narrow}</div>'
            f'<div class="legend">{key}</div>{legend((used | used_narrow) - {"broken"}, p.map_of)}</section>'
        )
    ranked = "".join(_ranked(k, w) for k, w in enumerate(p.wrong[:4], start=1))
    side = f'<section class="panel"><h2>Explanations</h2><span class="q">score, sigmas</span>{ranked}</section>'
    return f'<div class="overview">{drawn}{side if ranked else ""}</div>'


def _ranked(number_: int, w: Wrong) -> str:
    names = list(dict.fromkeys((kind, where) for kind, where, _ in w.suspects))[:RANKED]
    score = {(kind, where): s for kind, where, s in w.suspects}
    most = max((s for s in score.values() if isfinite(s)), default=1.0) or 1.0
    rows = []
    for k, (kind, where) in enumerate(names):
        s = score[kind, where]
        length = 60.0 * s / most if isfinite(s) else 0.0
        bar = tag("rect", x=0.0, y=2.0, width=max(1.0, length), height=9.0, cls="rank first" if k == 0 else "rank")
        svg = f'<svg class="bar" style="display:inline" width="62" height="13" aria-hidden="true">{bar}</svg>'
        rows.append([text(where), text(kind), Cell(f"{svg}{number(s, 1) if isfinite(s) else ''}")])
    more = len({(kind, where) for kind, where, _ in w.suspects}) - len(names)
    rest = f'<p class="q">and {more} more that explain it as well</p>' if more > 0 else ""
    title = f"{number_}. {sentence(KINDS.get(w.kind, w.kind))}"
    return f'<h3 class="one">{esc(title)}</h3>{table(["Element or meter", "Kind", "Score"], rows)}{rest}'


def _suspects(sheet: Sheet, p: Page) -> None:
    """Draw the suspect sets over the map, the likeliest of each darkest; limits are no matter of this page."""
    sheet.layers.pop("marks", None)
    for k, w in enumerate(p.wrong[:4], start=1):
        if w.over:
            continue
        names = list(dict.fromkeys(name for _, name, _ in w.suspects))
        for order, name in reversed(list(enumerate(names[:12]))):
            ends = [sheet.at(n) for n in _ends(p.network, name)]
            spots = [e for e in ends if e is not None]
            less = "" if order == 0 else " less"
            if order == 0 and spots:
                _numbered(sheet, spots, k, w)
            if len(spots) == 2 and spots[0] != spots[1]:
                (x1, y1), (x2, y2) = spots
                line = f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"
                sheet.add("marks", tag("path", d=line, cls=f"susp casing{less}"))
                sheet.add("marks", tag("path", tag("title", esc(name)), d=line, cls=f"susp core{less}"))
            elif spots:
                x, y = spots[0]
                sheet.add("marks", tag("circle", tag("title", esc(name)), cx=x, cy=y, r=11.0, cls=f"susp{less}"))


def _numbered(sheet: Sheet, spots: Sequence[tuple[float, float]], k: int, w: Wrong) -> None:
    (x1, y1), (x2, y2) = spots[0], spots[-1]
    share = w.share if isfinite(w.share) else 0.5
    x, y = x1 + share * (x2 - x1), y1 + share * (y2 - y1)
    if len(spots) == 1:
        y -= 16.0
    d = f"M{x:.1f} {y - 9:.1f}L{x + 9:.1f} {y:.1f}L{x:.1f} {y + 9:.1f}L{x - 9:.1f} {y:.1f}Z"
    sheet.add("numbers", tag("path", d=d, cls="broken") + words(str(k), x, y + 4, "bang", anchor="middle"))


def _ends(network: Network, name: str) -> tuple[str, ...]:
    """Return the nodes or buses at which an element, or the element of a meter, is drawn."""
    name = name.removeprefix("power of ")
    instruments = network["instruments"]
    if len(instruments) and name in instruments:
        name = str(instruments["where"][instruments.row(name)])
    if name not in network:
        return ()
    kind = network.kind_of(name)
    if kind in ("gas_nodes", "buses"):
        return (name,)
    t = network[kind]
    for columns in (("from_node", "to_node"), ("from_bus", "to_bus"), ("hv_bus", "lv_bus"), ("node",), ("bus",),
                    ("gas_node",)):  # fmt: skip
        if all(c in t.columns for c in columns) and str(t[columns[0]][t.row(name)]):
            return tuple(str(t[c][t.row(name)]) for c in columns)
    return _ends(network, str(t["compressor"][t.row(name)])) if "compressor" in t.columns else ()


# ------------------------------------------------------------------------------------------------- figures


def _details(p: Page) -> str:
    parts = []
    if p.estimate is not None:
        parts.append(_residuals(p.estimate))
    curves = [(k, w) for k, w in enumerate(p.wrong, start=1) if isfinite(w.smallest * w.size) and w.smallest > 0.0]
    parts += [_curve(k, w) for k, w in curves[:2]]
    if not any(parts):
        return ""
    inside = "".join(f'<section class="panel"><figure>{part}</figure></section>' for part in parts if part)
    return f'<div class="part head"><h2>Evidence</h2></div><div class="grid">{inside}</div>'


def _residuals(e: Estimate) -> str:
    """Draw the largest normalised residuals against the limit that chance keeps in 99 of 100 scans."""
    z = np.nan_to_num(e.normalised)
    worst = [int(k) for k in np.argsort(-np.abs(z))[:WORST] if z[k] != 0.0]
    if not worst:
        return ""
    limit = e.limit(0.01)
    most = max(1.35 * limit, min(2.5 * limit, 1.05 * float(np.abs(z[worst[0]]))))
    left, right, top, bottom = 176.0, WIDTH - 46.0, 12.0, HEIGHT - 26.0

    def x(value: float) -> float:
        return (left + right) / 2.0 + value / most * (right - left) / 2.0

    step = (bottom - top) / WORST
    body = ""
    for side in (-1.0, 1.0):
        a, b = sorted((x(side * limit), x(side * most)))
        body += tag("rect", x=a, y=top, width=b - a, height=bottom - top, fill="url(#hatch)")
        body += tag("path", d=f"M{x(side * limit):.1f} {top}V{bottom}", cls="lim")
        body += words(f"{number(side * limit, 1)}", x(side * limit), bottom + 15, "t", anchor="middle")
    body += tag("path", d=f"M{x(0.0):.1f} {top}V{bottom}", cls="ax") + words(
        "0", x(0.0), bottom + 15, "t", anchor="middle"
    )
    for row, k in enumerate(worst):
        y = top + (row + 0.5) * step
        a, b = sorted((x(0.0), x(float(np.clip(z[k], -most, most)))))  # longer ones end at the edge, with their number
        over = " over" if abs(z[k]) > limit else ""
        body += words(shortened(e.meters[k].name, left - 8.0), 0.0, y + 4, "k" if over else "")
        body += tag("rect", x=a, y=y - 5, width=max(1.0, b - a), height=10.0, cls=f"resid{over}")
        body += words(number(float(z[k]), 1), WIDTH, y + 4, "k" if over else "t", anchor="end")
    drawn = figure(WIDTH, HEIGHT, body, "Normalised residuals of the readings that fit least, against their limit")
    said = "reading less estimate, in its own standard deviations; hatched: one in a hundred clean scans has any"
    return heading("Residuals", "sigmas", said) + drawn


def _curve(order: int, w: Wrong) -> str:
    """Draw the chance of being told against the size, of the kind and place found."""
    scale = w.smallest / (w.limit + float(norm.isf(1.0 - BEST))) if isfinite(w.limit) and w.limit > 0.0 else nan
    if not (isfinite(scale) and scale > 0.0):
        return ""
    high = max(2.2 * w.smallest, 1.15 * (abs(w.size) + w.sigma))
    if abs(w.size) > 4.0 * w.smallest:
        high = 2.6 * w.smallest
    left, right, top, bottom = 46.0, WIDTH - 14.0, 16.0, HEIGHT - 40.0

    def at(size: float, chance: float) -> tuple[float, float]:
        return left + size / high * (right - left), bottom - chance * (bottom - top)

    body = ""
    for chance in (0.0, 0.5, BEST):
        y = at(0.0, chance)[1]
        body += tag("path", d=f"M{left} {y:.1f}H{right}", cls="rule")
        body += words(f"{100 * chance:.0f} %", left - 6, y + 4, "t", anchor="end")
    values = ticks(0.0, high)
    for value, label in zip(values, tick_texts(values), strict=True):
        label = f"{label} {w.unit}" if value == values[-1] else label  # noqa: PLW2901 - the unit stands once
        body += words(label, at(value, 0.0)[0], bottom + 16, "t", anchor="middle")
    sizes = np.linspace(0.0, high, 120)
    body += path([at(float(s), float(norm.sf(w.limit - s / scale))) for s in sizes], "curve")
    x, y = at(w.smallest, BEST)
    body += tag("path", d=f"M{left} {y:.1f}H{x:.1f}V{bottom}", cls="guide")
    digits = decimals_for([w.smallest, w.smallest], 3)
    body += words(f"surely seen from {number(w.smallest, digits)}", x + 5, bottom - 8, "halop")
    if abs(w.size) <= high:
        cx, cy = at(abs(w.size), 0.32)
        low, top_ = at(max(0.0, abs(w.size) - w.sigma), 0.32)[0], at(min(high, abs(w.size) + w.sigma), 0.32)[0]
        body += tag("rect", x=low, y=cy - 3, width=max(1.0, top_ - low), height=6.0, cls="rank")
        body += tag("circle", cx=cx, cy=cy, r=4.5, cls="sym")
        label = "this one " + number(abs(w.size), digits)
        body += words(label, min(cx, right - 40), cy - 12, "halop", anchor="middle")
    drawn = figure(WIDTH, HEIGHT, body, f"Chance that {w.kind} is told, by its size")
    over = "" if abs(w.size) <= high else f"; this one is {number(abs(w.size) / w.smallest, 0)} times as large"
    said = f"chance that it is told there, by its size{over}"
    return heading(f"Could {order} be seen?", w.unit, said) + drawn


# ------------------------------------------------------------------------------------------------- sheets, trust


def _sheets(p: Page) -> str:
    panels = ""
    for s in p.sheets[-2:]:
        for kind, unit, size in (("gas", "t", 1e3), ("power", "MWh", 3.6e9)):
            zones = [z for z in getattr(s, kind) if z.taken_in or z.given_out or z.stored]
            if not zones:
                continue
            heads = ["Zone", "In", "Out", *(["Fuel", "Linepack"] if kind == "gas" else []), "Technical losses",
                     "Unaccounted", "± sigma"]  # fmt: skip
            rows = []
            for z in sorted(zones, key=lambda z: -abs(z.unaccounted) / max(z.sigma, 1e-9))[:12]:
                inside = [z.fuel, z.stored] if kind == "gas" else []
                values = [z.taken_in, z.given_out, *inside, z.technical]
                rows.append([
                    text(z.name + (" *" if z.unmetered else "")), *(figure_cell(v / size, 1) for v in values),
                    figure_cell(z.unaccounted / size, 1, bad=z.sure), figure_cell(z.sigma / size, 1),
                ])  # fmt: skip
            total = s.total(kind)
            inside = [total["fuel"], total["stored"]] if kind == "gas" else []
            values = [total["taken_in"], total["given_out"], *inside, total["technical"], total["unaccounted"],
                      total["sigma"]]  # fmt: skip
            rows.append([text("All zones, between them taken out"), *(figure_cell(v / size, 1) for v in values)])
            head = f"{sentence(kind)}, {unit}, from {clock(s.begin)}, {s.scans / 60:.1f} h"
            panels += (
                f'<section class="panel"><h3>{esc(head)}</h3><div class="scroll">{table(heads, rows)}</div></section>'
            )
    if not panels:
        return ""
    note = (
        '<p class="q">Marked: more than two sigmas, so not by chance. * something there has no meter, and is in what '
        "is unaccounted for.</p>"
    )
    return f'<div class="part head"><h2>Balance of the day</h2></div><div class="stack">{panels}</div>{note}'


def _trust(p: Page) -> str:
    items: list[str] = []
    if p.estimate is not None and p.estimate.converged:
        e = p.estimate
        items.append(
            f"The laws hold in the estimate: recomputed outside the solver, the largest mismatch is {e.mismatch:.1e}."
        )
        critical = _few([m.name for m in e.critical])
        if critical:
            items.append(f"Nothing checks these meters, so they cannot be told wrong: {critical}.")
        blind = _few(sorted({where for _, where in e.unobservable}))
        if blind:
            items.append(f"Not seen by any reading: {blind}.")
    items += [f"{sentence(n)}." if not n.endswith(".") else sentence(n) for n in p.notes]
    listed = "".join(f"<li>{esc(i)}</li>" for i in items)
    head = '<div class="part head"><h2>What this rests on</h2></div>'
    return f'{head}<section class="panel prose"><ul>{listed}</ul></section>'


def _few(names: Iterable[str], most: int = 8) -> str:
    every = list(dict.fromkeys(names))
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def _foot() -> str:
    return "<footer>Made by Serai from the readings given, the case and its laws. No request leaves this page.</footer>"
