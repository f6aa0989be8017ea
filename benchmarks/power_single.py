# SPDX-License-Identifier: Apache-2.0
"""One cold AC power flow beside pandapower's `runpp` (numba on, the better of its starts `dc` and `flat`).

    python benchmarks/power_single.py [--json] [case ...]

Both solve the same pandapower network in the same process on one thread; the voltages are compared before any time is
taken. Two rows a case: ours after set-up (equations and pattern kept, start from nothing known), and all in (from the
network to the labelled result with its recomputed mismatch). runpp builds its arrays anew each time: that is its only
way from a network to an answer. Medians; `ratio` is the peer's time over ours.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import argparse  # noqa: E402 - the thread counts come first
import json  # noqa: E402
import warnings  # noqa: E402
from statistics import median  # noqa: E402
from time import perf_counter  # noqa: E402

import numpy as np  # noqa: E402
import pandapower  # noqa: E402
import pandapower.networks  # noqa: E402

from serai.network.from_pandapower import from_pandapower  # noqa: E402
from serai.simulate.steady import steady  # noqa: E402
from serai.system import Closed, System  # noqa: E402

CASES = ("case118", "case1354pegase", "case2869pegase", "case9241pegase")
AGREE = 1e-8  # per unit of complex voltage


def timed(work, repeats):
    """Return the median time [s]; the first run compiles and does not count."""
    work()
    times = []
    for _ in range(repeats):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return median(times)


def theirs(net, init, tolerance_mva=1e-8):
    """Solve with pandapower and return its complex voltages [pu]."""
    pandapower.runpp(net, init=init, numba=True, lightsim2grid=False, tolerance_mva=tolerance_mva)
    return net.res_bus.vm_pu.to_numpy() * np.exp(1j * np.deg2rad(net.res_bus.va_degree.to_numpy()))


def starts(net):
    """Return the starts from which pandapower finds an answer."""
    found = []
    for init in ("dc", "flat"):
        try:
            theirs(net, init)
            found.append(init)
        except pandapower.LoadflowNotConverged:
            continue
    return found


def rows(case, repeats):
    """Yield the two rows of a case."""
    net = getattr(pandapower.networks, case)()
    network = from_pandapower(net)
    result = steady(network, q_limits=False)
    ours = (result.magnitude.values * np.exp(1j * result.angle.values))[: len(net.bus)]
    usable = starts(net)
    worst = float(np.max(np.abs(ours - theirs(net, usable[0]))))
    peers = {init: timed(lambda init=init: theirs(net, init), repeats) for init in usable}
    best = min(peers, key=peers.__getitem__)
    system = System(network, network.knowns())
    fixed = system.fix()
    closed = Closed(system, fixed)

    def cold():
        closed.x[:] = system.equations.columns.start()
        closed.set_known(fixed)
        return closed.solve(cold=True)

    iterations = cold().iterations
    for work, seconds in (
        ("after set-up", timed(cold, repeats)),
        ("all in", timed(lambda: steady(network, q_limits=False), repeats)),
    ):
        yield {
            "work": f"{case}: cold AC power flow, {work}",
            "peer": f"pandapower {pandapower.__version__} runpp, init {best}",
            "ours_s": seconds, "peer_s": peers[best], "ratio": peers[best] / seconds, "agree": worst <= AGREE,
            "largest_difference_pu": worst, "iterations": iterations,
        }  # fmt: skip


def main():
    """Print a row a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("cases", nargs="*", default=CASES)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for case in arguments.cases:
        for row in rows(case, arguments.repeats):
            if arguments.json:
                print(json.dumps(row), flush=True)
            else:
                print(
                    f"{row['work']:48} {row['ours_s'] * 1e3:9.2f} ms   {row['peer']} {row['peer_s'] * 1e3:9.2f} ms   "
                    f"{row['ratio']:6.1f}x   |dV| {row['largest_difference_pu']:.1e}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
