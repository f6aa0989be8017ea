# SPDX-License-Identifier: Apache-2.0
"""The true network: the model with another gas, other pipes, and the places where gas and power go unmetered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.errors import SeraiError
from serai.network import table
from serai.network.tables import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serai.field.scenario import Leak, Scenario, Theft
    from serai.network import Gas, Network, Table

# Molar mass [kg/mol], critical temperature [K] and pressure [Pa] of pure substances: Kunz and Wagner 2012, J. Chem.
# Eng. Data 57:3032, table A5 (GERG-2008; critical pressures from the equations of state that it names)
SUBSTANCES: dict[str, tuple[float, float, float]] = {
    "methane": (16.04246e-3, 190.564, 4.5992e6),
    "nitrogen": (28.0134e-3, 126.192, 3.3958e6),
    "carbon_dioxide": (44.0095e-3, 304.1282, 7.3773e6),
    "ethane": (30.06904e-3, 305.322, 4.8722e6),
    "propane": (44.09562e-3, 369.825, 4.2477e6),
    "butane": (58.1222e-3, 425.125, 3.796e6),
    "isobutane": (58.1222e-3, 407.817, 3.629e6),
    "pentane": (72.14878e-3, 469.7, 3.370e6),
    "hydrogen": (2.01588e-3, 33.19, 1.315e6),
}


@dataclass(frozen=True)
class Disturbed:
    """The true network, and what stands in it for leaks and thefts.

    leaks, thefts   names of the offtakes (or loads) that take what is lost, in the order of the scenario
    beyond          pipe -> the second piece of a pipe that a leak cuts in two
    """

    network: Network
    leaks: tuple[str, ...]
    thefts: tuple[str, ...]
    beyond: Mapping[str, str]


def disturbed(network: Network, scenario: Scenario, seed: int) -> Disturbed:
    """Return the network that is true in a scenario."""
    truth = scenario.truth
    gas = network.gas
    if truth.composition:
        gas = composed(gas, truth.composition)
    if truth.temperature:
        gas = replace(gas, temperature=gas.temperature + truth.temperature)
    net = replace(network, gas=gas)
    pipes = net["pipes"]
    if truth.efficiency and len(pipes):
        draw = np.random.default_rng([seed, 1]).uniform(-truth.efficiency, truth.efficiency, len(pipes))
        net = net.with_tables(pipes=pipes.replace(efficiency=pipes["efficiency"] * (1.0 + draw)))
    if truth.temperature and len(pipes):
        warmer = net["pipes"]["temperature"] + truth.temperature
        net = net.with_tables(pipes=net["pipes"].replace(temperature=warmer))
    names, beyond = [], {}
    for leak in scenario.leaks:
        if leak.pipe in beyond:
            raise SeraiError(f"pipe {leak.pipe} has two leaks: give the second one another pipe")
        net, name = _with_leak(net, leak)
        names.append(name)
        beyond[leak.pipe] = f"{leak.pipe} beyond its leak"
    thefts = []
    for k, theft in enumerate(scenario.thefts):
        net, name = _with_theft(net, theft, k)
        thefts.append(name)
    return Disturbed(net, tuple(names), tuple(thefts), beyond)


def composed(gas: Gas, composition: Mapping[str, float]) -> Gas:
    """Return a gas of other mole fractions: molar mass, pseudocritical point (Kay's rule), standard density."""
    unknown = set(composition) - set(SUBSTANCES)
    if unknown:
        raise SeraiError(f"no substance {', '.join(sorted(unknown))}; there are {', '.join(SUBSTANCES)}")
    share = np.array(list(composition.values()))
    mass, temperature, pressure = (share / share.sum()) @ np.array([SUBSTANCES[k] for k in composition])
    return replace(
        gas,
        composition=dict(composition),
        molar_mass=float(mass),
        critical_temperature=float(temperature),
        critical_pressure=float(pressure),
        standard_density=gas.standard_density * float(mass) / gas.molar_mass,
    )


def _rows(t: Table) -> list[dict[str, Any]]:
    """Return the rows of a table as dicts."""
    columns = [c.name for c in KINDS[t.kind].columns]
    return [{c: t[c][k] for c in columns} for k in range(len(t))]


def _more(network: Network, kind: str, *rows: Mapping[str, Any]) -> Table:
    """Return the table of a kind with more rows."""
    return table(kind, [*_rows(network[kind]), *rows])


def _with_leak(network: Network, leak: Leak) -> tuple[Network, str]:
    """Cut the pipe where it leaks; return the network and the offtake that takes what leaks."""
    pipes, nodes = network["pipes"], network["gas_nodes"]
    rows = _rows(pipes)
    k = pipes.row(leak.pipe)
    x, node, taken = leak.fraction, f"{leak.pipe} leak point", f"{leak.pipe} leak"
    whole = rows[k]
    near, far = nodes.row(str(whole["from_node"])), nodes.row(str(whole["to_node"]))
    rows[k] = {
        **whole, "to_node": node, "length": x * whole["length"], "loss_coefficient": x * whole["loss_coefficient"],
    }  # fmt: skip
    rows.append({
        **whole, "name": f"{leak.pipe} beyond its leak", "from_node": node, "length": (1.0 - x) * whole["length"],
        "loss_coefficient": (1.0 - x) * whole["loss_coefficient"],
    })  # fmt: skip
    height = (1.0 - x) * nodes["height"][near] + x * nodes["height"][far]
    net = network.with_tables(
        pipes=table("pipes", rows),
        gas_nodes=_more(network, "gas_nodes", {"name": node, "kind": "leak", "height": height}),
        offtakes=_more(network, "offtakes", {"name": taken, "node": node, "kind": "losses"}),
    )
    return net, taken


def _with_theft(network: Network, theft: Theft, number: int) -> tuple[Network, str]:
    """Return the network with an offtake or load that no meter sees, and its name."""
    name = f"theft {number + 1} at {theft.where}"
    if network.kind_of(theft.where) == "buses":
        row = {"name": name, "bus": theft.where, "power_factor": 0.95}
        return network.with_tables(loads=_more(network, "loads", row)), name
    row = {"name": name, "node": theft.where, "kind": "losses"}
    return network.with_tables(offtakes=_more(network, "offtakes", row)), name
