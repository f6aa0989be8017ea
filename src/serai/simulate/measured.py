# SPDX-License-Identifier: Apache-2.0
"""What an exact instrument would read in a result: from (quantity, element) to the array that holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from serai.errors import UnknownName
from serai.network.quantities import MEASURABLE, measurable_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.network import Network
    from serai.simulate.labelled import Result

    Floats = NDArray[np.float64]

# kind -> quantity -> (variable, dimension) where the names differ from the quantity's own
_OWN = {
    "supplies": {"supply": ("supplied", "supply")},
    "offtakes": {"withdrawal": ("delivered", "offtake")},
    "loads": {"active_power": ("drawn", "load"), "reactive_power": ("drawn_reactive", "load")},
    "hvdc_links": {"active_power": ("link_sent", "link")},
}
_DIMENSION = {
    "gas_nodes": "gas_node", "supplies": "supply", "offtakes": "offtake", "buses": "bus", "generators": "generator",
    "plants": "plant", "lines": "grid_branch", "transformers": "grid_branch", "branches": "grid_branch",
}  # fmt: skip
_ENDS = {"outlet_pressure": "to_node", "inlet_pressure": "from_node"}


def measured(result: Result, quantity: str, where: str) -> Floats:
    """Return a measurable quantity of an element, SI: one value, or (n_time,) of a transient.

    Raises UnknownName for what cannot be measured there, or what the result does not hold (a gas temperature, the
    position of a switch). What does not run reads nan.
    """
    parts = [_at(result, *place) for place in places(result.network, quantity, where)]
    return np.asarray(parts[0] - parts[1]) if len(parts) == 2 else parts[0]


def places(network: Network, quantity: str, where: str) -> list[tuple[str, str, str]]:
    """Return where results hold a measurable quantity: (variable, dimension, name); two places for a difference.

    Raises UnknownName for what cannot be measured there.
    """
    kind = network.kind_of(where)
    if quantity not in measurable_of(kind):
        can = ", ".join(measurable_of(kind)) or "nothing"
        msg = f"{kind} have no {quantity!r} to measure ({where}); they have {can}"
        raise UnknownName(msg)
    t = network[kind]
    row = t.row(where)
    if quantity in _ENDS:
        return [("pressure", "gas_node", str(t[_ENDS[quantity]][row]))]
    if quantity == "pressure":
        return [("pressure", "gas_node", str(t["node"][row]) if kind in ("supplies", "offtakes") else where)]
    if quantity == "pressure_drop":
        return [("pressure", "gas_node", str(t[end][row])) for end in ("from_node", "to_node")]
    if quantity in ("angle", "magnitude") and kind == "generators":
        return [(quantity, "bus", str(t["bus"][row]))]
    compressor_own = kind == "compressors" and quantity not in ("flow", "flow_out")
    dimension = "compressor" if compressor_own else _DIMENSION.get(kind, "gas_branch")
    variable, dimension = _OWN.get(kind, {}).get(quantity, (quantity, dimension))
    return [(variable, dimension, where)]


def _at(result: Result, variable: str, dimension: str, name: str) -> Floats:
    data = result.dataset
    if variable not in data:
        what = MEASURABLE[variable].doc if variable in MEASURABLE else variable
        msg = f"the result holds no {variable} ({what}) of {name}"
        raise UnknownName(msg)
    if name not in data.indexes[dimension]:  # not in service
        return np.full(data.sizes.get("time", 1), np.nan).squeeze()
    return np.asarray(data[variable].sel({dimension: name}).values, dtype=float)
