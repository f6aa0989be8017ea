# SPDX-License-Identifier: Apache-2.0
"""Reactive power limits of MATPOWER's cases: our switched buses beside those of pandapower's `enforce_q_lims`.

    python benchmarks/q_limits.py [--json] [case ...]

The answers of both are compared, and each bus that only one of them has at a limit is listed with the reason. The
table of docs/q-limits.md is this program's output.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import argparse  # noqa: E402 - the thread counts come first
import json  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from power.pandapower_arrays import REFERENCE, file_of, largest_difference, solved, voltages  # noqa: E402
from serai.network import read  # noqa: E402
from serai.simulate.steady import steady  # noqa: E402

CASES = (
    "case14", "case30", "case39", "case57", "case118", "case300", "case_ACTIVSg200", "case_ACTIVSg500",
    "case1354pegase", "case1888rte", "case_ACTIVSg2000", "case2383wp", "case2869pegase", "case3120sp", "case9241pegase",
)  # fmt: skip
NEAR = 1e-6  # Mvar: at a limit; per unit: beside a set-point
FOLLOWS = "a consequence of the others"


def theirs_at_limits(names, arrays):
    """Buses that pandapower leaves at a limit: name -> (side, set-point of the voltage)."""
    found = {}
    for bus, q, high, low, target in arrays["gen"][:, [0, 2, 3, 4, 5]]:
        kind = arrays["bus"][int(bus), 1]
        if kind != REFERENCE and high > low and (q >= high - NEAR or q <= low + NEAR):
            found[names[int(bus)]] = ("upper" if q >= high - NEAR else "lower", target)
    return found


def compared(case):
    """Return one row: counts, the buses that differ with the reason, and the largest difference of voltage."""
    network = read(file_of(case))
    result = steady(network)
    V = voltages(result)
    U, arrays = solved(case, q_limits=True)
    t = network.active("generators")
    ranged = {
        str(b)
        for b, low, high in zip(t["bus"], t["reactive_power_min"], t["reactive_power_max"], strict=True)
        if high > low
    }
    ours = {bus: mode.split(", ")[1] for _, bus, mode in result.modes if bus in ranged}
    theirs = theirs_at_limits(list(U), arrays)
    differ = []
    for bus in sorted(ours.keys() | theirs.keys(), key=lambda name: int(name.split()[1])):
        side, target = theirs.get(bus, ("", np.nan))
        if side == ours.get(bus, ""):
            continue
        off = abs(U[bus]) - target
        wrong = off > NEAR if side == "upper" else off < -NEAR
        differ.append((bus, f"{side} limit with V {off:+.1e} pu from its set-point" if wrong else FOLLOWS))
    worst = largest_difference(V, U)
    return {"case": case, "ours": len(ours), "pandapower": len(theirs), "differ": differ, "worst_dV": worst}


def main():
    """Print one line a case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("cases", nargs="*", default=CASES)
    arguments = parser.parse_args()
    for case in arguments.cases:
        try:
            row = compared(case)
        except AssertionError as error:
            row = {"case": case, "ours": "", "pandapower": str(error), "differ": [], "worst_dV": np.nan}
        if arguments.json:
            print(json.dumps(row))
        else:
            differ = "<br>".join(f"{bus}: {why}" for bus, why in row["differ"]) or "none"
            print(
                f"| {row['case']} | {row['ours']} | {row['pandapower']} | {row['worst_dV']:.1e} | {differ} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
