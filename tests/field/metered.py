# SPDX-License-Identifier: Apache-2.0
"""Small networks with instruments, for the tests of the field."""

from __future__ import annotations

import serai as sr
from serai.network import table
from serai.units import UNITS


def _row(given, density):
    name, quantity, where, unit, low, high, sigma, share, scan, station, protocol, address = given
    u = UNITS[unit]
    size = u.factor * (density if u.standard_volume else 1.0)
    return {
        "name": name, "quantity": quantity, "where": where, "unit": unit, "range_min": low * size + u.offset,
        "range_max": high * size + u.offset, "sigma": sigma * size, "sigma_of_reading": share, "scan": scan,
        "station": station, "protocol": protocol, "address": address,
    }  # fmt: skip


def loop():
    """The teaching case `loop_with_station`, with a meter at every end and pressures."""
    net = sr.read("loop_with_station")
    density = net.gas.standard_density
    rows = [
        ("Field FT", "supply", "Field supply", "kg_per_s", 0, 300, 0.05, 0.005, 60, "Field", "iec104", "1/1"),
        ("Field PT", "pressure", "Field", "bara", 0, 100, 0.05, 0, 60, "Field", "iec104", "1/2"),
        ("Station PT out", "outlet_pressure", "Station", "bara", 0, 100, 0.05, 0, 60, "Station", "iec104", "2/1"),
        ("Station FT", "flow", "Station", "million_m3_per_day", -40, 40, 0.02, 0.0075, 60, "Station", "iec104", "2/2"),
        ("A FT", "withdrawal", "Town A gas", "million_m3_per_day", 0, 20, 0.01, 0.005, 60, "Town A", "iec104", "3/1"),
        ("A PT", "pressure", "Town A", "bara", 0, 100, 0.05, 0, 60, "Town A", "iec104", "3/2"),
        ("B FT", "withdrawal", "Town B gas", "million_m3_per_day", 0, 20, 0.01, 0.005, 60, "Town B", "iec104", "4/1"),
        ("B PT", "pressure", "Town B", "bara", 0, 100, 0.05, 0, 20, "Town B", "iec104", "4/2"),
        ("A flow in", "flow", "Pipe A", "kg_per_s", -200, 200, 0.05, 0.005, 60, "Station", "iec104", "2/3"),
        ("A flow out", "flow_out", "Pipe A", "kg_per_s", -200, 200, 0.05, 0.005, 60, "Town A", "iec104", "3/3"),
    ]
    return net.with_tables(instruments=table("instruments", [_row(r, density) for r in rows]))


def grid():
    """The teaching case `four_buses`, with meters at its plant, its lines and its gas, over all protocols."""
    net = sr.read("four_buses")
    density = net.gas.standard_density
    rows = [
        ("U1", "magnitude", "Bus 1", "pu", 0, 1.2, 0.0006, 0.0025, 2, "Plant", "iec104", "1/1"),
        ("U2", "magnitude", "Bus 2", "pu", 0, 1.2, 0.0006, 0.0025, 2, "City", "iec104", "2/1"),
        ("P gas unit", "active_power", "Gas unit", "mw", -300, 300, 0.75, 0, 4, "Plant", "iec104", "1/2"),
        ("Q gas unit", "reactive_power", "Gas unit", "mvar", -300, 300, 0.75, 0, 4, "Plant", "iec104", "1/3"),
        ("P12", "active_power_from", "Line 1-2", "mw", -300, 300, 0.75, 0, 4, "Plant", "iec104", "1/4"),
        ("P21", "active_power_to", "Line 1-2", "mw", -300, 300, 0.75, 0, 4, "City", "iec104", "2/2"),
        ("P city", "active_power", "City load", "mw", 0, 400, 1, 0, 4, "City", "iec104", "2/3"),
        ("P works", "active_power", "Works load", "mw", 0, 200, 0.5, 0, 2, "Works", "opcua", "ns=2;s=P works"),
        ("P23", "active_power_to", "Line 2-3", "mw", -300, 300, 0.75, 0, 2, "Works", "opcua", "ns=2;s=P23"),
        ("Fuel", "plant_fuel", "Gas unit fuel", "kg_per_s", 0, 20, 0.01, 0.005, 4, "Plant", "iec104", "1/5"),
        ("Field FT", "supply", "Field supply", "kg_per_s", 0, 80, 0.04, 0.005, 2, "Field", "modbus", "5/0"),
        ("Field PT", "pressure", "Field", "bara", 0, 80, 0.04, 0, 2, "Field", "modbus", "5/3"),
        ("Town FT", "withdrawal", "Town gas", "kg_per_s", 0, 50, 0.03, 0.005, 2, "Town", "mqtt", "serai/Town/FT"),
        ("Town PT", "pressure", "Town", "bara", 0, 80, 0.04, 0, 2, "Town", "mqtt", "serai/Town/PT"),
    ]
    return net.with_tables(instruments=table("instruments", [_row(r, density) for r in rows]))


def found(batches):
    """Return {(tag, time [µs]): (value, quality, received)} of batches."""
    return {
        (b.register[t], s): (v, q, r)
        for b in batches
        for t, s, v, q, r in zip(
            b.tag.tolist(), b.time.tolist(), b.value.tolist(), b.quality.tolist(), b.received.tolist(), strict=True
        )
    }
