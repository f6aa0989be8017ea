# SPDX-License-Identifier: Apache-2.0
"""Which Known closes which column, and how a new Known takes the place of an old one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serai.errors import SeraiError, UnknownName
from serai.network.quantities import QUANTITIES, quantities_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from serai.known import Known
    from serai.network import Network

# Quantities that close the same freedom of an element: a new one replaces whichever of the group was known before.
REPLACING: dict[str, tuple[frozenset[str], ...]] = {
    "compressors": (frozenset({"ratio", "outlet_pressure", "inlet_pressure", "flow", "power", "open"}),),
    "control_valves": (frozenset({"outlet_pressure", "inlet_pressure", "flow", "pressure_drop", "open"}),),
    "valves": (frozenset({"open", "flow"}),),
    "check_valves": (frozenset({"open", "flow"}),),
    "supplies": (frozenset({"supply", "pressure"}),),
    "offtakes": (frozenset({"withdrawal", "pressure"}),),
    "gas_nodes": (frozenset({"withdrawal"}), frozenset({"pressure"})),
    "generators": (frozenset({"magnitude", "reactive_power"}), frozenset({"active_power"}), frozenset({"angle"})),
}
PARAMETERS = ("steps", "tap_position", "closed", "in_service")  # Knowns that change what the network is, not a column


def checked(network: Network, knowns: Iterable[Known]) -> list[Known]:
    """Return the Knowns after a check that each quantity exists at its element.

    UnknownName names the element or quantity that does not exist and says what does; SeraiError refuses readings
    (sigma above zero), which only an estimate can weigh.
    """
    out = []
    for known in knowns:
        kind = network.kind_of(known.where)
        allowed = quantities_of(kind)
        if known.quantity not in allowed:
            what = "no such quantity" if known.quantity not in QUANTITIES else f"{kind} have none"
            msg = (
                f"Known {known.quantity} of {known.where}: {what}; known there can be {', '.join(allowed) or 'nothing'}"
            )
            raise UnknownName(msg)
        if not known.exact:
            msg = (
                f"Known {known.quantity} of {known.where} is a reading (sigma {known.sigma}): use estimate, or sigma=0"
            )
            raise SeraiError(msg)
        if QUANTITIES[known.quantity].flag and known.value not in (0.0, 1.0):
            msg = f"Known {known.quantity} of {known.where}: must be 1 or 0, got {known.value}"
            raise SeraiError(msg)
        if known.value <= QUANTITIES[known.quantity].above:
            msg = f"Known {known.quantity} of {known.where}: must be above 0, got {known.value}"
            raise SeraiError(msg)
        out.append(known)
    return out


def override(network: Network, base: Iterable[Known], new: Iterable[Known]) -> list[Known]:
    """Return `base` with `new` in place of the Knowns that close the same freedom of the same element.

    A withdrawal or pressure given for a gas node also replaces those of the supplies and offtakes there.
    """
    held: dict[tuple[str, str], Known] = {(k.where, k.quantity): k for k in base}
    for known in new:
        kind = network.kind_of(known.where)
        for group in REPLACING.get(kind, ()):
            if known.quantity in group:
                for quantity in group:
                    held.pop((known.where, quantity), None)
        if kind == "gas_nodes":
            for name in _terminals(network, known.where):
                for quantity in ("supply", "withdrawal") if known.quantity == "withdrawal" else ("pressure",):
                    held.pop((name, quantity), None)
        held[(known.where, known.quantity)] = known
    return list(held.values())


def _terminals(network: Network, node: str) -> list[str]:
    """Return the supplies and offtakes at a gas node."""
    found = []
    for kind in ("supplies", "offtakes"):
        t = network[kind]
        found += [name for k, name in enumerate(t.names) if t["node"][k] == node]
    return found
