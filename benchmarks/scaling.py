# SPDX-License-Identifier: Apache-2.0
"""Cost of a scenario against the size of a gas network, on one thread and on two, with a fitted exponent.

Networks as in `gas_batch`, 40 to 12,800 nodes; 256 scenarios each, withdrawals 10 % (1 sigma), warm from the base
solution, end to end. The exponent k of cost = c n^k is fitted over all sizes.

    python benchmarks/scaling.py [--json] [--largest 12800]

Exit status 1 when a scenario does not converge or the exponent is above 1.3.
"""

import argparse
import json
import os
import sys
import warnings

import numpy as np
from gas_batch import best, draw

from serai.network.from_pandapipes import from_pandapipes
from serai.simulate.steady import Run
from serai.system import System, override
from serai.system.batch import CONVERGED, Batch

SIZES, SCENARIOS, MOST = (40, 150, 600, 2400, 6000, 12800), 256, 1.3


def measure(nodes):
    """Return seconds a scenario on one thread and on two, mean steps, and whether all converged."""
    converted = from_pandapipes(draw(nodes, loops=max(2, nodes // 15)))
    network = getattr(converted, "network", converted)
    system = System(network, override(network, network.knowns(None), ()))
    run = Run(system)
    base = run.solve(cold=True).x
    c = system.equations.columns
    w = c["withdrawal"]
    columns = np.array([k for k in range(w.first, w.first + len(w)) if k in run.closed.fixed and base[k] != 0.0])
    values = base[columns] * (1.0 + 0.1 * np.random.default_rng(0).standard_normal((SCENARIOS, columns.size)))
    wanted = np.r_[c["pressure"][:], c["flow"][:]]
    seconds = []
    for threads in (1, 2):
        batch = Batch(run.closed, base, threads=threads)
        answer = batch.solve(columns, values, wanted)
        seconds.append(best(lambda b=batch: b.solve(columns, values, wanted), 4) / SCENARIOS)
    return seconds, float(answer.iterations.mean()), bool((answer.status == CONVERGED).all())


def main():
    """Measure all sizes and fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON for each size")
    parser.add_argument("--largest", type=int, default=SIZES[-1])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    sizes = [n for n in SIZES if n <= arguments.largest]
    found, ok = [], True
    for nodes in sizes:
        seconds, steps, fine = measure(nodes)
        found.append(seconds)
        ok = ok and fine
        row = {"work": f"steady gas, {nodes} nodes, {SCENARIOS} scenarios", "nodes": nodes, "one_thread_s": seconds[0],
               "two_threads_s": seconds[1], "ratio": seconds[0] / seconds[1], "steps": steps, "agree": fine,
               "cores": os.cpu_count()}  # fmt: skip
        text = (
            f"{nodes:6d} nodes: {seconds[0] * 1e6:8.1f} us, two threads {seconds[1] * 1e6:8.1f} us, {steps:.1f} steps"
        )
        print(json.dumps(row) if arguments.json else text, flush=True)
    exponent = [float(np.polyfit(np.log(sizes), np.log([f[k] for f in found]), 1)[0]) for k in (0, 1)]
    ok = ok and max(exponent) <= MOST
    last = {"work": "cost = c nodes^k", "one_thread": exponent[0], "two_threads": exponent[1], "wanted": MOST}
    print(json.dumps(last) if arguments.json else f"exponent {exponent[0]:.2f}, two threads {exponent[1]:.2f}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
