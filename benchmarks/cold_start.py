# SPDX-License-Identifier: Apache-2.0
"""The first call on a fresh machine, compilation and all, and the same call in a second process.

Three pieces of work, each alone in a new process with empty caches: a steady state of a gas network with a station, a
power flow of MATPOWER's case118, and an ensemble of 1,024 load scenarios of it. A process is timed from before
`import serai` to the answer in hand, without the start of Python itself. The second process finds the caches of the
first. The answer of the second must be that of the first.

    python benchmarks/cold_start.py [--json]

Exit status 1 when a first call takes over 15 s, a second over 2 s, or answers differ.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

FIRST, SECOND = 15.0, 2.0  # seconds
TESTS = str(Path(__file__).resolve().parents[1] / "tests")

BEGIN = """
import json, sys, time
wall, cpu = time.perf_counter(), time.process_time()
sys.path.insert(0, {tests!r})
import serai as sr
imported = time.perf_counter() - wall
"""
END = """
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu, imported, float(answer)]))
"""
WORK = {
    "steady gas, a loop with a station": """
answer = sr.steady(sr.read("loop_with_station")).pressure.values.sum()
""",
    "steady gas and grid of Turkmenistan": """
answer = sr.steady(sr.read("turkmenistan")).linepack_total
""",
    "power flow of case118": """
from power.pandapower_arrays import file_of
answer = sr.steady(sr.read(file_of("case118"))).angle.values.sum()
""",
    "ensemble of case118, 1,024 load scenarios": """
import numpy as np
from power.pandapower_arrays import file_of
network = sr.read(file_of("case118"))
loads = [k for k in network.knowns() if network.kind_of(k.where) == "loads"]
draw = np.random.default_rng(0)
table = {(k.quantity, k.where): k.value * (1.0 + 0.1 * draw.standard_normal(1024)) for k in loads}
result = sr.ensemble(network, table)
assert not result.failed
answer = result.angle.values.sum()
""",
}


def run(work, folder):
    """Run a piece of work in a new process with these caches: seconds, processor seconds, of the import, answer."""
    environment = dict(os.environ, SERAI_CACHE=str(folder / "serai"), NUMBA_CACHE_DIR=str(folder / "numba"))
    text = BEGIN.format(tests=TESTS) + work + END
    done = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def rows(name):
    """Yield a row for the first process and one for the second."""
    with tempfile.TemporaryDirectory() as folder:
        first, second = (run(WORK[name], Path(folder)) for _ in range(2))
    same = abs(first[3] - second[3]) <= 1e-9 * abs(first[3])
    for which, found, bar in (("first call, with compilation", first, FIRST), ("second process", second, SECOND)):
        yield {
            "work": f"{name}: {which}", "figure": found[0], "bar": bar, "holds": same and found[0] <= bar,
            "processor_s": found[1], "import_s": found[2], "agree": same, "cores": os.cpu_count(),
        }  # fmt: skip


def main():
    """Print a row a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON for each row")
    arguments = parser.parse_args()
    good = True
    for name in WORK:
        for row in rows(name):
            good &= row["holds"]
            text = f"{row['work']:75} {row['figure']:6.2f} s (at most {row['bar']:.0f})"
            print(json.dumps(row) if arguments.json else text, flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
