# SPDX-License-Identifier: Apache-2.0
"""Random tables with injected faults: is a wrong number ever marked converged?

Set-points, supplies and withdrawals of a gas and of a coupled network differ by 10 % (1 sigma); a quarter of the rows
gets one value that is missing, infinite, of the wrong sign, or far too large. Every answer is judged by the independent
certificate, not only the worst of a table as in an ensemble.

    python benchmarks/gas_faults.py [--json] [--scenarios 10000]

Exit status 1 when an answer does not hold.
"""

import argparse
import json
import sys

import numpy as np

import serai as sr
from serai.simulate.batched import SOLVED, Prepared, _Job
from serai.simulate.certificate import certify, worst
from serai.simulate.steady import ACCEPTED

QUANTITIES = ("withdrawal", "active_power", "supply", "outlet_pressure", "ratio", "pressure")
KINDS = ("offtakes", "loads", "supplies", "compressors")
FAULTS = (np.nan, np.inf, 0.0, -1.0, 5.0, 50.0, 1e6, 1e-6, -1e3)  # times the value
ROWS = 64


def main():
    """Inject, solve, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON for each network")
    parser.add_argument("--scenarios", type=int, default=10_000, help="over both networks")
    arguments = parser.parse_args()
    random = np.random.default_rng(5)
    wrong = 0
    for name in ("loop_with_station", "turkmenistan"):
        network = sr.read(name)
        knowns = [k for k in network.knowns(None) if k.quantity in QUANTITIES and k.value != 0.0]
        knowns = [k for k in knowns if network.kind_of(k.where) in KINDS]
        base = np.array([k.value for k in knowns])
        prepared = Prepared(network, [(k.quantity, k.where) for k in knowns], base)
        row = {"work": f"faults in {name}", "scenarios": 0, "converged": 0, "wrong": 0, "largest": 0.0}
        for _ in range(-(-arguments.scenarios // (2 * ROWS))):
            table = base * (1.0 + 0.1 * random.standard_normal((ROWS, base.size)))
            for s in range(0, ROWS, 4):
                table[s, random.integers(base.size)] *= random.choice(FAULTS)
            job = _Job(prepared, table)
            job.run()
            row["scenarios"] += ROWS
            for s in np.flatnonzero(job.status == SOLVED):
                row["converged"] += 1
                if int(s) in job.alone:  # `steady` has certified it
                    continue
                mismatch, _ = worst(certify(job.system, job.X[s]))
                row["wrong"] += not mismatch <= ACCEPTED
                row["largest"] = max(row["largest"], mismatch)
        wrong += row["wrong"]
        print(json.dumps(row) if arguments.json else row, flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
