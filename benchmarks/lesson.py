# SPDX-License-Identifier: Apache-2.0
"""Learn the lesson that comes with the bundled country, from clean days of several of its fields.

    python benchmarks/lesson.py --write src/serai/cases/turkmenistan/lesson.json [--jobs 2] [--hours 36]

Every field has pipes, meters and customers of its own, none of them those of the model, and starts and stops its
stations every day. The seeds are those of no scenario (101 to 109) and of no test; what holds on them is measured on
those by clean_week.py and course.py.
"""

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import serai as sr
from serai import field
from serai.diagnose.teach import gather, learn_fields
from serai.field import read_scenario

SEEDS = (2001, 2002, 2003, 2004)
DAY = 86400.0
SETTLED = 120  # scans of a minute


def clean(net, seed, hours):
    """Return a recording of clean days whose ordinary operations come back every day."""
    found = read_scenario("clean", net)
    every = [replace(o, time=o.time + DAY * d) for d in range(int(hours // 24) + 1) for o in found.operations]
    operations = tuple(o for o in every if o.time < 3600.0 * hours)
    return field.readings(net, replace(found, seed=seed, hours=hours, operations=operations), scan=60.0, step="60s")


def one(given):
    """Return what the clean days of one field say."""
    seed, hours = given
    recording = clean(sr.read("turkmenistan"), seed, hours)
    return gather(recording.network, recording, settled=SETTLED, hour=0.0, shown=recording.shown(0.0))


def main():
    """Learn and write."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--write", required=True, help="file of the lesson")
    ask.add_argument("--hours", type=float, default=36.0, help="of each field")
    ask.add_argument("--jobs", type=int, default=2, help="processes")
    ask.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="of the fields")
    given = ask.parse_args()
    begun = time.perf_counter()
    with ProcessPoolExecutor(given.jobs) as pool:
        fields = list(pool.map(one, [(seed, given.hours) for seed in given.seeds]))
    net = sr.read("turkmenistan")
    about = (
        f"Limits of clean days: {len(fields)} simulated fields of {given.hours:g} h with starts and stops, seeds "
        f"{', '.join(map(str, given.seeds))}; benchmarks/lesson.py"
    )
    lesson = learn_fields(net, fields, settled=SETTLED, about=about, hour=0.0)
    file = lesson.write(given.write)
    level = lesson.gas.level(0.05) if lesson.gas else None
    print(json.dumps({"work": about, "figure": round(file.stat().st_size / 1e3), "unit": "kB", "level": level,
                      "days": lesson.days, "took_s": round(time.perf_counter() - begun)}))  # fmt: skip


if __name__ == "__main__":
    main()
