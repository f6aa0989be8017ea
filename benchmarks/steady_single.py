# SPDX-License-Identifier: Apache-2.0
"""One steady solve after set-up, GasLib-582: Serai against a pandapipes pipeflow of the same network.

Both sides solve one model. It is built as a pandapipes network from GasLib-582 (pipes as pipes on level ground; short
pipes, valves, control valves, resistors and stations as open valves without loss, less those that would only close a
loop of such valves, which pandapipes cannot solve; every nomination as sink or source; one external grid) and becomes
Serai's by `from_pandapipes`: the same friction law (nikuradse with the laminar part added) and compressibility
(1 - 0.0022 p[bar]). Every solve starts cold and has other loads than the one before.

    python benchmarks/steady_single.py [--json] [--data FOLDER]

Exit status 1 when the answers differ or Serai is less than 10 times as fast.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"  # before numpy: one thread on both sides

import argparse  # noqa: E402 - the thread counts come first
import json  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402

import serai as sr  # noqa: E402
from serai.network.from_pandapipes import from_pandapipes  # noqa: E402
from serai.system import Closed, System  # noqa: E402

SWING, PRESSURE = "supply source_28", 80.0  # bar above the ambient pressure
RUNS = 30
AGREE = 1e-5  # relative, of pressures: pandapipes stops at its own tolerance and takes Z at a pipe's mean pressure
WANTED = 10.0
JOINTS = ("short_pipes", "valves", "control_valves", "resistors", "compressors")


def peer_network(gaslib):
    """Return the pandapipes network, and its sinks and sources with their nominations [kg/s]."""
    import pandapipes as pp

    net = pp.create_empty_network(fluid="lgas")
    t = gaslib["gas_nodes"]
    at = {n: pp.create_junction(net, pn_bar=PRESSURE, tfluid_k=283.15, name=n) for n in t.names}
    pipes = gaslib.active("pipes")
    for k, name in enumerate(pipes.names):
        pp.create_pipe_from_parameters(
            net, at[str(pipes["from_node"][k])], at[str(pipes["to_node"][k])], length_km=pipes["length"][k] / 1e3,
            inner_diameter_mm=pipes["diameter"][k] * 1e3, k_mm=pipes["roughness"][k] * 1e3, name=name,
        )  # fmt: skip
    root = {n: n for n in t.names}

    def find(n):
        while root[n] != n:
            n = root[n]
        return n

    for kind in JOINTS:
        table = gaslib.active(kind)
        for k, name in enumerate(table.names):
            a, b = (str(table[c][k]) for c in ("from_node", "to_node"))
            if find(a) == find(b):
                continue
            root[find(a)] = find(b)
            pp.create_valve(
                net, at[a], at[b], "ju", inner_diameter_mm=1000.0, opened=True, loss_coefficient=0.0, name=name
            )
    nominated = {k.where: k.value for k in gaslib.knowns() if k.quantity in ("supply", "withdrawal")}
    for kind, create in (("supplies", pp.create_source), ("offtakes", pp.create_sink)):
        table = gaslib.active(kind)
        for k, name in enumerate(table.names):
            if name == SWING:
                pp.create_ext_grid(net, at[str(table["node"][k])], p_bar=PRESSURE, t_k=283.15, name=name)
            else:
                create(net, at[str(table["node"][k])], mdot_kg_per_s=nominated[name], name=name)
    return net


def solve_peer(net, **tolerances):
    import pandapipes as pp

    pp.pipeflow(net, friction_model="nikuradse", max_iter_hyd=200, **tolerances)


def scaled(system, base, factor):
    """Put the flows of all sinks and sources in force times a factor."""
    system.take([sr.Known(k.quantity, k.where, k.value * (factor if k.quantity != "pressure" else 1.0)) for k in base])
    return system.fix()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print rows as JSON only")
    default = os.environ.get("SERAI_DATA", Path(__file__).parent.parent.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # of the peer and what it reads with

    peer = peer_network(sr.read(given.data / "gas" / "gaslib" / "GasLib-582.net"))
    network = from_pandapipes(peer)
    base = network.knowns()
    system = System(network, base)
    closed = Closed(system, system.fix())
    start = system.equations.columns.start()

    factors = 1.0 - 0.2 * np.arange(RUNS) / RUNS
    ours, theirs, differences, iterations = [], [], [], []
    sinks = {kind: peer[kind]["mdot_kg_per_s"].to_numpy(copy=True) for kind in ("sink", "source")}
    closed.solve(cold=True)
    solve_peer(peer)  # compiles, if it does
    for factor in factors:
        fixed = scaled(system, base, float(factor))
        closed.x[:] = start
        begin = time.perf_counter()
        closed.set_known(fixed)
        solution = closed.solve(cold=True)
        ours.append(time.perf_counter() - begin)
        iterations.append(solution.iterations)
        for kind, flows in sinks.items():
            peer[kind]["mdot_kg_per_s"] = flows * factor
        begin = time.perf_counter()
        solve_peer(peer)
        theirs.append(time.perf_counter() - begin)
        differences.append(difference(peer, system, solution.x))
    for kind, flows in sinks.items():
        peer[kind]["mdot_kg_per_s"] = flows
    solve_peer(peer, tol_p=1e-10, tol_m=1e-10, tol_res=1e-10)
    closed.x[:] = start
    closed.set_known(scaled(system, base, 1.0))
    strict = difference(peer, system, closed.solve(cold=True).x)
    row = {
        "work": f"one cold steady solve, GasLib-582 ({closed.n} unknowns, {max(iterations)} Newton steps)",
        "peer": "pandapipes " + peer_version(),
        "ours_s": statistics.median(ours),
        "peer_s": statistics.median(theirs),
        "ratio": statistics.median(theirs) / statistics.median(ours),
        "agree": bool(max(differences) < AGREE and strict < AGREE),
        "difference": max(differences),
        "difference_tight": strict,
    }
    if given.json:
        print(json.dumps([row]))
    else:
        print(
            f"{row['work']}: Serai {row['ours_s'] * 1e3:.2f} ms, "
            f"{row['peer']} {row['peer_s'] * 1e3:.1f} ms, ratio {row['ratio']:.1f}"
        )
        print(f"pressures differ by {max(differences):.1e} (tight tolerances: {strict:.1e})")
    sys.exit(0 if row["agree"] and row["ratio"] >= WANTED else 1)


def peer_version():
    from importlib.metadata import version

    return version("pandapipes")


def difference(peer, system, x):
    """Largest relative difference of a junction's absolute pressure."""
    block = system.equations.columns["pressure"]
    mine = x[[block.index[n] for n in system.network["gas_nodes"].names]]  # in the order of the junctions
    theirs = peer.res_junction["p_bar"].to_numpy() * 1e5 + 101_325.0
    return float(np.max(np.abs(mine / theirs - 1.0)))


if __name__ == "__main__":
    main()
