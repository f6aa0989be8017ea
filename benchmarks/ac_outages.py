# SPDX-License-Identifier: Apache-2.0
"""N-1 of MATPOWER grids: every branch lost in turn, Serai against the contingency analysis of lightsim2grid.

Two threads, tolerance 1e-8 per unit, both warm from the intact grid, no reactive limits (the peer has none). Serai is
timed end to end, from the names of the branches to a dataset of voltages with the mismatch of each outage computed
again, and solves the outages that cut buses off as well; lightsim2grid leaves these out, so that it does less. It runs
in the fastest of its policies. Answers are compared before anything is timed.

    python benchmarks/ac_outages.py [--json] [case118 case1354pegase ...]

Exit status 1 when answers differ or the ratio is short of 3.
"""

import argparse
import os
import sys

import numpy as np
from ac_batch import complex_voltages, in_turn, show
from peers_grid import POLICIES, LightSim2Grid

import serai as sr
from power.pandapower_arrays import file_of

WANTED = 3.0


def names_by_number(peer):
    """The name of each branch that the peer numbers: its lines, then its transformers."""
    rows = {}
    bus_row = {n: k for k, n in enumerate(peer.mpc["bus"][:, 0])}
    for k, b in enumerate(peer.mpc["branch"]):
        ends = tuple(sorted((bus_row[b[0]], bus_row[b[1]])))
        rows.setdefault((ends, round(b[2], 9), round(b[3], 9)), []).append(f"branch {k + 1}")
    names = []
    for x in (*peer.grid.get_lines(), *peer.grid.get_trafos()):
        key = (tuple(sorted((x.bus1_id, x.bus2_id))), round(x.r_pu, 9), round(x.x_pu, 9))
        names.append(rows[key].pop(0) if rows.get(key) else None)
    return names


def against_lightsim(case, rounds):
    network = sr.read(file_of(case))
    prepared = sr.Ensemble(network, q_limits=False)
    known = {(k.quantity, k.where): [k.value] for k in network.knowns() if network.kind_of(k.where) == "loads"}
    buses = list(network["buses"].names)
    peer = LightSim2Grid(case, complex_voltages(prepared.run(known), buses)[0])
    lost = list(network.active("branches").names)
    result = prepared.lose(lost)
    ours = dict(zip(lost, complex_voltages(result, buses), strict=True))
    names = names_by_number(peer)
    runs, worst, compared, missed = {}, {}, {}, {}
    for policy in POLICIES:
        study, run = peer.outages(policy)
        V = run()
        numbers = [x[0] for x in study.my_defaults()]
        apart, missing = [], 0
        for number, v in zip(numbers, V, strict=True):
            name = names[number]
            if name not in ours or not (np.abs(v) > 0).all():
                continue
            if name in result.failed:
                missing += 1
            else:
                apart.append(float(np.abs(v - ours[name]).max()))
        runs[policy], worst[policy], compared[policy], missed[policy] = run, max(apart), len(apart), missing
    mine, theirs = in_turn(lambda: prepared.lose(lost), runs, rounds)
    # a policy that solves fewer outages than another is not an answer to the same question
    most = max(compared.values())
    policy = min((p for p in runs if compared[p] >= 0.98 * most), key=theirs.get)
    count = len(lost)
    return {
        "work": f"N-1 of {case}, {count} outages", "peer": f"lightsim2grid, {policy}", "ours_s": mine / count,
        "peer_s": theirs[policy] / count, "ratio": theirs[policy] / mine, "bar": WANTED,
        "agree": worst[policy] <= 1e-6 and missed[policy] == 0 and compared[policy] > 0.6 * count,
        "difference": worst[policy], "compared": compared[policy], "solved": count - len(result.failed),
        "solved_by_peer_only": missed[policy], "version": peer.version, "cores": os.cpu_count(),
        "policies_s": {p: x / count for p, x in theirs.items()}, "mismatch": float(result.mismatch.max()),
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON for each row of work")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("cases", nargs="*", default=["case118", "case1354pegase"])
    arguments = parser.parse_args()
    good = [show(against_lightsim(case, arguments.rounds), as_json=arguments.json) for case in arguments.cases]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
