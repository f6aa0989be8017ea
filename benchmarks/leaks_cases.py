# SPDX-License-Identifier: Apache-2.0
"""The two networks of `leaks.py`: Turkmenistan with its own instruments, GasLib-135 with meters at every end."""

import csv
import os
from pathlib import Path

import numpy as np
from leaks_truth import Case, usual

import serai as sr
from serai import Known
from serai.estimate.moving import Meter, meters

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("SERAI_DATA", ROOT.parent / "shared" / "data"))


def turkmenistan():
    """Return the case on its mean day: profiles of the case, instruments of the case."""
    net = sr.read("turkmenistan").on("average 2023")
    flows, pressures, ratios, along = usual(net)
    hourly = {key: np.empty(24) for key in flows}
    for hour in range(0, 24, 3):
        at, *_ = usual(net, hour=float(hour))
        for key, value in at.items():
            hourly[key][hour : hour + 3] = value
    held = {k.where: k.value for k in net.knowns() if k.quantity == "outlet_pressure" and k.where in net["control_valves"]}
    return Case(net, meters(net), flows, pressures, ratios, along, hourly, "Galkynysh field", held)
