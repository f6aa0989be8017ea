# SPDX-License-Identifier: Apache-2.0
"""A million scenarios of GasLib-582 in bounded memory: killed in the middle, taken up again, every part checked.

Flows of the nomination differ by 2 % (1 sigma); set-points are those of `tests/cases/gaslib`. Tables are drawn part by
part, pressures of all nodes go to disk part by part. The first process is killed (signal 9) when it has written a few
parts; a second one goes on. Then parts from both processes are solved again, in this process, and must be equal to what
is on disk. Memory is the resident set of the second process after its first parts, and its peak.

    python benchmarks/ensemble_memory.py [--json] [--short] [--data DATA] [--folder FOLDER]

--short solves 50,000. The disk needs 5 GB for a million. Exit status 1 when a part differs, a scenario is missing or
the memory grows.
"""

import argparse
import csv
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import serai as sr
from serai import Known

SI = {"bara": 1e5, "bar": 1e5, "": 1.0}
SETPOINTS = Path(__file__).parents[1] / "tests" / "cases" / "gaslib" / "GasLib-582-setpoints.csv"
CHUNK, SPREAD = 8192, 0.02
GROWTH = 1.15  # peak over what the first parts took


def case(data):
    """Return network, Knowns of all scenarios, columns and their values."""
    with SETPOINTS.open(encoding="utf-8") as file:
        knowns = [Known(r["quantity"], r["where"], float(r["value"]) * SI[r["unit"]]) for r in csv.DictReader(file)]
    network = sr.read(data / "gas" / "gaslib" / "GasLib-582.net")
    swings = {k.where for k in knowns if k.quantity == "pressure"}
    flows = [
        k for k in network.knowns() if k.quantity in ("supply", "withdrawal") and k.value and k.where not in swings
    ]
    return network, knowns, [(k.quantity, k.where) for k in flows], np.array([k.value for k in flows])


def table(columns, values, number, count):
    """Return part `number` of the scenarios, at most `count` of them."""
    drawn = np.random.default_rng(number).standard_normal((min(CHUNK, count - number * CHUNK), values.size))
    return columns, values * (1.0 + SPREAD * drawn)


def worker(arguments):
    """Solve all parts that are not there; print memory [MB] after each, then a summary."""
    network, knowns, columns, values = case(arguments.data)

    def tables():
        for number in range(-(-arguments.scenarios // CHUNK)):
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)
            yield table(columns, values, number, arguments.scenarios)

    found = sr.ensemble(
        network, tables(), knowns=knowns, outputs=("pressure",), to=arguments.folder, chunk=CHUNK
    )  # fmt: skip
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    solved = int((found.dataset["status"].values == "solved").sum())
    print(json.dumps({"scenarios": found.dataset.sizes["scenario"], "solved": solved}))
    return 0


def check(arguments, folder, numbers):
    """Return the largest difference of parts on disk from the same solved here [Pa], and whether statuses agree."""
    import xarray as xr

    network, knowns, columns, values = case(arguments.data)
    worst, same = 0.0, True
    for number in numbers:
        mine = sr.ensemble(
            network, table(columns, values, number, arguments.scenarios), knowns=knowns, outputs=("pressure",)
        )  # fmt: skip
        with xr.open_dataset(folder / f"part-{number:06}.nc", engine="h5netcdf") as part:
            same = same and bool((part["status"].values == mine.dataset["status"].values).all())
            both = np.nan_to_num(part["pressure"].values), np.nan_to_num(mine.dataset["pressure"].values)
            worst = max(worst, float(np.abs(both[0] - both[1]).max()))
    return worst, same


def main():
    """Start, kill, go on, check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON for each figure")
    parser.add_argument("--short", action="store_true", help="50,000 scenarios")
    parser.add_argument("--scenarios", type=int, default=0, help="not given = a million")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SERAI_DATA", "../shared/data")))
    parser.add_argument("--folder", type=Path, help="of the parts; not given = a temporary one")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.scenarios = arguments.scenarios or (50_000 if arguments.short else 1_000_000)
    if arguments.worker:
        return worker(arguments)
    with tempfile.TemporaryDirectory() as own:
        folder = arguments.folder or Path(own)
        command = [sys.executable, __file__, "--worker", "--scenarios", str(arguments.scenarios)]
        command += ["--data", str(arguments.data), "--folder", str(folder)]
        begin = time.perf_counter()
        first = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while first.poll() is None and len(list(folder.glob("part-*.nc"))) < 3:
            time.sleep(0.05)
        first.send_signal(signal.SIGKILL)
        first.wait()
        whole = len(list(folder.glob("part-*.nc")))
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        seconds = time.perf_counter() - begin
        memory, summary = [float(x) for x in lines[:-1]], json.loads(lines[-1])
        last = len(memory) - 2
        worst, same = check(arguments, folder, sorted({0, whole - 1, whole, last}))
        size = sum(f.stat().st_size for f in folder.glob("part-*.nc")) / 1e9
    early = memory[min(whole + 4, last)]
    count = arguments.scenarios
    rows = [
        ("scenarios of GasLib-582 solved", summary["solved"], f"{count}", summary["solved"] >= 0.999 * count),
        ("scenarios there", summary["scenarios"], f"{count}", summary["scenarios"] == count),
        ("parts solved again, largest difference [Pa]", worst, "1e-3", same and worst <= 1e-3),
        ("peak memory over that after five parts", memory[-1] / early, f"{GROWTH}", memory[-1] <= GROWTH * early),
        ("peak memory [MB]", round(memory[-1]), "", True),
        ("seconds in all, killed once", round(seconds, 1), "", True),
        ("parts on disk [GB]", round(size, 2), "", True),
    ]
    for work, figure, bar, holds in rows:
        row = {"work": f"{count} scenarios: {work}", "figure": figure, "bar": bar, "holds": bool(holds)}
        print(json.dumps(row) if arguments.json else f"{work}: {figure} {f'(wanted {bar})' if bar else ''}", flush=True)
    return 0 if all(holds for *_, holds in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
