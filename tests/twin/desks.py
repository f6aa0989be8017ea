# SPDX-License-Identifier: Apache-2.0
"""A desk that answers from a dictionary, and small networks with instruments: shared by the tests of the twin."""

from dataclasses import dataclass, field

import numpy as np

import serai as sr
from serai.network.tables import Table
from serai.simulate.measured import measured
from serai.telemetry.readings import Readings, Register
from serai.twin.desk import Refused
from serai.twin.events import Events

START = 1.8e9  # s since 1970 UTC


@dataclass
class Fixed:
    """Answers what a test says; every question is noted."""

    answers: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)
    events: Events = field(default_factory=Events)

    def __getattr__(self, name):
        async def answer(**given):
            self.asked.append((name, given))
            found = self.answers.get(name, {})
            if isinstance(found, Exception):
                raise found
            return found

        if name.startswith("_"):
            raise AttributeError(name)
        return answer

    def subscribe(self, after=None):
        return self.events.subscribe(after)


REFUSED = Refused("conflict", "it is acknowledged", "nothing to do")


def instrumented(name, listed):
    """A bundled case with instruments: (tag, quantity, where, unit, sigma, scan), two stations over IEC 104."""
    net = sr.read(name)
    station = [f"Station {1 + k % 2}" for k in range(len(listed))]
    columns = {
        "name": [t[0] for t in listed], "quantity": [t[1] for t in listed], "where": [t[2] for t in listed],
        "unit": [t[3] for t in listed], "range_min": [np.nan] * len(listed), "range_max": [np.nan] * len(listed),
        "sigma": [float(t[4]) for t in listed], "sigma_of_reading": [0.0] * len(listed), "accuracy": [""] * len(listed),
        "scan": [float(t[5]) for t in listed], "station": station, "protocol": ["iec104"] * len(listed),
        "address": [f"{1 + k % 2}/{1001 + k}" for k in range(len(listed))],
        "status": ["in service"] * len(listed), "source": [""] * len(listed),
        "confidence": ["high"] * len(listed),
    }  # fmt: skip
    return net.with_tables(instruments=Table("instruments", {k: np.array(v) for k, v in columns.items()}))


def grid():
    """The four buses, every one and every branch metered each second."""
    net = sr.read("four_buses")
    listed = [(f"{b} UT", "magnitude", b, "pu", 0.001, 1.0) for b in net["buses"].names]
    for kind in ("loads", "generators"):
        listed += [(f"{n} P", "active_power", n, "mw", 1e5, 1.0) for n in net[kind].names]
        listed += [(f"{n} Q", "reactive_power", n, "mvar", 1e5, 1.0) for n in net[kind].names]
    listed += [(f"{n} P from", "active_power_from", n, "mw", 1e5, 1.0) for n in net["lines"].names]
    return instrumented("four_buses", listed)


class Meters:
    """What exact meters of a network read in a steady state, with noise."""

    def __init__(self, net, knowns=()):
        self.truth = sr.steady(net, knowns)
        t = net["instruments"]
        self.tags = list(t.names)
        self.values = np.array([
            float(measured(self.truth, q, w)) for q, w in zip(t["quantity"], t["where"], strict=True)
        ])  # fmt: skip
        self.sigma = t["sigma"].astype(float)
        self.register = Register(self.tags)

    def scan(self, time, seed=0, change=None, only=None, quality=0):
        """One scan at a time [s]; `change` {tag: value to be added}."""
        noise = np.random.default_rng(seed).standard_normal(len(self.values))
        values = self.values + self.sigma * noise
        for tag, more in (change or {}).items():
            values[self.tags.index(tag)] += more
        rows = [
            (t, time, v, quality, time) for t, v in zip(self.tags, values, strict=True) if only is None or t in only
        ]
        return Readings.of(self.register, rows)
