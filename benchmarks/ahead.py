# SPDX-License-Identifier: Apache-2.0
"""The look-ahead on the country: day and every loss together, against the same losses as transients one at a time.

    python benchmarks/ahead.py --json

The bars: survival times within one step of those transients of gas and power; a look-ahead in less time than they take.
`--short` takes three losses.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np

import serai as sr
from serai.errors import PhysicsRefused, SeraiError
from serai.known import Event, Known
from serai.simulate.ahead import BREAKS, HOLDS, ahead, loss
from serai.simulate.limits import breaks

STEP, HOURS = 900.0, 24.0
SHORT = ["Galkynysh field", "Dauletabad field", "Samandepe CS"]
PRESSURES = ("pressure", "inlet_pressure", "outlet_pressure")


def one_at_a_time(net: sr.Network, lost: str, capped: tuple[str, ...]) -> float:
    """Return when the first limit breaks [s] in a transient of gas and power, inf = it does not, nan = no answer.

    A supply that would pass its most gives that from the step before on: the transient is run again with that event.
    A station that finds no mode is passed through from the step on in which it fails.
    """
    events = [Event(0.0, k) for k in loss(net, lost)]
    hours = HOURS
    for _ in range(8):
        try:
            result = sr.transient(net, hours=hours, step=STEP, events=events)
        except SeraiError as error:
            stations = [n for n in getattr(error, "elements", ()) if n in net["compressors"]]
            hour, minute = (int(x) for x in str(error).removeprefix("at ").split(":")[:2])
            begun = (3600.0 * hour + 60.0 * minute - 1.0) // STEP * STEP
            if not stations:  # a demand cannot flow any more: what broke before
                if not isinstance(error, PhysicsRefused) or begun <= 0.0:
                    return float("nan")
                hours = begun / 3600.0
                continue
            events += [Event(begun, Known("open", n, 1.0)) for n in stations]
            continue
        over = []
        for name in capped:
            most = float(net["supplies"]["flow_max"][net["supplies"].row(name)])
            at = np.flatnonzero(result.supplied[name].values > most * (1 + 1e-6))
            over += [Event(STEP * max(0, int(at[0]) - 1), Known("supply", name, most))] if len(at) else []
        if not over:
            break
        events += over
    for k in range(1, result.dataset.sizes["time"]):
        found = breaks(net, result.dataset.isel(time=[k]))
        if any(b.quantity in PRESSURES and b.element != lost for b in found):
            return STEP * k
    return float("inf")


def main() -> int:
    """Measure; print a line a row; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    parser.add_argument("--short", action="store_true", help="three losses only")
    given = parser.parse_args()
    net = sr.read("turkmenistan")
    ahead(net, hours=1.0, losses=SHORT[:1])  # kernels are compiled
    begun = time.perf_counter()
    seen = ahead(net, hours=HOURS, step=STEP, losses=SHORT if given.short else None)
    ours = time.perf_counter() - begun
    begun = time.perf_counter()
    apart = []
    for s in seen.survival:
        time_ = one_at_a_time(net, s.lost, s.capped or ("Galkynysh field",) * (s.lost != "Galkynysh field"))
        same = (s.status == HOLDS and time_ == np.inf) or (s.status == BREAKS and abs(s.time - time_) <= STEP)
        apart += [] if same else [f"{s.lost}: {s.status} {s.time:g} s, one at a time {time_:g} s"]
    theirs = time.perf_counter() - begun
    rows = [
        {"work": f"{len(seen.survival)} losses of the country, 24 h ahead", "peer": "transients one at a time",
         "ours_s": ours, "peer_s": theirs, "ratio": theirs / ours, "bar": 1.0, "agree": not apart},
        {"work": "survival times that differ by more than a step", "figure": len(apart), "bar": 0, "holds": not apart,
         "which": apart},
    ]  # fmt: skip
    for row in rows:
        print(json.dumps(row) if given.json else row)
    return int(bool(apart) or theirs < ours)


if __name__ == "__main__":
    sys.exit(main())
