# SPDX-License-Identifier: Apache-2.0
"""Diagnosis over time on the field's bundled scenarios: told or not, when, where, how large; clean days beside.

    python benchmarks/course.py [--json] [--short] [--clean-days 7]

Two clean days of the country (its pipes, gas and customers not those of the model, starts and stops every day) are
learned from; then each scenario is the third day of the same field: the same meters, noise that goes on. Rows: the leak
of 2 % within its hour, as one incident, with place and size; readings played again as forged and not as a leak; a
stealth forgery, a command nobody gave, a theft; no incident on clean days. `--short`: the leak and one clean day.
Exit status 1 when a bar is missed.
"""

import argparse
import itertools
import json
import sys
import time
from dataclasses import replace

import numpy as np

import serai as sr
from serai import field
from serai.diagnose.course import Course
from serai.diagnose.teach import learn
from serai.field import read_scenario

DAY, LEARNED = 86400.0, 2
SEED, OTHER = 102, 1102  # of the field; of another field on which nothing was tuned
KINDS = {"leak_2_percent": "leak", "forged_replay": "forged", "forged_stealth": "forged", "theft": "leak or theft",
         "command_nobody_gave": "command"}  # fmt: skip


def third_day(net, name, seed, days=1):
    """Return a scenario that begins after two clean days; ordinary starts and stops happen every day."""
    s = read_scenario(name, net)

    def later(rows):
        moved = []
        for x in rows:
            change = {a: getattr(x, a) + LEARNED * DAY for a in ("begin", "end", "time") if hasattr(x, a)}
            moved.append(replace(x, **change))
        return tuple(moved)

    ordinary = read_scenario("clean", net).operations
    daily = [replace(o, time=o.time + d * DAY) for d in range(LEARNED + days) for o in ordinary]
    own = [o for o in later(s.operations) if not o.logged]
    return replace(
        s, seed=seed, hours=24.0 * (LEARNED + days), operations=tuple(sorted([*daily, *own], key=lambda o: o.time)),
        leaks=later(s.leaks), thefts=later(s.thefts), meter_faults=later(s.meter_faults), statuses=later(s.statuses),
        forgeries=later(s.forgeries), silences=later(s.silences),
    )  # fmt: skip


class Clean:
    """The first days of a recording, with what is shown then."""

    def __init__(self, recording):
        self.start, self.shown, self._of = recording.start, recording.shown, recording

    def __iter__(self):
        return itertools.islice(iter(self._of), LEARNED * 1440)


def follow(net, recording, lesson):
    """Run the course over what comes after the clean days; return it and every incident as it was first told."""
    course = Course(net, lesson=lesson, hour=0.0, shown=recording.shown(LEARNED * DAY))
    first, cost = {}, []
    for k, batch in enumerate(recording):
        if k < LEARNED * 1440:
            continue
        begun = time.perf_counter()
        now = course.scan(batch, shown=recording.shown(60.0 * max(0, k - 1)))
        cost.append(time.perf_counter() - begun)
        for x in now:
            first.setdefault(x.number, x)
    return course, list(first.values()), np.array(cost)


def row(work, figure, bar, holds, **more):
    return {"work": work, "figure": figure, "bar": bar, "holds": bool(holds), **more}


def of_leak(net, recording, course, told):
    leak = recording.scenario.leaks[0]
    size = next(x.size for x in recording.truth.labels if x.kind == "leak")
    begun = recording.start + leak.begin
    mine = [x for x in told if x.pipe == leak.pipe or leak.pipe in x.where]
    others = [x for x in told if x not in mine]
    delay = (mine[0].told - begun) / 60.0 if mine else None
    hour = next((x for x in (*course.incidents, *course.closed) if x.pipe == leak.pipe), None)
    out = [row("leak of 2 %: told after [min]", delay, 60, delay is not None and delay <= 60,
               said=str(mine[0]) if mine else "")]  # fmt: skip
    out.append(row("leak of 2 %: incidents", len(mine), 1, len(mine) == 1))
    out.append(row("leak of 2 %: incidents beside it", len(others), 0, not others, said=[str(x) for x in others]))
    if hour is not None:
        error = abs(hour.size / size - 1.0)
        out.append(row("leak of 2 %: size error at the end of the day", error, 0.2, error <= 0.2))
        place = abs(hour.share - leak.fraction)
        out.append(row("leak of 2 %: place error at the end of the day", place, 0.05, place <= 0.05,
                       bound=1.645 * hour.share_sigma))  # fmt: skip
    return out


def of_other(name, recording, told):
    """Return whether the kind is told after it began, and nothing before."""
    labels = [x for x in recording.truth.labels if x.kind != "status"]
    begun = recording.start + min(x.begin for x in labels)
    wanted = KINDS[name]
    right = [x for x in told if x.kind == wanted or any(k == wanted for k, _ in x.suspects)]
    before = [x for x in told if x.told < begun]
    delay = (right[0].told - begun) / 60.0 if right else None
    return [
        row(f"{name}: {wanted} told after [min]", delay, None, right, said=[str(x)[:300] for x in told]),
        row(f"{name}: incidents before it began", len(before), 0, not before),
    ]


def main():
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON for each row")
    parser.add_argument("--short", action="store_true", help="the leak and one clean day")
    parser.add_argument("--clean-days", type=int, default=7, help="clean days after those that are learned from")
    parser.add_argument("--seed", type=int, default=OTHER, help="of the field")
    arguments = parser.parse_args()
    net, ok = sr.read("turkmenistan"), True

    def show(rows):
        nonlocal ok
        for r in rows:
            ok = ok and r["holds"]
            text = json.dumps(r) if arguments.json else f"{'holds ' if r['holds'] else 'SHORT '}{r}"
            print(text, flush=True)

    days = 1 if arguments.short else arguments.clean_days
    clean = field.readings(net, third_day(net, "clean", arguments.seed, days), scan=60.0)
    net = clean.network
    lesson = learn(net, Clean(clean), hour=0.0, shown=clean.shown(0.0))
    for name in ["leak_2_percent"] if arguments.short else list(KINDS):
        recording = field.readings(net, third_day(net, name, arguments.seed), scan=60.0)
        course, told, _ = follow(net, recording, lesson)
        if name == "leak_2_percent":
            show(of_leak(net, recording, course, told))
        else:
            show(of_other(name, recording, told))
    course, told, cost = follow(net, clean, lesson)
    show([
        row(f"incidents on {days} clean days", len(told), 0, not told, said=[str(x)[:300] for x in told]),
        row("cost of a minute of readings, median [s]", float(np.median(cost)), 0.25, np.median(cost) <= 0.25,
            p99=float(np.quantile(cost, 0.99))),
    ])  # fmt: skip
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
