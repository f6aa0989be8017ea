# SPDX-License-Identifier: Apache-2.0
"""Every single loss of Turkmenistan's gas and power: examined together, against each examined on its own.

Both sides are Serai: the peer builds and solves the network anew for each loss, from a cold start. The tables must be
the same, finding by finding, before anything is timed. In lanes and in turn are the same equations; lanes are compiled
first (`first_call_s`).

    python benchmarks/outages.py [--json]

Exit status 1 when the tables differ or a ratio is short.
"""

import argparse
import importlib
import json
import os
import sys
import time

import numpy as np

import serai as sr

outages = importlib.import_module("serai.simulate.outages")
WANTED = 4.0


def seconds(work):
    """Return the time of a run [s] and what it returns."""
    begin = time.perf_counter()
    out = work()
    return time.perf_counter() - begin, out


def same(a, b):
    """Tell whether two tables say the same."""
    b = b.sel(outage=a["outage"].values)
    words = all((a[v].values == b[v].values).all() for v in ("kind", "status", "finding", "breaks"))
    sizes = all(np.allclose(a[v], b[v], rtol=1e-7, atol=1e-6) for v in ("unserved_gas", "unserved_export"))
    return bool(words and sizes and np.allclose(a["unserved_power"], b["unserved_power"], rtol=1e-7, atol=1.0))


def main():
    """Compare and time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON for each row of work")
    arguments = parser.parse_args()
    network = sr.read("turkmenistan")
    usual, plain = outages.WORTHWHILE, outages.frame

    def in_lanes(*given, **options):
        frame = plain(*given, **options)
        frame.lanes = True
        return frame

    outages.WORTHWHILE = 10**9
    sr.outages(network, elements=["Abadan PS - Gokdepe"])
    theirs, alone = seconds(lambda: sr.outages(network))
    ok = True
    for way, frame in (("in turn", plain), ("in lanes", in_lanes)):
        outages.WORTHWHILE, outages.frame = usual, frame
        first, found = seconds(lambda: sr.outages(network))
        agree = same(found, alone)
        ours = min(seconds(lambda: sr.outages(network))[0] for _ in range(3))
        outages.WORTHWHILE = 10**9
        theirs = min(theirs, seconds(lambda: sr.outages(network))[0])
        row = {
            "work": f"{found.sizes['outage']} losses of gas and power, {way}", "peer": "one by one", "ours_s": ours,
            "peer_s": theirs, "ratio": theirs / ours, "bar": WANTED, "agree": agree, "first_call_s": first,
            "cores": os.cpu_count(),
        }  # fmt: skip
        ok = ok and agree and row["ratio"] >= WANTED
        text = f"{row['work']}: {ours:.2f} s, one by one {theirs:.2f} s, {row['ratio']:.1f} times, first {first:.1f} s"
        print(json.dumps(row) if arguments.json else text)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
