# SPDX-License-Identifier: Apache-2.0
"""One leak in the control room's page and in a plain Grafana board over the same history: steps from alarm to cause.

    python benchmarks/room_grafana.py [--json] [--pictures FOLDER] [--page FOLDER]

The twin runs the seeded scenario `leak_2_percent` of the country (the meters of gas, a scan a minute) and writes its
readings and estimates into PostgreSQL. Ten minutes after the alarm the page is opened in a real browser and driven by
keyboard from the overview to the cause; every key is a step, and what it shows is compared with the truth of the
field. The board of docs/grafana is asked over the same history and the same hours: Grafana itself is not there (AGPL,
in no package registry), so its SQL runs on PostgreSQL, its macros filled in as its documentation says, and its steps
are those that its documentation needs; what the last of them shows is computed. The board's alert rule is evaluated
every ten minutes of the day. Exit status 1 when the page does not name pipe and size.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import adbc_driver_postgresql.dbapi as postgresql
import numpy as np
from playwright.sync_api import sync_playwright

import serai as sr
from page.lived import CHROMIUM, FLAGS, PAGE, Lived, sign_in
from room.grafana_board import FOLDER, expanded, lines, panels
from room.opened_room import site
from serai import field
from serai.diagnose.course import Course
from serai.field import read_scenario
from serai.network.instruments import instruments
from serai.telemetry import historian
from serai.telemetry.points import points
from serai.telemetry.quality import Checks, Limits
from serai.telemetry.readings import Quality
from serai.twin.loop import Loop, Settings
from serai.twin.twin import Around, Twin
from serai.units import DAY
from telemetry.historian.local_postgres import LocalPostgres

SCENARIO, HOURS, SETTLE = "leak_2_percent", 16.0, 600
AFTER = 10  # min from the alarm to looking at it
SPREADS = (3.0, 4.0, 6.0, 8.0)  # of the board's alert rule: a balance that has changed by so many of its spreads
# What a person does in Grafana from the notification on, where it says so, and what it takes: clicks, choices, queries
# written, sums by hand. Pages of docs/sources of grafana/grafana, version 13.
STEPS = (
    ("follow the link of the notification to the board", "alerting/alerting-rules/link-alert-rules-to-panels"),
    ("read in the table of all balances which line has changed most", "panels-visualizations/visualizations/table"),
    ("choose that line in the variable Line", "dashboards/use-dashboards"),
    ("set the time range to the hours around the change", "dashboards/use-dashboards"),
    ("choose the gauges of the line, of all gauges, in the variable Pressures", "dashboards/use-dashboards"),
    ("choose its meters in the variable Flows", "dashboards/use-dashboards"),
    ("look through `Changed most` for a meter that has jumped by itself", "panels-visualizations/visualizations/table"),
    ("Inspect, Data, Download CSV of the balance", "panels-visualizations/panel-inspector"),
    ("Inspect, Data, Download CSV of the pressures", "panels-visualizations/panel-inspector"),
    ("by hand: the gas that the line stored, from the pressures and its volumes; subtract it: the size", ""),
)  # fmt: skip


@dataclass
class Incident:
    """A twin in the middle of the leak, its readings in PostgreSQL, the truth; when the alarm came, and now [s]."""

    twin: Twin
    recording: object
    register: object
    server: LocalPostgres
    told: list[float]
    now: list[float]

    async def happen(self) -> None:
        """Run the scenario until some minutes after its alarm."""
        recording = self.recording
        checks = Checks(points(recording.network), self.register, Limits(off=Quality.STALE | Quality.CLOCK_SKEW))
        for k, batch in enumerate(recording, start=1):
            checked = checks.check(batch)
            self.twin.around.store.append(f"field {k}", checked, "field")
            self.twin.loop.take(checked)
            self.now[0] = recording.start + 60.0 * k
            await self.twin.beat(self.now[0])
            if self.told and self.now[0] >= self.told[0] + 60.0 * AFTER:
                break


def incident(server: LocalPostgres) -> Incident:
    """Make the twin over the scenario; nothing has happened yet."""
    country = sr.read("turkmenistan")
    gas = np.array([i.scan == 60.0 for i in instruments(country)])
    net = country.with_tables(instruments=country["instruments"].where(gas))
    scenario = replace(read_scenario(SCENARIO, net), hours=HOURS)
    recording = field.readings(net, scenario, step="60s")
    course = Course(recording.network, hour=scenario.start_hour, settled=SETTLE)
    register = recording.meters().register
    loop = Loop(recording.network, register, course, settings=Settings(60.0, inline=True))
    loop.shown = lambda now: recording.shown(now - recording.start)
    now, told = [recording.start], []
    twin = Twin(loop, Around(now=lambda: now[0], store=historian.open(server.url), archive=server.url))
    tell = twin.tell

    def heard(kind, data):
        if kind == "alarm" and data["key"] == "diagnosis.loss" and data["state"] == "unacknowledged":
            told.append(now[0])
        tell(kind, data)

    twin.tell = heard
    return Incident(twin, recording, register, server, told, now)


# --------------------------------------------------------------------------------------------------------------- page


@contextmanager
def opened(made: Incident, built: Path):
    """Let it happen behind a room, and yield the room."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(built, Path(folder) / "page")
        with site(Path(folder), desk=made.twin) as found:
            room = Lived(made.twin, None, found.app)
            room.start()
            asyncio.run_coroutine_threadsafe(made.happen(), room.loop).result()
            yield room
            room.stop()


def by_page(room: Lived, pictures: Path | None) -> tuple[int, str, str]:
    """Drive the page from the overview to the cause; return keys pressed, and the texts of alarm and cause."""
    keys = 0
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")  # no badge half seen
        sign_in(page, room.address)
        page.wait_for_selector("#ban")
        page.keyboard.press("4")
        keys += 1
        page.wait_for_selector("tr[data-alarm]")
        page.wait_for_timeout(1500)
        alarm = page.locator("section.det").inner_text()
        _kept(page, pictures, "page-alarm")
        page.keyboard.press("d")
        keys += 1
        page.wait_for_selector("main.v-diagnosis")
        page.wait_for_timeout(2000)
        cause = page.locator("main").inner_text()
        _kept(page, pictures, "page-cause")
        browser.close()
    return keys, alarm, cause


def _kept(page, folder: Path | None, name: str) -> None:
    if folder is not None:
        page.screenshot(path=folder / f"{name}.png")


# -------------------------------------------------------------------------------------------------------------- board


class Board:
    """Asks the board's SQL of a history."""

    def __init__(self, server: LocalPostgres, line: str) -> None:
        self.connection = postgresql.connect(server.url)
        self.line, self.asked = line, 0
        for statement in (FOLDER / "lines.sql").read_text(encoding="utf-8").split(";\n"):
            if statement.strip():
                with self.connection.cursor() as cursor:
                    cursor.execute(statement)
        self.connection.commit()

    def __call__(self, title: str, start: float, end: float, **chosen: list[str]) -> list[dict]:
        self.asked += 1
        given = {"line": [self.line], "gauge": [], "meter": []} | chosen
        with self.connection.cursor() as cursor:
            cursor.execute(expanded(panels()[title], start, end, given))
            return cursor.fetch_arrow_table().to_pylist()


def rule(board: Board, made: Incident, begin: float) -> dict[float, tuple[int, float | None]]:
    """Evaluate the board's alert rule every ten minutes: spreads -> alarms before the leak, hours to the first after.

    An alarm is a line that comes above the limit and was not above it ten minutes before.
    """
    start = made.recording.start
    found = {s: [0, None] for s in SPREADS}
    above = {s: set() for s in SPREADS}
    for at in np.arange(start + 6 * 3600.0, made.now[0] + 1.0, 600.0):
        table = {r["line"]: r["change in spreads"] for r in board("Balances of all lines", at - 6 * 3600.0, at)}
        for s in SPREADS:
            over = {name for name, z in table.items() if z is not None and abs(z) > s}
            new, above[s] = over - above[s], over
            if at <= begin:
                found[s][0] += len(new)
            elif new and found[s][1] is None and board.line in new:
                found[s][1] = (at - begin) / 3600.0
    return {s: (n, first) for s, (n, first) in found.items()}


def drawn(board: Board, made: Incident, begin: float, pictures: Path) -> None:
    """Draw what the board's queries return, panel by panel, over its default range of six hours."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    end = made.now[0]
    span = (end - 6 * 3600.0, end)
    gauges = ["Abadan Head Regulator PT out", "Tejen Gate PT", "Akhal PS PT", "Ashgabat PS PT"]
    meters = ["Abadan Head Regulator FT", "Gokdepe Regulator FT"]
    figure, axes = plt.subplots(2, 2, figsize=(14.4, 8.1), layout="constrained")
    zero = made.recording.start - 3600.0 * made.recording.scenario.start_hour

    def hours(rows):
        return [(float(r["time"]) if not hasattr(r["time"], "timestamp") else r["time"].timestamp()) for r in rows]

    def line(axis, rows, value, label):
        axis.plot([(t - zero) / 3600.0 for t in hours(rows)], [r[value] for r in rows], lw=1.2, label=label)

    rows = board("Balance of the line", *span)
    line(axes[0, 0], rows, "in less out, kg/s", "in less out, kg/s")
    for axis, title, chosen in ((axes[1, 0], "Pressures", gauges), (axes[1, 1], "Flows", meters)):
        rows = board(title, *span, gauge=gauges, meter=meters)
        for name in chosen:
            line(axis, [r for r in rows if r["metric"] == name], "value", name)
        axis.set_title(f"{title}, {'bar' if title == 'Pressures' else 'kg/s'}", loc="left", fontsize=11)
    axes[0, 0].set_title(f"Balance of the line: {board.line}", loc="left", fontsize=11)
    for axis in (axes[0, 0], axes[1, 0], axes[1, 1]):
        axis.grid(color="#dddddd")
        axis.set_xlabel("hour of the day")
        axis.axvline((begin - zero) / 3600.0, color="#999999", ls="--", lw=1)
        axis.legend(fontsize=8, frameon=False)
    table = board("Balances of all lines", *span)
    cells = [[r["line"][:58], *(_cell(r[k]) for k in ("last_hour", "before", "change", "change in spreads"))]
             for r in table]  # fmt: skip
    axes[0, 1].axis("off")
    axes[0, 1].set_title("Balances of all lines, kg/s", loc="left", fontsize=11)
    grid = axes[0, 1].table(
        cells, colLabels=["line", "last hour", "before", "change", "in spreads"], loc="upper left", cellLoc="right",
        colWidths=[0.56, 0.11, 0.11, 0.11, 0.11],
    )  # fmt: skip
    grid.auto_set_font_size(value=False)
    grid.set_fontsize(7.5)
    for (_, column), cell in grid.get_celld().items():
        cell.set_edgecolor("#dddddd")
        if column == 0:
            cell.set_text_props(ha="left")
    said = "What the board's queries return, drawn by matplotlib, not by Grafana. Dashed: the leak begins"
    figure.suptitle(said, fontsize=9, color="#777777")
    figure.savefig(pictures / "board.png", dpi=100)
    plt.close(figure)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


# --------------------------------------------------------------------------------------------------------------- main


def main() -> int:
    """Run both and print."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--json", action="store_true", help="a JSON line for each figure")
    ask.add_argument("--pictures", type=Path, help="folder for pictures of page and board")
    ask.add_argument("--page", type=Path, default=PAGE, help="the built page, where it is not that of the package")
    given = ask.parse_args()
    server = LocalPostgres()
    try:
        made = incident(server)
        with opened(made, given.page) as room:
            rows = compared(made, room, given.pictures)
    finally:
        server.stop()
    for row in rows:
        print(json.dumps(row, ensure_ascii=False) if given.json else f"{row['figure']!s:>10}  {row['work']}")
    return 0 if all(row.get("holds", True) for row in rows) else 1


def compared(made: Incident, room: Lived, pictures: Path | None) -> list[dict]:
    """Return the rows of both sides."""
    recording = made.recording
    (leak,) = (label for label in recording.truth.labels if label.kind == "leak")
    begin, pipe = recording.start + leak.begin, leak.where[0]
    per_day = DAY / recording.network.gas.standard_density / 1e6  # of 1 kg/s in million m3
    if not made.told:
        return [{"work": "the leak raises an alarm", "figure": None, "holds": False}]
    keys, alarm, cause = by_page(room, pictures)
    finding = next(f for f in made.twin._diagnosis(made.now[0])["findings"] if f["kind"].startswith("leak"))
    places = [f["where"] for f in made.twin._diagnosis(made.now[0])["findings"]]
    _, pipes = lines(sr.read("turkmenistan"))
    line = next(name for name, mine in pipes.items() if pipe in mine)
    board = Board(made.server, line)
    end = made.now[0]
    table = board("Balances of all lines", end - 6 * 3600.0, end)
    rank, mine = next((k, r) for k, r in enumerate(table, start=1) if r["line"] == line)
    fired = rule(board, made, begin)
    clean = (begin - recording.start) / 3600.0 - 6.0
    if pictures is not None:
        drawn(board, made, begin, pictures)
    named = pipe in alarm and bool(re.search(re.escape(pipe), cause))
    return [
        {"work": "page: from the leak to the alarm [min]", "figure": round((made.told[0] - begin) / 60.0, 1),
         "alarm": alarm.splitlines()[1:3], "findings": places},
        {"work": "page: keys from the overview to pipe, place and size", "figure": keys, "bar": 3,
         "holds": named and keys <= 3, "pipe": finding["where"], "place": finding["place"],
         "true_place": recording.scenario.leaks[0].fraction, "size": finding["size"], "sigma": finding["sigma"],
         "true_size": round(leak.size * per_day, 3), "probability": finding["probability"]},
        {"work": "Grafana: steps of its documentation from the notification to line and size", "figure": len(STEPS),
         "steps": [what for what, _ in STEPS], "pipes_of_the_line": len(pipes[line])},
        {"work": "Grafana: rank of the leaking line among all by its balance", "figure": rank, "of": len(table),
         "change_kg_s": round(mine["change"], 2), "change_in_spreads": round(mine["change in spreads"], 2),
         "leak_kg_s": round(float(leak.size), 2), "first": table[0]["line"]},
        *({"work": f"Grafana: rule at {s:g} spreads, its alarms in the {clean:g} h before the leak", "figure": n,
           "hours_from_leak_to_alarm_of_its_line": None if first is None else round(first, 2)}
          for s, (n, first) in fired.items()),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
