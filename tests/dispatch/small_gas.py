# SPDX-License-Identifier: Apache-2.0
"""A gas network with one of everything, small enough to know by heart."""

import serai as sr


def everything(friction="colebrook-white", compressibility="papay"):
    """A field feeds two towns over a station, a ring, a control valve with losses, a resistor and a valve, on hills."""
    nodes = [
        {"name": n, "height": h, "pressure_min": 20e5, "pressure_max": 80e5}
        for n, h in (("F", 0.0), ("A", 100.0), ("B", 20.0), ("C", 250.0), ("D", 60.0), ("E", 0.0), ("G", 10.0))
    ]
    pipe = {"diameter": 0.5, "roughness": 2e-5}
    return sr.Network(
        name="everything",
        gas=sr.Gas(
            friction=friction, compressibility=compressibility, net_heating_value=34e6, temperature=283.0
        ),
        tables={
            "gas_nodes": sr.table("gas_nodes", nodes),
            "supplies": sr.table("supplies", [{"name": "field", "node": "F", "flow_min": 0.0, "flow_max": 200.0}]),
            "offtakes": sr.table(
                "offtakes",
                [{"name": "town C", "node": "C", "flow_min": 0.0, "flow_max": 90.0}, {"name": "town G", "node": "G"}],
            ),
            "pipes": sr.table(
                "pipes",
                [
                    {"name": "A-B", "from_node": "A", "to_node": "B", "length": 40e3, **pipe},
                    {"name": "B-C", "from_node": "B", "to_node": "C", "length": 25e3, **pipe},
                    {"name": "A-C", "from_node": "A", "to_node": "C", "length": 60e3, **pipe, "temperature": 293.0},
                    {"name": "D-E", "from_node": "D", "to_node": "E", "length": 15e3, **pipe, "loss_coefficient": 2.0},
                ],
            ),
            "compressors": sr.table(
                "compressors",
                [
                    {
                        "name": "station", "from_node": "F", "to_node": "A", "ratio_max": 1.7, "power_max": 20e6,
                        "drag_factor_in": 10.0, "diameter_in": 0.4, "pressure_loss_out": 0.3e5,
                    }
                ],
            ),
            "drives": sr.table(
                "drives", [{"name": "turbine", "compressor": "station", "kind": "gas turbine", "efficiency": 0.3}]
            ),
            "control_valves": sr.table(
                "control_valves",
                [
                    {
                        "name": "valve to D", "from_node": "B", "to_node": "D", "flow_min": 0.0,
                        "pressure_differential_min": 0.0, "pressure_differential_max": 40e5, "pressure_out_max": 60e5,
                        "pressure_loss_in": 0.5e5,
                    }
                ],
            ),
            "resistors": sr.table(
                "resistors",
                [{"name": "filter", "from_node": "E", "to_node": "G", "drag_factor": 30.0, "diameter": 0.4}],
            ),
            "setpoints": sr.table(
                "setpoints",
                [
                    {"quantity": "withdrawal", "where": "town C", "value": 50.0},
                    {"quantity": "withdrawal", "where": "town G", "value": 30.0},
                ],
            ),
        },
    )  # fmt: skip
