# SPDX-License-Identifier: Apache-2.0
"""Time to estimate and diagnose one scan of the bundled country, all its 837 instruments: clean, and with faults.

Batches come as the field sends them; an estimator is kept from scan to scan. The first scans of every row are not
counted: they lay matrices out and compile. A branch that is out is confirmed with a matrix of its own, laid out once.

    python benchmarks/scan.py [--json] [--short]

Exit status 1 when a bar is missed.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from diagnose.scans import country, scan
from serai.diagnose import diagnose
from serai.known import Known

BAR = 0.25  # s, p99
WARM = 3
WORK = {
    "clean": ((), {}),
    "a leak": ((Known("withdrawal", "CAC CS-3 Outlet", 15.0),), {}),
    "a wrong meter": ((), {"Gedaim PT": 15.0}),
    "three faults": ((Known("withdrawal", "CAC CS-3 Outlet", 15.0),),
                     {"Mary 500 - Kerki 500 Q from": 42.0, "Gedaim PT": -15.0}),
    "a line out": ((Known("in_service", "Lebap 500 - Dashoguz 500", 0.0),), {}),
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--short", action="store_true")
    asked = parser.parse_args()
    net, own, _, estimator = country()
    commands = [Known(k.quantity, k.where, k.value, 2e-3 * abs(k.value)) for k in net.knowns()
                if k.quantity in ("outlet_pressure", "ratio")]  # fmt: skip
    ok = True
    for name, (knowns, wrong) in WORK.items():
        batches = [scan(knowns, 70_000 + s, wrong) for s in range(WARM + (40 if asked.short else 200))]
        spent = []
        for batch in batches:
            begin = time.perf_counter()
            d = diagnose(net, batch, estimator=estimator, commands=commands)
            spent.append(time.perf_counter() - begin)
        p50, p99 = np.quantile(spent[WARM:], [0.5, 0.99])
        holds = bool(p99 <= BAR)
        ok &= holds
        row = {"work": f"scan of {len(own)} readings, {len(d.tested)} hypotheses: {name}", "figure": p99, "bar": BAR,
               "holds": holds, "unit": "s, p99", "p50": p50, "first_s": spent[0]}  # fmt: skip
        print(json.dumps(row) if asked.json else f"{row['work']}: p50 {1e3 * p50:.0f} ms, p99 {1e3 * p99:.0f} ms")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
