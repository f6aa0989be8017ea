# SPDX-License-Identifier: Apache-2.0
"""The detection curve of docs/leaks.md: the smallest leak that Turkmenistan's readings show, by the time given.

    python benchmarks/leaks_figure.py docs/leaks.svg [--records FILE.turkmenistan.json]

Curves: (level + 1.28) / sqrt(C) over the flow of the line, in its middle, for each line that carries at least half its
design flow; the level is that of 0.1 alarms a month over all faults and windows. Squares: the bars of the project.
Dots, with --records of `leaks.py`: median time in which leaks of a size were found.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from leaks import BUDGET, LEAKS, desk

from serai.diagnose.sequential import untaught, windows

W, H, LEFT, TOP, RIGHT, BOTTOM = 780, 420, 64, 40, 256, 54
TIMES, SIZES = (10, 30, 60, 180, 360, 720, 1440), (0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
COLOURS = ("#0b5fa5", "#c2571a", "#3b7d3b", "#7a4fa3", "#8a6d1d", "#555555")
TITLE = "What the readings allow: smallest leak found nine times in ten, Turkmenistan, mean day"
LABELS = {10: "10 min", 30: "30 min", 60: "1 h", 180: "3 h", 360: "6 h", 720: "12 h", 1440: "24 h"}


def x(minutes):
    return LEFT + (W - LEFT - RIGHT) * np.log(minutes / TIMES[0]) / np.log(TIMES[-1] / TIMES[0])


def y(percent):
    return TOP + (H - TOP - BOTTOM) * (1.0 - np.log(percent / SIZES[0]) / np.log(SIZES[-1] / SIZES[0]))


def text(px, py, words, *, anchor="start", colour="#222", size=12, weight="normal"):
    return (f'<text x="{px:.1f}" y="{py:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}" '
            f'font-weight="{weight}">{words}</text>')  # fmt: skip


def frame():
    fonts = 'font-family="Helvetica, Arial, sans-serif"'
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {W} {H}" {fonts}>',
           f'<rect width="{W}" height="{H}" fill="white"/>',
           text(LEFT, 20, TITLE, weight="bold", size=13)]  # fmt: skip
    for t in TIMES:
        out.append(f'<path d="M{x(t):.1f} {TOP}V{H - BOTTOM}" stroke="#e4e4e4"/>')
        out.append(text(x(t), H - BOTTOM + 18, LABELS[t], anchor="middle"))
    for s in SIZES:
        out.append(f'<path d="M{LEFT} {y(s):.1f}H{W - RIGHT}" stroke="#e4e4e4"/>')
        out.append(text(LEFT - 8, y(s) + 4, f"{s:g} %", anchor="end"))
    out.append(text((LEFT + W - RIGHT) / 2, H - 14, "time since the leak began", anchor="middle"))
    return out


def curves(d):
    """Return (name, [(minutes, percent)]) of each loaded line, in its middle."""
    s, level = d.signatures, untaught(d.signatures, spread=1.0).level(BUDGET)
    places = {n: k for k, n in enumerate(d.moving.pipes.nodes)}
    cells = d.moving.pipes.cuts()
    out = []
    for line in d.lines:
        if not line.loaded:
            continue
        pipe, share = line.at(0.5)
        k = round(share * cells[pipe])
        t = d.case.net["pipes"]
        ends = str(t["from_node"][t.row(pipe)]), str(t["to_node"][t.row(pipe)])
        node = places[ends[0] if k == 0 else ends[1] if k == cells[pipe] else f"{pipe} [{k}/{cells[pipe]}]"]
        flow = abs(d.case.along[pipe])
        points = [(n, 100.0 * (level + 1.2816) / np.sqrt(s.information[n][node]) / flow) for n in windows() if n >= 10]
        out.append((f"{line.name}, {line.length / 1e3:.0f} km, {flow:.0f} kg/s", points))
    return sorted(out, key=lambda c: c[1][-1][1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--records", type=Path)
    given = parser.parse_args()
    out, row = frame(), TOP + 14
    for (name, points), colour in zip(curves(desk("turkmenistan")), COLOURS, strict=False):
        inside = [(a, b) for a, b in points if SIZES[0] <= b <= SIZES[-1]]
        out.append(f'<path d="M{" ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in inside)}" fill="none" stroke="{colour}" '
                   'stroke-width="2"/>')  # fmt: skip
        route, length, flow = name.rsplit(", ", 2)
        px = W - RIGHT + 16
        out.append(f'<path d="M{px} {row - 4}h14" stroke="{colour}" stroke-width="2"/>')
        out += [
            text(px + 20, row, route, size=11),
            text(px + 20, row + 13, f"{length}, {flow}", size=11, colour="#666"),
        ]
        row += 36
    for share, minutes in LEAKS:
        out.append(f'<rect x="{x(minutes) - 5:.1f}" y="{y(100 * share) - 5:.1f}" width="10" height="10" fill="none" '
                   'stroke="#b00020" stroke-width="2"/>')  # fmt: skip
    px = W - RIGHT + 16
    out.append(
        f'<rect x="{px + 2}" y="{row - 9}" width="10" height="10" fill="none" stroke="#b00020" stroke-width="2"/>'
    )
    out.append(text(px + 20, row, "wanted: size within time", size=11))
    if given.records:
        leaks = json.loads(given.records.read_text(encoding="utf-8"))["leaks"]
        for share, _ in LEAKS:
            found = [v["found"] for v in leaks if v["size"] == share and v["found"]]
            if found:
                out.append(f'<circle cx="{x(max(10.0, float(np.median(found)))):.1f}" cy="{y(100 * share):.1f}" r="5" '
                           'fill="#b00020"/>')  # fmt: skip
        out.append(f'<circle cx="{px + 7}" cy="{row + 16}" r="5" fill="#b00020"/>')
        out.append(text(px + 20, row + 20, "found: median of the runs", size=11))
    given.file.write_text("\n".join([*out, "</svg>", ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
