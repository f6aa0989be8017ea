# SPDX-License-Identifier: Apache-2.0
"""What may be known of an element, and what of it can be measured: quantities, the kinds that have them, dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from serai.network.tables import KINDS


@dataclass(frozen=True)
class Quantity:
    """One quantity: the kinds of element that can have it, its dimension (see `units.UNITS`), one sentence.

    above  smallest value [SI] that makes no sense; `flag` quantities are 1 or 0
    """

    kinds: tuple[str, ...]
    dimension: str
    doc: str
    above: float = -np.inf
    flag: bool = False


_GAS_EDGES = ("pipes", "short_pipes", "valves", "check_valves", "control_valves", "resistors", "compressors")
_STATIONS = ("control_valves", "compressors")

QUANTITIES: dict[str, Quantity] = {
    # gas
    "pressure": Quantity(
        ("gas_nodes", "supplies", "offtakes"),
        "pressure",
        "absolute pressure of a node; at a supply or offtake it sets the node, whose exchange then swings",
        above=0.0,
    ),
    "withdrawal": Quantity(("gas_nodes", "offtakes"), "mass flow", "gas out of a node, positive out of the network"),
    "supply": Quantity(("supplies",), "mass flow", "gas into a node, positive into the network"),
    "flow": Quantity(_GAS_EDGES, "mass flow", "gas through an element, positive from -> to"),
    "open": Quantity(
        ("valves", "check_valves", *_STATIONS),
        "",
        "1 = open (a station: bypassed, a compressor's ratio is 1), 0 = closed",
        flag=True,
    ),
    "outlet_pressure": Quantity(_STATIONS, "pressure", "absolute pressure behind the station", above=0.0),
    "inlet_pressure": Quantity(_STATIONS, "pressure", "absolute pressure before the station", above=0.0),
    "pressure_drop": Quantity(("control_valves",), "pressure difference", "inlet less outlet pressure"),
    "ratio": Quantity(("compressors",), "", "outlet over inlet pressure", above=0.0),
    "power": Quantity(("compressors",), "power", "shaft power of the station"),
    # power
    "angle": Quantity(("buses", "generators"), "angle", "voltage angle; at a generator it sets the bus"),
    "magnitude": Quantity(
        ("buses", "generators"), "per unit", "voltage magnitude; at a generator it sets the bus", above=0.0
    ),
    "active_withdrawal": Quantity(("buses",), "power", "active power out of a bus, positive out of the grid"),
    "reactive_withdrawal": Quantity(("buses",), "reactive power", "reactive power out of a bus"),
    "active_power": Quantity(
        ("loads", "generators", "hvdc_links"),
        "power",
        "drawn by a load, produced by a generator, sent by a link at its from bus",
    ),
    "reactive_power": Quantity(("loads", "generators"), "reactive power", "drawn by a load, produced by a generator"),
    "reactive_power_from": Quantity(("hvdc_links",), "reactive power", "injected by a link at its from bus"),
    "reactive_power_to": Quantity(("hvdc_links",), "reactive power", "injected by a link at its to bus"),
    "steps": Quantity(("shunts",), "", "steps that are switched on"),
    "tap_position": Quantity(("transformers", "transformers3"), "", "present step of the tap changer"),
    "closed": Quantity(("switches",), "", "1 = closed, 0 = open", flag=True),
    # anything
    "in_service": Quantity(
        tuple(k for k, kind in KINDS.items() if kind.named and any(c.name == "status" for c in kind.columns)),
        "",
        "1 = in service, 0 = lost: an outage",
        flag=True,
    ),
}


@cache
def quantities_of(kind: str) -> tuple[str, ...]:
    """Return the names of the quantities that an element of `kind` can have."""
    return tuple(name for name, q in QUANTITIES.items() if kind in q.kinds)


_ENDED = ("lines", "transformers", "branches")  # grid branches whose two ends have power

# What an instrument can report. Names are those of set-points where there is one, and of results otherwise.
MEASURABLE: dict[str, Quantity] = {
    **{
        name: QUANTITIES[name]
        for name in (
            "pressure", "withdrawal", "supply", "flow", "open", "outlet_pressure", "inlet_pressure", "pressure_drop",
            "ratio", "power", "angle", "magnitude", "active_power", "reactive_power", "steps", "tap_position", "closed",
        )
    },
    "flow_out": Quantity(_GAS_EDGES, "mass flow", "gas out of an element at its to end, positive from -> to"),
    "temperature": Quantity(("gas_nodes",), "temperature", "of the gas"),
    "fuel": Quantity(("compressors",), "mass flow", "fuel gas of the station's drive"),
    "drive_power": Quantity(("compressors",), "power", "electric power of the station's motors"),
    "plant_fuel": Quantity(("plants",), "mass flow", "gas that a unit burns"),
    **{
        f"{part}_power_{end}": Quantity(_ENDED, dimension, f"{part} power into the branch at its {end} end")
        for part, dimension in (("active", "power"), ("reactive", "reactive power"))
        for end in ("from", "to")
    },
}  # fmt: skip


def measurable_of(kind: str) -> tuple[str, ...]:
    """Return the names of the quantities of an element of `kind` that an instrument can report."""
    return tuple(name for name, q in MEASURABLE.items() if kind in q.kinds)
