# SPDX-License-Identifier: Apache-2.0
"""Sheets that close, and gas that is missing where it was taken."""

import numpy as np
import pytest

from diagnose.scans import country, scan
from serai.diagnose.losses import losses
from serai.known import Known


def test_the_sheets_of_gas_and_power_close():
    *_, estimator = country()
    found = losses(estimator.run(scan(seed=1)))
    gas, power = found.gap
    assert abs(gas) < 1e-8 * found.gas["supplied"]
    assert abs(power) < 1e-8 * found.power["made"]
    assert found.power["heat of the grid"] == pytest.approx(56.8e6, rel=0.03)  # docs/turkmenistan.md, winter peak
    assert all(v > 0.0 for v in (*found.gas.values(), *found.power.values()))


def test_every_node_is_in_one_zone_and_metered_flows_between_zones_cancel():
    net, *_, estimator = country()
    e = estimator.run(scan(seed=1))
    zones = losses(e).zones
    nodes = [n for z in zones for n in z.nodes]
    assert sorted(nodes) == sorted(net.active("gas_nodes").names)
    assert len(zones) > 5
    read = {(m.quantity, m.where): v for m, v in zip(e.meters, e.values, strict=True)}
    ends = sum(v * {"supply": 1.0, "withdrawal": -1.0, "plant_fuel": -1.0, "fuel": -1.0}.get(q, 0.0)
               for (q, _), v in read.items())  # fmt: skip
    assert sum(z.unaccounted for z in zones) == pytest.approx(ends, abs=1e-6)


def test_gas_that_is_taken_is_missing_in_its_zone():
    *_, estimator = country()
    before = losses(estimator.run(scan(seed=2))).zones
    after = losses(estimator.run(scan([Known("withdrawal", "Khorezm Crossing", 40.0)], seed=2))).zones
    assert [z.nodes for z in before] == [z.nodes for z in after]
    moved = np.array([b.unaccounted - a.unaccounted for a, b in zip(before, after, strict=True)])
    k = int(np.argmax(moved))
    assert "Khorezm Crossing" in after[k].nodes
    assert moved[k] == pytest.approx(40.0, abs=4.0 * after[k].sigma)


def test_unaccounted_gas_of_fully_metered_zones_is_noise():
    *_, estimator = country()
    z = np.array([zone.unaccounted / zone.sigma for s in range(100, 130) for zone in
                  losses(estimator.run(scan(seed=s))).zones if not zone.unmetered and zone.sigma > 0.0])  # fmt: skip
    assert len(z) > 50
    assert (z**2).mean() == pytest.approx(1.0, abs=0.35)
