# SPDX-License-Identifier: Apache-2.0
"""A metered line with a station, and its truth on a finer grid with other pipes and another gas."""

import numpy as np

from serai.estimate.moving import Meter, Moving
from serai.estimate.moving_model import Pipes, exchanges
from serai.network import Gas, Network, table

SCAN, STEP, FINE = 60.0, 30.0, 4e3
PIPES = {"AB": ("A", "B", 60e3), "CD": ("C", "D", 80e3), "DE": ("D", "E", 70e3)}
TOWN, EXPORT = ("withdrawal", "town"), ("withdrawal", "export")
USUAL = {("supply", "field"): 200.0, TOWN: 30.0, EXPORT: 170.0, ("flow", "CS"): 200.0}
START = {"A": 65e5, "B": 58.5e5, "C": 67e5, "D": 59e5, "E": 53.5e5}


def network(*, efficiency=(0.95, 0.95, 0.95), warmer=0.0, heavier=1.0):
    """Field A - B, station CS, C - D (town) - E (export): 210 km of 900 mm."""
    pipes = [
        {"name": n, "from_node": a, "to_node": b, "length": x, "diameter": 0.9, "roughness": 3e-5, "efficiency": e}
        for (n, (a, b, x)), e in zip(PIPES.items(), efficiency, strict=True)
    ]
    return Network(
        name="metered line",
        gas=Gas(temperature=283.15 + warmer, molar_mass=0.0175 * heavier, net_heating_value=36e6),
        tables={
            "gas_nodes": table("gas_nodes", [{"name": n} for n in "ABCDE"]),
            "pipes": table("pipes", pipes),
            "compressors": table("compressors", [{"name": "CS", "from_node": "B", "to_node": "C", "efficiency": 0.8}]),
            "supplies": table("supplies", [{"name": "field", "node": "A"}]),
            "offtakes": table(
                "offtakes",
                [{"name": "town", "node": "D", "kind": "city"}, {"name": "export", "node": "E", "kind": "export"}],
            ),
        },
    )


def meters(*, gauge=3e3):
    """Flow meters of 0.5 to 1 % at entry, exits and station, gauges of 0.1 % at every node."""
    share = {"field": 0.0025, "export": 0.0025, "town": 0.005, "CS": 0.005}
    flows = [Meter(f"{w} FT", q, w, 0.05, share[w], 2.0 * share[w]) for q, w in USUAL]
    return [*flows, *(Meter(f"{n} PT", "pressure", n, gauge, 0.0, gauge) for n in "ABCDE")]


def moving(**given):
    """The filter, which knows the line as its tables have it."""
    return Moving(network(), USUAL, START, given=meters(), cell=15e3, scan=SCAN, **given)


def truth(hours, seed, *, leak=None, more=(), stop=None, same=False):
    """Return exact readings (n_step + 1, n_meter) every STEP seconds, in the order of `meters`.

    leak   (node of the fine grid, [kg/s], hour from which on), more of them
    stop   hour at which the station eases for an hour
    The field and the station hold their outlet pressures as a controller does, by what they pass.
    """
    r = np.random.default_rng(seed)
    off = np.zeros(3) if same else r.uniform(-0.03, 0.03, 3)
    known = network() if same else network(efficiency=0.95 * (1.0 + off), warmer=r.normal(0.0, 4.0), heavier=1.01)
    pipes = Pipes(known, exchanges(known, USUAL), cell=FINE, scan=STEP)
    names, index = [x.where for x in pipes.exchanges], {n: k for k, n in enumerate(pipes.nodes)}
    spill = np.zeros(len(pipes.nodes))
    x = pipes.start(START)
    u = np.array([x.flow for x in pipes.exchanges])
    field, town, export, station = (names.index(n) for n in ("field", "town", "export", "CS"))
    wander, out = np.zeros(2), []
    n = round(3600.0 * hours / STEP)
    for k in range(-round(6 * 3600.0 / STEP), n + 1):  # six hours to settle before the first reading
        t = k * STEP / 3600.0
        wander = 0.996 * wander + 0.0008 * r.standard_normal(2)
        day = np.sin(2.0 * np.pi * (t - 9.0) / 24.0)
        u[town], u[export] = 30.0 * (1.0 + 0.2 * day + wander[0]), 170.0 * (1.0 + 0.03 * day + wander[1])
        p = pipes.pressures(x)
        held = 67e5 - (0.8e5 if stop is not None and stop <= t < stop + 1.0 else 0.0)
        u[field] = 200.0 + 40e-5 * (65e5 - p[index["A"]])
        u[station] = 200.0 + 60e-5 * (held - p[index["C"]])
        for node, rate, begin in (*((leak,) if leak else ()), *more):
            spill[index[node]] = rate if t >= begin else 0.0
        x = pipes.step(x, u, pipes.efficiency, spill)
        if k >= 0:
            p = pipes.pressures(x)
            out.append([u[field], u[town], u[export], u[station], *(p[index[n]] for n in "ABCDE")])
    return np.array(out)


def read(exact, seed, *, biased=True):
    """Return readings (n_scan, n_meter): clocks that jitter by 5 s, biases within the class, white noise."""
    r = np.random.default_rng(seed)
    given = meters()
    n = round((len(exact) - 1) * STEP / SCAN)
    at = (np.arange(1, n + 1) * SCAN)[:, None] + 5.0 * r.standard_normal((n, len(given)))
    at = np.clip(at / STEP, 0.0, len(exact) - 1.000001)
    k, j = at.astype(int), np.arange(len(given))[None, :]
    true = exact[k, j] + (at - k) * (exact[k + 1, j] - exact[k, j])
    flow = np.array([m.quantity in ("supply", "withdrawal", "flow") for m in given])
    bias = np.array([m.bias for m in given]) * r.uniform(-1.0, 1.0, len(given)) * biased
    sigma = np.hypot([m.sigma for m in given], np.array([m.share for m in given]) * true)
    return true + np.where(flow, bias * true, bias) + sigma * r.standard_normal(true.shape)


def instruments():
    """The meters as a table of a case, in the unit of the SI."""
    units = {"pressure": "pa"}
    rows = [
        {"name": m.tag, "quantity": m.quantity, "where": m.where, "unit": units.get(m.quantity, "kg_per_s"),
         "sigma": m.sigma, "sigma_of_reading": m.share, "scan": SCAN}
        for m in meters()
    ]  # fmt: skip
    return table("instruments", rows)


def case():
    """The line as a case: with its instruments, and set-points for a steady state to begin from."""
    setpoints = [("pressure", "field", START["A"]), ("withdrawal", "town", 30.0), ("withdrawal", "export", 170.0),
                 ("outlet_pressure", "CS", START["C"])]  # fmt: skip
    unit = {"withdrawal": "kg_per_s"}
    rows = [{"quantity": q, "where": w, "value": v, "unit": unit.get(q, "pa")} for q, w, v in setpoints]
    return network().with_tables(instruments=instruments(), setpoints=table("setpoints", rows))
