# SPDX-License-Identifier: Apache-2.0
"""Cost of a scenario against the size of a network, on one thread and on two, with a fitted exponent.

Gas networks as in `gas_batch`, 40 to 13,659 nodes, and MATPOWER's grids, 39 to 13,659 buses; 256 scenarios each,
withdrawals or loads 10 % (1 sigma), warm from the base solution. The exponent k of cost = c n^k is fitted over all
sizes of a kind.

    python benchmarks/scaling.py [--json] [--short] [--only gas|power]

Exit status 1 when a scenario does not converge or an exponent is above 1.3.
"""

import argparse
import json
import os
import sys
import warnings
from functools import partial

import numpy as np
import peers_grid  # noqa: F401 - finds the tests' reader of MATPOWER files
from gas_batch import best, draw

import serai as sr
from power.pandapower_arrays import file_of
from serai.network.from_pandapipes import from_pandapipes
from serai.simulate.steady import Run
from serai.system import System, override
from serai.system.ac_batch import AcBatch
from serai.system.ac_lanes import CONVERGED as SOLVED
from serai.system.batch import CONVERGED, Batch

GAS = (40, 150, 600, 2400, 6000, 13659)
GRIDS = ("case39", "case118", "case300", "case1354pegase", "case2869pegase", "case9241pegase", "case13659pegase")
SCENARIOS, SPREAD, MOST, SHORT = 256, 0.1, 1.3, 3000


def gas(nodes):
    """Return seconds a scenario on one thread and on two, mean steps, and whether all converged."""
    converted = from_pandapipes(draw(nodes, loops=max(2, nodes // 15)))
    network = getattr(converted, "network", converted)
    system = System(network, override(network, network.knowns(None), ()))
    run = Run(system)
    base = run.solve(cold=True).x
    c = system.equations.columns
    w = c["withdrawal"]
    columns = np.array([k for k in range(w.first, w.first + len(w)) if k in run.closed.fixed and base[k] != 0.0])
    values = base[columns] * (1.0 + SPREAD * np.random.default_rng(0).standard_normal((SCENARIOS, columns.size)))
    wanted = np.r_[c["pressure"][:], c["flow"][:]]
    seconds = []
    for threads in (1, 2):
        batch = Batch(run.closed, base, threads=threads)
        answer = batch.solve(columns, values, wanted)
        seconds.append(best(lambda b=batch: b.solve(columns, values, wanted), 4) / SCENARIOS)
    return seconds, float(answer.iterations.mean()), bool((answer.status == CONVERGED).all())


def power(case):
    """Return the same of a grid, and its number of buses and the workspace of two threads [byte]."""
    network = sr.read(file_of(case))
    prepared = sr.Ensemble(network, q_limits=False)
    known = [k for k in network.knowns() if network.kind_of(k.where) == "loads"]
    values = np.array([k.value for k in known])
    values = values * (1.0 + SPREAD * np.random.default_rng(0).standard_normal((SCENARIOS, values.size)))
    layout = prepared._grid.layout
    table = layout.plan(tuple((k.quantity, k.where) for k in known)).table(values)
    seconds = []
    for threads in (1, 2):
        batch = AcBatch(layout, threads=threads)
        answers = batch.solve(table, SCENARIOS, tolerance=1e-8)
        again = partial(batch.solve, table, SCENARIOS, tolerance=1e-8, into=answers)
        seconds.append(best(again, 4) / SCENARIOS)
    good = bool((answers.state == SOLVED).all())
    return seconds, float(answers.steps.mean()), good, len(network["buses"].names), batch.workspace()


def show(row, text, *, as_json):
    """Print a row."""
    print(json.dumps(row) if as_json else text, flush=True)


def measured(kind, sizes, as_json):
    """Measure all sizes of a kind and fit; return whether all is well."""
    nodes, found, good = [], [], True
    for size in sizes:
        if kind == "gas":
            (seconds, steps, fine), n, memory = gas(size), size, None
        else:
            seconds, steps, fine, n, memory = power(size)
        nodes.append(n)
        found.append(seconds)
        good &= fine
        row = {
            "work": f"steady {kind}, {n} nodes, {SCENARIOS} scenarios", "nodes": n, "one_thread_s": seconds[0],
            "two_threads_s": seconds[1], "ratio": seconds[0] / seconds[1], "steps": steps, "agree": fine,
            "cores": os.cpu_count(),
        }  # fmt: skip
        row |= {} if memory is None else {"workspace_MB": memory / 1e6}
        times = f"{seconds[0] * 1e6:9.1f} us, two threads {seconds[1] * 1e6:9.1f} us"
        show(row, f"{kind:5} {n:6d} nodes: {times}, {steps:.1f} steps", as_json=as_json)
    for k, threads in enumerate(("one thread", "two threads")):
        exponent = float(np.polyfit(np.log(nodes), np.log([f[k] for f in found]), 1)[0])
        row = {"work": f"steady {kind}, {threads}: exponent k of cost = c nodes^k", "figure": exponent, "bar": MOST,
               "holds": exponent <= MOST}  # fmt: skip
        good &= row["holds"]
        show(row, f"{kind:5} {threads}: exponent {exponent:.2f} (at most {MOST})", as_json=as_json)
    return good


def main():
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON for each size")
    parser.add_argument("--short", action="store_true", help=f"networks up to {SHORT} nodes")
    parser.add_argument("--only", choices=("gas", "power"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    last = 5 if arguments.short else None
    good = True
    if arguments.only != "power":
        good &= measured("gas", [n for n in GAS if not last or n <= SHORT], arguments.json)
    if arguments.only != "gas":
        good &= measured("power", GRIDS[:last], arguments.json)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
