# SPDX-License-Identifier: Apache-2.0
"""Small networks built in code, whose answers a person can compute."""

from math import pi, sqrt

from serai.known import Known
from serai.network import Gas, Network, table

GAS = Gas(temperature=288.15, molar_mass=0.018, compressibility="ideal", net_heating_value=36e6)


def line(*, length=100e3, diameter=0.7, friction=0.01, gas=GAS):
    """A field at one end, a town at the other."""
    return Network(
        name="line",
        gas=gas,
        tables={
            "gas_nodes": table("gas_nodes", [{"name": "A", "pressure_max": 75e5}, {"name": "B", "pressure_min": 30e5}]),
            "pipes": table(
                "pipes",
                [
                    {
                        "name": "P",
                        "from_node": "A",
                        "to_node": "B",
                        "length": length,
                        "diameter": diameter,
                        "friction_factor": friction,
                    }
                ],
            ),
            "supplies": table("supplies", [{"name": "field", "node": "A"}]),
            "offtakes": table("offtakes", [{"name": "town", "node": "B", "kind": "city"}]),
        },
    )


def line_knowns(withdrawal=50.0, pressure=60e5):
    return [Known("pressure", "field", pressure), Known("withdrawal", "town", withdrawal)]


def outlet_pressure(m, p1=60e5, *, length=100e3, diameter=0.7, friction=0.01, gas=GAS):
    """p2 = sqrt(p1^2 - lam L R_s T m^2 / (D A^2)): the textbook answer for an ideal gas on level ground."""
    area = pi * diameter**2 / 4
    return sqrt(p1**2 - friction * length * gas.specific_constant * gas.temperature * m**2 / (diameter * area**2))


def station(**compressor):
    """Field A, pipe to B, station B-C, pipe to D with a town; a gas-turbine drive."""
    pipe = {"length": 60e3, "diameter": 0.6, "friction_factor": 0.011}
    return Network(
        name="station",
        gas=GAS,
        tables={
            "gas_nodes": table("gas_nodes", [{"name": n} for n in "ABCD"]),
            "pipes": table(
                "pipes",
                [
                    {"name": "AB", "from_node": "A", "to_node": "B", **pipe},
                    {"name": "CD", "from_node": "C", "to_node": "D", **pipe},
                ],
            ),
            "compressors": table(
                "compressors", [{"name": "CS", "from_node": "B", "to_node": "C", "efficiency": 0.8, **compressor}]
            ),
            "drives": table("drives", [{"name": "GT", "compressor": "CS", "kind": "gas turbine", "efficiency": 0.32}]),
            "supplies": table("supplies", [{"name": "field", "node": "A"}]),
            "offtakes": table("offtakes", [{"name": "town", "node": "D", "kind": "city"}]),
        },
    )


def electric_station():
    """The station with a motor on a two-bus grid: a generator at bus 1, a line to bus 2 where the motor is."""
    net = station()
    return net.with_tables(
        drives=table(
            "drives",
            [{"name": "M", "compressor": "CS", "kind": "electric motor", "bus": "bus 2", "efficiency": 0.95}],
        ),
        buses=table("buses", [{"name": f"bus {k}", "voltage": 110e3} for k in (1, 2)]),
        lines=table(
            "lines",
            [
                {
                    "name": "L",
                    "from_bus": "bus 1",
                    "to_bus": "bus 2",
                    "length": 20e3,
                    "resistance": 0.1e-3,
                    "reactance": 0.4e-3,
                }
            ],
        ),
        generators=table("generators", [{"name": "G", "bus": "bus 1", "active_power_max": 50e6, "participation": 1.0}]),
    )


GRID = [Known("angle", "bus 1", 0.0), Known("magnitude", "G", 1.02)]
