# SPDX-License-Identifier: Apache-2.0
"""A page of a look-ahead: how long linepack outlives each loss, as bars, and which limits the day reaches."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from serai.report.document import write_whole
from serai.report.svg import SMALL, figure, path, shortened, tag, text_width, words
from serai.report.words import esc, number
from serai.simulate.ahead import HOLDS
from serai.simulate.limits import in_words
from serai.simulate.transient import clock

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from serai.simulate.ahead import Ahead, Survival

ROW, BAR, LEFT, WIDTH, TOP = 22.0, 10.0, 250.0, 560.0, 26.0  # px
SPACE = 330.0  # px for what stands behind a bar
STYLE = """
:root{color-scheme:light dark;--ink:#1c2127;--soft:#5b6570;--line:#d8dce0;--bar:#b9c1c9;--bad:#b3261e;--page:#fbfbfa}
@media(prefers-color-scheme:dark){
:root{--ink:#e6e8ea;--soft:#9aa4ae;--line:#3a4148;--bar:#5a646e;--bad:#ff8a7a;--page:#16191c}}
body{margin:2.5rem auto;max-width:1180px;padding:0 1.5rem;background:var(--page);color:var(--ink);
font:15px/1.5 Helvetica,Arial,sans-serif}
h1{font-size:1.4rem;margin:0}p{margin:.3rem 0 1.2rem;color:var(--soft)}h2{font-size:1rem;margin:2rem 0 .5rem}
svg{max-width:100%;height:auto;font-family:inherit}svg text{fill:var(--ink)}svg .soft{fill:var(--soft)}
.grid{stroke:var(--line);fill:none}.held{fill:var(--bar);opacity:.45}.spent{fill:var(--bad)}.unknown{fill:var(--bar)}
table{border-collapse:collapse;font-size:.9rem}td,th{padding:.2rem 1.2rem .2rem 0;text-align:left}
th{color:var(--soft);font-weight:normal;border-bottom:1px solid var(--line)}td.n{text-align:right}
"""


def write_ahead(seen: Ahead, path_: str | os.PathLike[str]) -> Path:
    """Write the page of a look-ahead, one file that needs no other; returns where it is."""
    network = seen.result.network
    short = [s for s in seen.survival if s.status != HOLDS]
    title = f"{network.title or network.name}{' · ' + network.day if network.day else ''}"
    limits = f"{len(seen.reached) or 'no'} limit{'' if len(seen.reached) == 1 else 's'}"
    lead = (
        f"{seen.hours:g} hours ahead: {limits} reached; "
        f"{len(short)} of {len(seen.survival)} losses are not outlived that long."
    )
    if seen.stopped:
        lead += f" The day does not go on: {seen.stopped}"
    parts = [
        f"<h1>Look-ahead</h1><p>{esc(title)}<br>{esc(lead)}</p>",
        "<h2>Hours until the first pressure limit breaks, after the loss of …</h2>",
        survival_bars(seen),
    ]
    if seen.reached:
        rows = "".join(f'<tr><td class="n">{clock(b.time)}</td><td>{esc(in_words(b))}</td></tr>' for b in seen.reached)
        parts.append(f"<h2>Limits that the day reaches</h2><table><tr><th>after</th><th>limit</th></tr>{rows}</table>")
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Look-ahead: {esc(network.name)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>{"".join(parts)}'
        "</body></html>\n"
    )
    return write_whole(page, path_)


def survival_bars(seen: Ahead) -> str:
    """Return the survival times as bars, the shortest first; a pale bar reaches the end: no limit breaks."""
    scale = WIDTH / max(seen.hours, 1e-9)
    height = TOP + ROW * len(seen.survival) + 6.0
    out = []
    for k in range(5):
        hour = seen.hours * k / 4.0
        x = LEFT + hour * scale
        out.append(path([(x, TOP - 6.0), (x, height)], "grid"))
        out.append(words(f"{hour:g} h", x, TOP - 12.0, "soft", anchor="middle"))
    for k, s in enumerate(seen.survival):
        out.append(_bar(s, TOP + ROW * k, scale, seen.hours))
    label = f"{sum(s.status == HOLDS for s in seen.survival)} of {len(seen.survival)} losses are outlived"
    return figure(LEFT + WIDTH + SPACE, height, "".join(out), label)


def _bar(s: Survival, y: float, scale: float, horizon: float) -> str:
    """Return one row: name, bar, and what breaks first."""
    base = y + ROW / 2.0 + 4.0
    name = words(shortened(s.lost, LEFT - 20.0), LEFT - 10.0, base, size=12.0, anchor="end")
    hours = s.hours if isfinite(s.hours) else horizon
    cls = "held" if s.status == HOLDS else "spent" if s.first else "unknown"
    bar = tag("rect", cls=cls, x=LEFT, y=y + (ROW - BAR) / 2.0, width=max(2.0, hours * scale), height=BAR, rx=1.5)
    if s.status == HOLDS:
        return name + bar
    time = f"{number(s.hours, 1)} h" if s.hours >= 1.0 else f"{number(60.0 * s.hours, 0)} min"
    said = f"{time} · {in_words(s.first) if s.first else s.reason}"
    x = LEFT + hours * scale + 8.0
    room = LEFT + WIDTH + SPACE - x
    text = shortened(said, room)
    behind = tag(  # keeps the grid from running through the text
        "rect", x=x - 3.0, y=y + 3.0, width=text_width(text, SMALL) + 6.0, height=ROW - 6.0, fill="var(--page)"
    )
    return name + bar + behind + words(text, x, base)
