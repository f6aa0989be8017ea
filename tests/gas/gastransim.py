# SPDX-License-Identifier: Apache-2.0
"""Networks in GasTranSim's JSON form (nodes, pipes, compressors, boundary series) as Serai networks and Knowns.

GasTranSim takes R = 8.314 J/(mol K) and air of 28.96 g/mol; here the molar mass is chosen so that R_s = R/M is the same
with Serai's own constant. Its friction factor is Darcy's; pressures are absolute.
"""

import json
from pathlib import Path

from serai import Known, Series
from serai.network import Gas, Network, table
from serai.units import GAS_CONSTANT

R, M_AIR = 8.314, 0.02896
SERIES = {
    "boundary_pslack": ("pressure", "slack n{}"),
    "boundary_nonslack_flow": ("withdrawal", "n{}"),
    "boundary_compressor": ("ratio", "c{}"),
}


def read_json(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


def specific_constant(parameters) -> float:
    return R / (parameters["Gas specific gravity (G):"] * M_AIR)


def network(folder: Path, parameters: str, compressibility: str) -> Network:
    """Read network.json; control modes other than ratio (0) do not occur in these files."""
    net = read_json(folder / "network.json")
    given = read_json(folder / parameters)["simulation_params"]
    nodes = [
        {
            "name": n["node_name"], "x": n["x_coord"], "y": n["y_coord"],
            "pressure_min": n["min_pressure"], "pressure_max": n["max_pressure"],
        }
        for n in net["nodes"].values()
    ]  # fmt: skip
    slacks = [n["node_name"] for n in net["nodes"].values() if n["slack_bool"]]
    pipes = [
        {
            "name": p["pipe_name"], "from_node": f"n{p['from_node']}", "to_node": f"n{p['to_node']}",
            "length": p["length"], "diameter": p["diameter"], "friction_factor": p["friction_factor"],
        }
        for p in net["pipes"].values()
    ]  # fmt: skip
    compressors = [
        {
            "name": c["comp_name"], "from_node": f"n{c['from_node']}", "to_node": f"n{c['to_node']}",
            "flow_min": c["min_flow"], "flow_max": c["max_flow"], "efficiency": 0.8,
        }
        for c in net.get("compressors", {}).values()
    ]  # fmt: skip
    gas = Gas(
        temperature=given["Temperature (K):"],
        molar_mass=GAS_CONSTANT / specific_constant(given),
        compressibility=compressibility,
        heat_capacity_ratio=given["Specific heat capacity ratio"],
    )
    tables = {
        "gas_nodes": table("gas_nodes", nodes),
        "supplies": table("supplies", [{"name": f"slack {n}", "node": n} for n in slacks]),
        "pipes": table("pipes", pipes),
    }
    if compressors:
        tables["compressors"] = table("compressors", compressors)
    return Network(name=folder.name, tables=tables, gas=gas)


def knowns(folder: Path, boundary: str = "bc.json") -> list[Series]:
    """Return every boundary series; the slack node's withdrawal swings."""
    found = []
    for kind, those in read_json(folder / boundary).items():
        quantity, name = SERIES[kind]
        for number, series in those.items():
            assert all(c == 0 for c in series.get("control_type", [])), "only ratios are controlled in these files"
            found.append(Series(quantity, name.format(number), tuple(series["time"]), tuple(series["value"])))
    return found


def at_start(series: list[Series]) -> list[Known]:
    return [s.at(0.0) for s in series]
