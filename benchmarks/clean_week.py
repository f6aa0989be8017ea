# SPDX-License-Identifier: Apache-2.0
"""What the twin says over a clean simulated week, and over the seeded scenarios of the bundled country.

    python benchmarks/clean_week.py --json            a week, and all scenarios
    python benchmarks/clean_week.py --json --short    a day and a half, the leak and the forged replay

All 837 instruments, read once a minute; the truth is not the model (finer cells, other pipes, a warmer and heavier gas,
biased meters, customers who wander) and starts and stops its stations as on an ordinary day, which the log of commands
says. Everything runs through the whole twin (checks, estimate, diagnosis, alarms), on simulated time. An alarm that a
limit is reached is no false one if the truth is beyond the limit; alarms of diagnosis in a clean week are. In a
scenario the diagnosis may tell nothing but what it is about (beside meters at odds with it). How far a run has come and
every alarm go to the standard error output.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import replace

import serai as sr
from serai import field
from serai.diagnose.course import Course
from serai.field import read_scenario
from serai.telemetry.points import points
from serai.telemetry.quality import Checks, Limits
from serai.telemetry.readings import Quality
from serai.twin.loop import Loop, Settings
from serai.twin.twin import Around, Twin

DAY = 24.0
SETTLE = 600  # scans of a minute before gas is judged in scenarios that begin at midnight
SCENARIOS = {  # name -> (hour until which it runs, what must be told, at the latest so many hours after its begin)
    "leak_2_percent": (16.0, "diagnosis.loss", 2.0), "forged_replay": (17.5, "diagnosis.forged", 0.5),
    "leak_hole": (13.0, "diagnosis.loss", 1.0), "theft": (24.0, "diagnosis.loss", 12.0),
    "command_nobody_gave": (13.0, "diagnosis.command", 0.5), "forged_stealth": (14.0, "diagnosis.forged", 0.5),
}  # fmt: skip
SHORT = ("leak_2_percent", "forged_replay")


def scenario_of(net, name: str, hours: float):
    """Return a scenario; the ordinary operations of `clean` come back every day."""
    found = replace(read_scenario(name, net), hours=hours)
    days = range(int(hours // DAY) + 1)
    if name == "clean":
        every = [replace(o, time=o.time + 86400.0 * d) for d in days for o in found.operations]
        found = replace(found, operations=tuple(o for o in every if o.time < 3600.0 * hours))
    return found


def run(net, scenario, settled: int | None):
    """Return every alarm that was told as (hour, key, text), the recording, and the time it took [s]."""
    recording = field.readings(net, scenario, scan=60.0, step="60s")
    network = recording.network
    course = Course(network, hour=scenario.start_hour, settled=settled)
    register = recording.meters().register
    checks = Checks(points(network), register, Limits(off=Quality.STALE | Quality.CLOCK_SKEW))
    loop = Loop(network, register, course, settings=Settings(60.0, inline=True))
    loop.shown = lambda now: recording.shown(now - recording.start)
    now, found = [recording.start], []
    twin = Twin(loop, Around(now=lambda: now[0]))
    tell = twin.tell

    def heard(kind, data):
        if kind == "alarm" and data["state"] == "unacknowledged":
            found.append(((now[0] - recording.start) / 3600.0, data["key"], data["text"]))
            print(f"{scenario.name}: {found[-1][0]:.2f} h {data['key']} {data['text']}", file=sys.stderr, flush=True)
        tell(kind, data)

    twin.tell = heard
    begun = time.perf_counter()

    async def all_of_it():
        for k, batch in enumerate(recording, start=1):
            loop.take(checks.check(batch))
            now[0] = recording.start + 60.0 * k
            await twin.beat(now[0])
            if k % 360 == 0:
                spent = time.perf_counter() - begun
                print(
                    f"{scenario.name}: {k / 60:g} h of {scenario.hours:g} in {spent:.0f} s", file=sys.stderr, flush=True
                )
        await twin.close()

    asyncio.run(all_of_it())
    return found, recording, time.perf_counter() - begun, course


def beyond(recording, text: str) -> bool:
    """Tell whether the truth came near the limit of the element, or out of the range of the meter, of an alarm."""
    named = text.partition(":")[0]
    path, place = recording.truth.path.values, {tag: k for k, tag in enumerate(recording.truth.tags)}
    nodes, meters = recording.network["gas_nodes"], recording.network["instruments"]
    if named in nodes and f"{named} PT" in place:
        return bool((path[:, place[f"{named} PT"]] > nodes["pressure_max"][nodes.row(named)] - 1e5).any())
    if named in place and "overflow" in text:
        return bool((path[:, place[named]] > meters["range_max"][meters.row(named)]).any())
    return False


def show(rows, *, as_json: bool) -> bool:
    """Print rows; return whether all hold."""
    for row in rows:
        plain = f"{row['figure']!s:>8}  {row['work']}  (bar {row['bar']})"
        print(json.dumps(row, ensure_ascii=False) if as_json else plain, flush=True)
    return all(row["holds"] for row in rows)


def main() -> int:
    """Run and print."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--json", action="store_true", help="a JSON line for each figure")
    ask.add_argument("--short", action="store_true", help="a day and a half, two scenarios")
    ask.add_argument("--hours", type=float, default=None, help="of the clean run, instead of a week")
    ask.add_argument("--only", choices=("clean", *SCENARIOS), help="one of them")
    given = ask.parse_args()
    net, good = sr.read("turkmenistan"), True
    if given.only in (None, "clean"):
        hours = given.hours or (36.0 if given.short else 7.0 * DAY)
        found, recording, took, course = run(net, scenario_of(net, "clean", hours), None)
        wrong = [f for f in found if f[1].startswith("diagnosis.")]
        real = [f for f in found if f not in wrong and beyond(recording, f[2])]
        other = [f for f in found if f not in wrong and f not in real]
        judged = max(0.0, hours - course.watch.settled / 60.0) if course.watch else 0.0
        good &= show([
            {"work": f"clean: {hours:g} h, {judged:g} h of them judged for gas: alarms of diagnosis",
             "figure": len(wrong), "bar": 0, "holds": not wrong, "which": [f"{h:.2f} h {t}" for h, _, t in wrong]},
            {"work": f"clean: {hours:g} h: alarms of limits, data and health that the truth does not bear out",
             "figure": len(other), "bar": 0, "holds": not other, "which": [f"{h:.2f} h {t}" for h, _, t in other],
             "borne_out": [f"{h:.2f} h {t}" for h, _, t in real], "took_s": round(took, 1)},
        ], as_json=given.json)  # fmt: skip
    for name in [given.only] if given.only in SCENARIOS else [] if given.only else SHORT if given.short else SCENARIOS:
        until, key, within = SCENARIOS[name]
        found, recording, took, _ = run(net, scenario_of(net, name, until), SETTLE)
        begin = min(label.begin for label in recording.truth.labels if label.kind != "status") / 3600.0
        mine = [f for f in found if f[1] == key and f[0] >= begin]
        strong = [f for f in found if f[1].startswith("diagnosis.") and f[1] not in (key, "diagnosis.bias")]
        delay = mine[0][0] - begin if mine else float("inf")
        good &= show([{
            "work": f"{name}: told as {key} [h after its begin]", "figure": round(delay, 2) if mine else None,
            "bar": within, "holds": delay <= within and not strong, "alarms_of_it": len(mine),
            "first": mine[0][2] if mine else "", "others": [f"{h:.2f} h {k}: {t}" for h, k, t in strong],
            "took_s": round(took, 1),
        }], as_json=given.json)  # fmt: skip
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
